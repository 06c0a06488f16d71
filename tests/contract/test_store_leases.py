"""Replicas are known while their leases last; a duty is one holder's at a time."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from outrig.store.protocol import Replica, Store
from tests.contract.store_making import MINUTE, NOON, collecting, create, resource

MOMENT = timedelta(microseconds=1)


def replica(name: str = "one", **rest: Any) -> Replica:
    return Replica(name, **({"started": NOON - MINUTE, "expires": NOON + MINUTE} | rest))


async def test_a_replica_is_known_until_its_lease_ends(store: Store) -> None:
    await store.beat(replica("two"))
    await store.beat(replica("one"))
    assert await store.replicas(NOON) == (replica("one"), replica("two"))
    assert await store.replicas(NOON + MINUTE - MOMENT) == (replica("one"), replica("two"))
    assert await store.replicas(NOON + MINUTE) == ()


async def test_a_beat_extends_the_lease(store: Store) -> None:
    await store.beat(replica())
    longer = replica(expires=NOON + 2 * MINUTE)
    await store.beat(longer)
    assert await store.replicas(NOON + MINUTE) == (longer,)


async def test_a_lapsed_replica_comes_back_by_a_beat(store: Store) -> None:
    await store.beat(replica(expires=NOON))
    assert await store.replicas(NOON) == ()
    await store.beat(replica())
    assert await store.replicas(NOON) == (replica(),)


async def test_one_who_leaves_is_forgotten_with_its_duties_and_no_others(store: Store) -> None:
    for name in ("one", "two"):
        await store.beat(replica(name))
        assert await store.hold(f"duty of {name}", name, NOON + MINUTE, NOON)
    await store.leave("one")
    await store.leave("nobody")
    assert await store.replicas(NOON) == (replica("two"),)
    assert await store.hold("duty of one", "three", NOON + MINUTE, NOON)
    assert not await store.hold("duty of two", "three", NOON + MINUTE, NOON)


async def test_a_duty_is_kept_by_its_holder_and_refused_to_others(store: Store) -> None:
    assert await store.hold("prune", "one", NOON + MINUTE, NOON)
    assert not await store.hold("prune", "two", NOON + 2 * MINUTE, NOON)
    assert await store.hold("prune", "one", NOON + 2 * MINUTE, NOON)
    assert not await store.hold("prune", "two", NOON + 3 * MINUTE, NOON + 2 * MINUTE - MOMENT)
    assert await store.hold("sweep", "two", NOON + MINUTE, NOON)


async def test_a_duty_whose_holders_time_is_over_is_free(store: Store) -> None:
    assert await store.hold("prune", "one", NOON, NOON - MINUTE)
    assert await store.hold("prune", "two", NOON + MINUTE, NOON)
    assert not await store.hold("prune", "one", NOON + MINUTE, NOON)


async def test_of_many_who_ask_at_once_one_gets_the_duty(store: Store) -> None:
    asking = (store.hold("prune", f"replica {number}", NOON + MINUTE, NOON) for number in range(30))
    assert sum(await asyncio.gather(*asking)) == 1


async def test_leases_and_duties_are_no_changes(store: Store) -> None:
    async with collecting(store) as watcher:
        await store.beat(replica())
        await store.hold("prune", "one", NOON + MINUTE, NOON)
        assert await store.revision() == 0
        await create(store, resource())
        assert [change.revision for change in await watcher.wait_for(1)] == [1]


async def test_pruning_forgets_lapsed_leases_and_duties(store: Store) -> None:
    await store.beat(replica("old", expires=NOON))
    await store.beat(replica("new"))
    await store.hold("old", "one", NOON, NOON - MINUTE)
    await store.hold("new", "one", NOON + MINUTE, NOON)
    async with store.transaction() as tx:
        assert await tx.prune(NOON) == 2
        assert await tx.prune(NOON) == 0
    assert not await store.hold("new", "two", NOON + MINUTE, NOON)
    assert await store.replicas(NOON - MINUTE) == (replica("new"),)


@pytest.mark.parametrize(
    "attempt",
    [
        lambda store, naive: store.beat(replica(expires=naive)),
        lambda store, naive: store.beat(replica(started=naive)),
        lambda store, naive: store.replicas(naive),
        lambda store, naive: store.hold("prune", "one", naive, NOON),
        lambda store, naive: store.hold("prune", "one", NOON, naive),
    ],
)
async def test_a_time_without_a_zone_is_refused(store: Store, attempt: Callable[..., Awaitable[object]]) -> None:
    with pytest.raises(ValueError, match="without a zone"):
        await attempt(store, NOON.replace(tzinfo=None))
    assert await store.replicas(NOON - 2 * MINUTE) == ()


async def test_a_beat_within_a_transaction_of_the_same_task_is_an_error_not_a_deadlock(store: Store) -> None:
    async with store.transaction():
        with pytest.raises(RuntimeError, match="open already"):
            await store.beat(replica())
