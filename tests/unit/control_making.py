"""What the tests of the control package share: registrations in a store, and ways to wait for what the store shows."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from outrig.control.proxies import entry_key, registration_key
from outrig.dialects.conditions import Condition, condition_of
from outrig.resources import Key, Owner, Resource
from outrig.snapshot import ProxyId
from outrig.store.memory import MemoryStore
from outrig.store.protocol import Query
from outrig.xds.session import Session

BOUND = 20.0  # seconds after which a test that waits has failed
LONG = 3600.0
SOON = 0.01


async def register(store: MemoryStore, name: str = "web") -> Session:
    """A registration, the entry it owns, and the session that its certificate would give."""
    async with store.transaction() as tx:
        registration = await tx.create(Resource(registration_key("shop", name)))
        owner = Owner(registration.key, registration.uid, "v1alpha1")
        await tx.create(Resource(entry_key("shop", name), body={"spec": {"address": "10.0.0.1"}}, owners=(owner,)))
    until = datetime.now(UTC) + timedelta(hours=1)
    return Session(ProxyId(f"shop/{name}"), registration.key, registration.uid, until)


async def delete(store: MemoryStore, key: Key) -> None:
    async with store.transaction() as tx:
        await tx.delete(key)


async def wait_resource(store: MemoryStore, key: Key, wanted: Callable[[Resource | None], bool]) -> Resource | None:
    """The resource as soon as it (or its absence: None) is as wanted."""
    async with asyncio.timeout(BOUND):
        revision = await store.revision()
        found = await store.get(key)
        if wanted(found):
            return found
        async for _ in store.watch(Query(kinds=((key.group, key.kind),)), revision):
            found = await store.get(key)
            if wanted(found):
                return found
    raise AssertionError("the watch ended")


async def wait_condition(store: MemoryStore, key: Key, type_: str, reason: str) -> Condition:
    """The condition of that type as soon as it has that reason."""

    def fits(resource: Resource | None) -> bool:
        found = condition_of(resource.status, type_) if resource else None
        return found is not None and found.reason == reason

    resource = await wait_resource(store, key, fits)
    found = condition_of(resource.status, type_) if resource else None
    assert found is not None
    return found


@asynccontextmanager
async def running(*loops: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """These loops run while the block does; one that fails fails the test."""
    tasks = [asyncio.create_task(loop) for loop in loops]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception):
            raise result
