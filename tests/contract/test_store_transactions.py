"""All of a transaction becomes true, or nothing of it; whoever cancels or fails leaves a store that works."""

import asyncio
from contextlib import suppress

import pytest

from outrig.resources import Key, Resource
from outrig.store.protocol import Query, Store, Transaction
from tests.contract.store_making import MINUTE, NOON, collecting, create, delete, identity, key, resource, update


class Failure(Exception):
    pass


async def write_everything(tx: Transaction) -> None:
    await tx.create(resource("new"))
    await tx.update(resource("a", body={"spec": {"x": 2}}))
    await tx.delete(key("b"))
    await tx.add_nonce("second", NOON)
    await tx.consume_nonce("first", NOON - MINUTE)
    await tx.add_identity(identity("d2"))


async def prepare(store: Store) -> None:
    await create(store, resource("a"), resource("b"))
    async with store.transaction() as tx:
        await tx.add_nonce("first", NOON)
        await tx.add_identity(identity("d1"))


async def state(store: Store) -> tuple[object, ...]:
    """All that can be seen of a store, without changing it."""
    rows: list[object] = []
    with suppress(Failure):
        async with store.transaction() as tx:
            rows += [await tx.consume_nonce(nonce, NOON - MINUTE) for nonce in ("first", "second")]
            rows.append([held.digest for held in await tx.identities("registration-1")])
            raise Failure
    return (await store.list(Query()), *rows)


async def test_a_transaction_that_raises_leaves_nothing(store: Store) -> None:
    await prepare(store)
    before = await state(store)
    with suppress(Failure):
        async with store.transaction() as tx:
            await write_everything(tx)
            raise Failure
    assert await state(store) == before


async def test_a_transaction_that_ends_leaves_all_of_it(store: Store) -> None:
    await prepare(store)
    async with store.transaction() as tx:
        await write_everything(tx)
    listing, first, second, digests = await state(store)
    assert [(item.key.name, item.revision) for item in listing.items] == [("a", 4), ("new", 3)]
    assert (listing.revision, first, second, digests) == (5, False, True, ["d2", "d1"])


async def test_nobody_sees_a_transaction_before_it_ends(store: Store) -> None:
    await prepare(store)
    before = await store.list(Query())
    async with store.transaction() as tx:
        await write_everything(tx)
        assert await store.list(Query()) == before
        assert await store.get(key("new")) is None
        assert await store.revision() == before.revision


async def test_a_transaction_sees_its_own_writes(store: Store) -> None:
    async with store.transaction() as tx:
        made = await tx.create(resource())
        assert await tx.get(key()) == made
        changed = await tx.update(resource(body={}))
        assert await tx.list(Query()) == (changed,)
        await tx.delete(key())
        assert await tx.list(Query()) == ()
        again = await tx.create(resource())
    assert await store.get(key()) == again
    assert [made.revision, changed.revision, again.revision] == [1, 2, 4]


async def test_a_transaction_cannot_be_used_after_its_end(store: Store) -> None:
    async with store.transaction() as tx:
        await tx.create(resource("a"))
    with pytest.raises(RuntimeError, match="over"):
        await tx.create(resource("b"))
    assert [item.key.name for item in (await store.list(Query())).items] == ["a"]


async def test_a_transaction_within_a_transaction_is_an_error_not_a_deadlock(store: Store) -> None:
    async with store.transaction() as tx:
        with pytest.raises(RuntimeError, match="open already"):
            async with store.transaction():
                pass
        await tx.create(resource())
    assert await store.get(key()) is not None


@pytest.mark.parametrize("turns", range(12))
async def test_a_cancelled_transaction_is_there_whole_or_not_at_all(store: Store, turns: int) -> None:
    """Cancelled after each of its first steps on the event loop, wherever in the work that falls."""
    await prepare(store)
    started = asyncio.Event()

    async def write() -> None:
        async with store.transaction() as tx:
            started.set()
            await write_everything(tx)

    async with collecting(store) as watcher:
        task = asyncio.create_task(write())
        await started.wait()
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        revision = await store.revision()
        assert revision in (2, 5)
        await create(store, resource("after"))
        changes = await watcher.wait_for(revision + 1)
    assert [change.revision for change in changes] == list(range(1, revision + 2))


async def test_a_transaction_cancelled_while_it_waits_for_its_caller_leaves_nothing(store: Store) -> None:
    await prepare(store)
    before = await state(store)
    written = asyncio.Event()

    async def write() -> None:
        async with store.transaction() as tx:
            await write_everything(tx)
            written.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(write())
    await written.wait()
    task.cancel()
    await asyncio.wait([task])
    assert await state(store) == before


async def test_one_who_waits_for_the_turn_may_be_cancelled(store: Store) -> None:
    async with store.transaction() as tx:
        waiting = asyncio.create_task(create(store, resource("never")))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        await tx.create(resource("a"))
    await create(store, resource("b"))
    assert [item.key.name for item in (await store.list(Query())).items] == ["a", "b"]


async def test_concurrent_increments_are_all_counted(store: Store) -> None:
    await create(store, resource(body={"spec": 0}))

    async def increment() -> None:
        async with store.transaction() as tx:
            found = await tx.get(key())
            assert found is not None
            await tx.update(Resource(found.key, body={"spec": found.body["spec"] + 1}, revision=found.revision))

    await asyncio.gather(*(increment() for _ in range(50)))
    counted = await store.get(key())
    assert counted is not None
    assert (counted.body, counted.generation, counted.revision) == ({"spec": 50}, 51, 51)


@pytest.mark.slow
async def test_a_thousand_mixed_writes_are_seen_once_and_in_order_by_two_watchers(store: Store) -> None:
    async def write(number: int) -> None:
        name = str(number)
        await create(store, resource(name))
        await update(store, resource(name, body={"spec": number}))
        async with store.transaction() as tx:
            await tx.create(resource(f"{name}-pair"))
            await tx.update(resource(name, labels={"n": name}))
        if number % 2:
            await delete(store, key(name))

    async with collecting(store) as early:
        writing = asyncio.gather(*(write(number) for number in range(250)))
        await early.wait_for(300)
        async with collecting(store, after=100) as late:
            await writing
            total = await store.revision()
            changes = await early.wait_for(total)
            assert await late.wait_for(total - 100) == changes[100:]
    assert [change.revision for change in changes] == list(range(1, total + 1))
    assert total == 250 * 4 + 125
    assert replayed(changes) == {item.key: item for item in (await store.list(Query())).items}


def replayed(changes: list[object]) -> dict[Key, Resource]:
    there: dict[Key, Resource] = {}
    for change in changes:
        if change.type == "DELETED":
            del there[change.resource.key]
        else:
            assert (change.resource.key in there) == (change.type == "MODIFIED")
            there[change.resource.key] = change.resource
    return there
