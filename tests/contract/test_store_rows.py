"""Nonces and identities: consumed once, found while they live, forgotten when they have expired."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from outrig.store.protocol import AlreadyExists, Store
from tests.contract.store_making import MINUTE, NOON, identity

TASK = identity("x").task


async def add_nonce(store: Store, nonce: str = "n", expires: datetime = NOON) -> None:
    async with store.transaction() as tx:
        await tx.add_nonce(nonce, expires)


async def consume(store: Store, nonce: str = "n", *, now: datetime = NOON - MINUTE) -> bool:
    async with store.transaction() as tx:
        return await tx.consume_nonce(nonce, now)


async def test_a_nonce_is_consumed_once(store: Store) -> None:
    await add_nonce(store)
    assert [await consume(store), await consume(store)] == [True, False]


async def test_an_unknown_nonce_is_not_consumed(store: Store) -> None:
    await add_nonce(store)
    assert not await consume(store, "other")


@pytest.mark.parametrize("late", [timedelta(0), timedelta(microseconds=1), MINUTE])
async def test_an_expired_nonce_is_not_consumed_and_gone(store: Store, late: timedelta) -> None:
    await add_nonce(store)
    assert [await consume(store, now=NOON + late), await consume(store)] == [False, False]


async def test_a_nonce_lives_to_the_last_microsecond(store: Store) -> None:
    await add_nonce(store)
    assert await consume(store, now=NOON - timedelta(microseconds=1))


async def test_of_fifty_attempts_at_once_one_consumes_the_nonce(store: Store) -> None:
    await add_nonce(store)
    assert sum(await asyncio.gather(*(consume(store) for _ in range(50)))) == 1


async def test_a_nonce_cannot_be_added_twice(store: Store) -> None:
    await add_nonce(store)
    with pytest.raises(AlreadyExists) as refusal:
        await add_nonce(store, expires=NOON + MINUTE)
    assert "n " not in str(refusal.value).split(":")[0].split()


async def test_rows_are_no_changes(store: Store) -> None:
    async with store.transaction() as tx:
        await tx.add_nonce("n", NOON)
        await tx.add_identity(identity("d"))
    assert await store.revision() == 0


async def test_identities_of_a_registration_come_newest_first_and_whole(store: Store) -> None:
    given = [identity("b"), identity("a"), identity("c")]
    async with store.transaction() as tx:
        for one in [*given, identity("z", registration="registration-2")]:
            await tx.add_identity(one)
    async with store.transaction() as tx:
        assert await tx.identities("registration-1") == tuple(reversed(given))
        assert await tx.identities("nobody") == ()


async def test_a_certificate_cannot_be_recorded_twice(store: Store) -> None:
    async with store.transaction() as tx:
        await tx.add_identity(identity("d"))
        with pytest.raises(AlreadyExists):
            await tx.add_identity(identity("d", serial="02"))
        assert await tx.identities("registration-1") == (identity("d"),)


async def test_what_a_task_has_unexpired_comes_newest_first(store: Store) -> None:
    given = [identity("old", not_after=NOON), identity("one"), identity("two")]
    async with store.transaction() as tx:
        for one in [*given, identity("other", task="arn:other")]:
            await tx.add_identity(one)
        assert await tx.issued_to(TASK, NOON) == (given[2], given[1])
        assert await tx.issued_to(TASK, NOON + MINUTE) == ()
        assert await tx.issued_to("arn:nobody", NOON) == ()


async def test_what_a_key_has_unexpired_comes_newest_first(store: Store) -> None:
    first = identity("a", key_hash="k", task="arn:first", not_after=NOON)
    second = identity("b", key_hash="k", task="arn:second")
    async with store.transaction() as tx:
        await tx.add_identity(first)
        assert await tx.issued_for("k", NOON - MINUTE) == (first,)
        assert await tx.issued_for("k", NOON) == ()
        await tx.add_identity(second)
        assert await tx.issued_for("k", NOON - MINUTE) == (second, first)
        assert await tx.issued_for("unknown", NOON) == ()


async def test_pruning_forgets_what_has_expired_and_counts_it(store: Store) -> None:
    async with store.transaction() as tx:
        await tx.add_nonce("old", NOON)
        await tx.add_nonce("new", NOON + MINUTE)
        await tx.add_identity(identity("old", not_after=NOON))
        await tx.add_identity(identity("new"))
        assert await tx.prune(NOON - MINUTE) == 0
        assert await tx.prune(NOON) == 2
        assert await tx.prune(NOON) == 0
        assert [held.digest for held in await tx.identities("registration-1")] == ["new"]
        assert await tx.consume_nonce("new", NOON)


async def test_times_come_back_as_the_same_instant_in_utc(store: Store) -> None:
    elsewhere = datetime(2030, 1, 1, 20, 0, 0, 123457, tzinfo=timezone(timedelta(hours=-8)))
    async with store.transaction() as tx:
        await tx.add_identity(identity("d", not_after=elsewhere))
    async with store.transaction() as tx:
        (held,) = await tx.identities("registration-1")
    assert held == identity("d", not_after=elsewhere)
    assert held.not_after.tzinfo is UTC


async def test_a_time_without_a_zone_is_refused(store: Store) -> None:
    naive = NOON.replace(tzinfo=None)
    for attempt in (
        lambda tx: tx.add_nonce("n", naive),
        lambda tx: tx.consume_nonce("kept", naive),
        lambda tx: tx.add_identity(replace(identity("d"), not_after=naive)),
        lambda tx: tx.issued_to(TASK, naive),
        lambda tx: tx.issued_for("k", naive),
        lambda tx: tx.prune(naive),
    ):
        async with store.transaction() as tx:
            await tx.add_nonce("kept", NOON)
            await tx.add_identity(identity("held", key_hash="k"))
            with pytest.raises(ValueError, match="without a zone"):
                await attempt(tx)
            await tx.prune(NOON + MINUTE)
