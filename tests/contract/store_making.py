"""Resources and identities in few words, and how the contract's tests read a watch."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from outrig.resources import Key, Owner, Resource
from outrig.store.protocol import Change, Identity, Query, Store

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def key(name: str = "a", *, kind: str = "Sidecar", namespace: str = "shop") -> Key:
    return Key("networking.istio.io", kind, "", namespace, name)


def resource(name: str = "a", *, body: Any = None, kind: str = "Sidecar", **rest: Any) -> Resource:
    return Resource(key(name, kind=kind), body={"spec": {"x": 1}} if body is None else body, **rest)


def owner_of(owner: Resource) -> Owner:
    return Owner(owner.key, owner.uid, "networking.istio.io/v1")


def identity(digest: str, **rest: Any) -> Identity:
    fields = {
        "serial": "01",
        "subject": "spiffe://cluster.local/ns/shop/sa/web",
        "registration": "registration-1",
        "task": "arn:aws:ecs:eu-west-1:111122223333:task/shop/1",
        "key_hash": f"key-of-{digest}",
        "not_after": NOON + MINUTE,
    }
    return Identity(digest=digest, **(fields | rest))


async def create(store: Store, *wanted: Resource) -> list[Resource]:
    async with store.transaction() as tx:
        return [await tx.create(one) for one in wanted]


async def update(store: Store, wanted: Resource) -> Resource:
    async with store.transaction() as tx:
        return await tx.update(wanted)


async def delete(store: Store, key: Key) -> Resource:
    async with store.transaction() as tx:
        return await tx.delete(key)


async def seen(store: Store, count: int, *, query: Query = Query(), after: int = 0) -> list[Change]:  # noqa: B008
    """The first changes a watch gives, at least that many."""
    async with collecting(store, query=query, after=after) as watcher:
        return await watcher.wait_for(count)


class Watcher:
    """Reads a watch in the background."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self._grown = asyncio.Condition()

    async def run(self, store: Store, query: Query, after: int) -> None:
        async with aclosing(store.watch(query, after)) as batches:
            async for batch in batches:
                async with self._grown:
                    self.changes.extend(batch)
                    self._grown.notify_all()

    async def wait_for(self, count: int) -> list[Change]:
        async with asyncio.timeout(30), self._grown:
            await self._grown.wait_for(lambda: len(self.changes) >= count)
            return self.changes


@asynccontextmanager
async def collecting(store: Store, *, query: Query = Query(), after: int = 0) -> AsyncIterator[Watcher]:  # noqa: B008
    watcher = Watcher()
    task = asyncio.create_task(watcher.run(store, query, after))
    try:
        yield watcher
    finally:
        task.cancel()
        await asyncio.wait([task])
