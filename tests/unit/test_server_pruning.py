"""What has expired goes, what is young stays."""

from datetime import UTC, datetime, timedelta

from outrig.dialects.core import EVENT
from outrig.resources import Key, Resource
from outrig.server.pruning import EVENTS_LIVE, prune_once
from outrig.store.memory import MemoryStore
from outrig.store.protocol import Identity, Query

NOW = datetime(2026, 5, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def event(name: str, **body: str) -> Resource:
    return Resource(Key(EVENT.group, EVENT.name, "", "default", name), body=dict(body))


def identity(serial: str, not_after: datetime) -> Identity:
    return Identity(f"d{serial}", serial, "spiffe://x", "uid", "task", f"k{serial}", not_after)


async def test_events_go_an_hour_after_they_were_last_seen() -> None:
    store = MemoryStore()
    old, young = NOW - EVENTS_LIVE - SECOND, NOW - EVENTS_LIVE + SECOND
    async with store.transaction() as tx:
        await tx.create(event("old", lastTimestamp=old.strftime("%Y-%m-%dT%H:%M:%SZ")))
        await tx.create(event("young", lastTimestamp=young.strftime("%Y-%m-%dT%H:%M:%SZ")))
        await tx.create(event("timeless"))
        await tx.create(event("unreadable", lastTimestamp="yesterday"))
    await prune_once(store, NOW)
    left = (await store.list(Query())).items
    assert sorted(resource.key.name for resource in left) == ["timeless", "unreadable", "young"]


async def test_nonces_and_identities_go_when_they_expire() -> None:
    store = MemoryStore()
    async with store.transaction() as tx:
        await tx.add_nonce("old", NOW - SECOND)
        await tx.add_nonce("young", NOW + SECOND)
        await tx.add_identity(identity("1", NOW - SECOND))
        await tx.add_identity(identity("2", NOW + SECOND))
    await prune_once(store, NOW)
    async with store.transaction() as tx:
        assert [found.serial for found in await tx.identities("uid")] == ["2"]
        assert not await tx.consume_nonce("old", NOW - 2 * SECOND)
        assert await tx.consume_nonce("young", NOW)


async def test_nothing_to_forget_is_no_change() -> None:
    store = MemoryStore()
    async with store.transaction() as tx:
        await tx.create(event("young", lastTimestamp=NOW.isoformat()))
    revision = await store.revision()
    await prune_once(store, NOW)
    assert await store.revision() == revision
