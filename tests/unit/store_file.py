"""A store in a file, in few words, and real conditions of SQLite to put it under."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from outrig.resources import Key, Resource
from outrig.store.protocol import Query, Store

QUERY = Query()


def resource(name: str = "a", *, size: int = 1, kind: str = "K") -> Resource:
    return Resource(Key("g", kind, "", "n", name), body={"spec": "x" * size})


async def create(store: Store, name: str = "a", *, size: int = 1, kind: str = "K") -> Resource:
    async with store.transaction() as tx:
        return await tx.create(resource(name, size=size, kind=kind))


@contextmanager
def on_every_engine(event: str, listener: Callable[..., object]) -> Iterator[None]:
    """Real conditions of SQLite, set on the connections that are opened meanwhile."""
    sa.event.listen(sa.Engine, event, listener)
    try:
        yield
    finally:
        sa.event.remove(sa.Engine, event, listener)


@contextmanager
def pragma(setting: str) -> Iterator[None]:
    with on_every_engine("connect", lambda connection, _record: connection.execute(f"PRAGMA {setting}").close()):
        yield
