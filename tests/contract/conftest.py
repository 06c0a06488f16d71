"""The stores that the contract holds to the protocol. A further store is one more entry in `STORES`."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from outrig.store.memory import MemoryStore
from outrig.store.postgres import open_postgres
from outrig.store.protocol import Store
from outrig.store.sqlite import open_sqlite
from tests.postgres_server import Server, postgres  # noqa: F401 - a fixture

Opener = Callable[..., AbstractAsyncContextManager[Store]]
"""Opens an empty store; takes `keep_changes`."""


@asynccontextmanager
async def open_memory(_directory: Path, *, keep_changes: int = 10_000) -> AsyncIterator[Store]:
    yield MemoryStore(keep_changes=keep_changes)


def open_sqlite_in(directory: Path, *, keep_changes: int = 10_000) -> AbstractAsyncContextManager[Store]:
    return open_sqlite(directory / "outrig.db", keep_changes=keep_changes)


@asynccontextmanager
async def open_postgres_on(server: Server, *, keep_changes: int = 10_000) -> AsyncIterator[Store]:
    async with server.database() as settings, open_postgres(settings, keep_changes=keep_changes) as store:
        yield store


STORES = ["memory", "sqlite", pytest.param("postgres", marks=pytest.mark.slow)]


@pytest.fixture(params=STORES)
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    if request.param == "postgres":
        return partial(open_postgres_on, request.getfixturevalue("postgres"))
    return partial({"memory": open_memory, "sqlite": open_sqlite_in}[request.param], tmp_path)


@pytest.fixture
async def store(opener: Opener) -> AsyncIterator[Store]:
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(opener())
