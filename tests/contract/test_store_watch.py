"""A watch resumes from a revision and gives every later change that fits, once, in order."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import replace

import pytest

from outrig.store.protocol import Change, ChangeType, Gone, Query, Store
from tests.contract.conftest import Opener
from tests.contract.store_making import collecting, create, delete, key, resource, seen, update
from tests.contract.test_store_managers import MANAGERS

ADDED, MODIFIED, DELETED = ChangeType.ADDED, ChangeType.MODIFIED, ChangeType.DELETED


def summary(changes: list[Change]) -> list[tuple[str, str, int]]:
    return [(change.type.value, change.resource.key.name, change.revision) for change in changes]


async def next_batch(store: Store, query: Query, after: int, *, epoch: str = "") -> list[Change]:
    async with asyncio.timeout(30), aclosing(store.watch(query, after, epoch=epoch)) as batches:
        return list(await anext(batches))


async def test_a_watch_replays_what_happened(store: Store) -> None:
    (made,) = await create(store, resource())
    changed = await update(store, replace(made, body={"spec": {"x": 2}}))
    gone = await delete(store, key())
    assert await seen(store, 3) == [Change(ADDED, made), Change(MODIFIED, changed), Change(DELETED, gone)]


async def test_a_watch_begins_right_after_its_revision(store: Store) -> None:
    await create(store, resource("a"), resource("b"), resource("c"))
    assert summary(await seen(store, 1, after=2)) == [("ADDED", "c", 3)]


async def test_a_watch_goes_on_with_what_happens_then(store: Store) -> None:
    await create(store, resource("a"))
    async with collecting(store) as watcher:
        await watcher.wait_for(1)
        await create(store, resource("b"))
        await delete(store, key("a"))
        assert summary(await watcher.wait_for(3)) == [("ADDED", "a", 1), ("ADDED", "b", 2), ("DELETED", "a", 3)]


async def test_a_watch_from_the_revision_of_a_list_misses_nothing(store: Store) -> None:
    await create(store, resource("a"))
    listing = await store.list(Query())
    await create(store, resource("b"))
    assert summary(await seen(store, 1, after=listing.revision)) == [("ADDED", "b", 2)]


async def test_an_update_that_changes_nothing_is_no_change(store: Store) -> None:
    (made,) = await create(store, resource("a"))
    await update(store, made)
    await create(store, resource("b"))
    assert summary(await seen(store, 2)) == [("ADDED", "a", 1), ("ADDED", "b", 2)]


async def test_a_change_tells_what_was_before_replayed_and_live(store: Store) -> None:
    async with collecting(store) as watcher:
        (made,) = await create(store, resource("a", labels={"app": "web"}, managers=MANAGERS))
        changed = await update(store, resource("a", labels={"app": "db"}, body={"spec": {"x": 2}}))
        await delete(store, key("a"))
        live = list(await watcher.wait_for(3))
    told = [[change.before for change in changes] for changes in (live, await seen(store, 3))]
    assert told == [[None, made, changed]] * 2


@pytest.mark.parametrize("live", [False, True], ids=["replayed", "live"])
async def test_a_watch_gives_only_what_fits(store: Store, live: bool) -> None:
    query = Query(kinds=(("networking.istio.io", "Sidecar"),), labels={"app": "web"})
    wanted = [resource("a", labels={"app": "web"}), resource("b"), resource("c", kind="Other", labels={"app": "web"})]
    if not live:
        await create(store, *wanted, resource("d", labels={"app": "web"}))
    async with collecting(store, query=query) as watcher:
        if live:
            await asyncio.sleep(0)
            await create(store, *wanted, resource("d", labels={"app": "web"}))
        assert summary(await watcher.wait_for(2)) == [("ADDED", "a", 1), ("ADDED", "d", 4)]


@pytest.mark.parametrize("live", [False, True], ids=["replayed", "live"])
async def test_a_resource_that_leaves_or_enters_a_selection_is_seen(store: Store, live: bool) -> None:
    async def write() -> None:
        await create(store, resource("a", labels={"app": "web"}))
        await update(store, resource("a", labels={"app": "db"}))
        await update(store, resource("a", labels={"app": "db", "more": "1"}))
        await update(store, resource("a", labels={"app": "web"}))
        await delete(store, key("a"))

    if not live:
        await write()
    query = Query(labels={"app": "web"})
    async with collecting(store, query=query) as watcher:
        if live:
            await write()
        changes = await watcher.wait_for(4)
    assert summary(changes) == [("ADDED", "a", 1), ("MODIFIED", "a", 2), ("MODIFIED", "a", 4), ("DELETED", "a", 5)]
    assert [query.fits(change.resource) for change in changes] == [True, False, True, True]


@pytest.mark.slow
async def test_a_batch_may_be_longer_than_a_page_of_the_log(store: Store) -> None:
    await create(store, *(resource(str(number)) for number in range(1_200)))
    async with collecting(store) as watcher:
        await watcher.wait_for(1_200)
        await create(store, *(resource(f"b{number}") for number in range(1_300)))
        changes = await watcher.wait_for(2_500)
    assert [change.revision for change in changes] == list(range(1, 2_501))


@pytest.mark.slow
async def test_a_watcher_slower_than_the_changes_misses_none(store: Store) -> None:
    await create(store, resource("first"))
    async with asyncio.timeout(30), aclosing(store.watch(Query(), 0)) as batches:
        revisions = [change.revision for change in await anext(batches)]
        for number in range(4):
            await create(store, *(resource(f"{number}-{part}") for part in range(600)))
        while len(revisions) < 2_401:
            revisions += [change.revision for change in await anext(batches)]
    assert revisions == list(range(1, 2_402))


async def test_all_who_watch_are_given_one_object_which_is_not_the_stores(store: Store) -> None:
    await create(store, resource("first"))  # whoever has seen it has read the log, and waits for what comes
    async with collecting(store) as one, collecting(store) as two:
        await asyncio.gather(one.wait_for(1), two.wait_for(1))
        await create(store, resource("a", body={"spec": {"x": [1]}}))
        (_, mine), (_, other) = await one.wait_for(2), await two.wait_for(2)
    assert mine is other
    mine.resource.body["spec"]["x"].append(2)
    assert (await store.get(key("a"))).body == {"spec": {"x": [1]}}


async def test_changing_a_result_within_the_transaction_changes_neither_store_nor_watch(store: Store) -> None:
    await create(store, resource("first"))
    async with collecting(store) as watcher:
        await watcher.wait_for(1)
        async with store.transaction() as tx:
            results = [
                await tx.create(resource("a", body={"spec": {"x": [1]}})),
                await tx.update(resource("a", body={"spec": {"x": [1], "y": 1}})),
                await tx.delete(key("a")),
                await tx.create(resource("a", body={"spec": {"x": [1]}})),
            ]
            for result in results:
                result.body["spec"]["x"].append(2)
        changes = await watcher.wait_for(5)
    assert [change.resource.body["spec"]["x"] for change in changes[1:]] == [[1]] * 4
    assert (await store.get(key("a"))).body == {"spec": {"x": [1]}}


@pytest.mark.parametrize("after", [-1, 1, 1_000])
async def test_a_revision_the_store_never_had_is_gone(store: Store, after: int) -> None:
    with pytest.raises(Gone):
        await next_batch(store, Query(), after)


async def test_an_epoch_that_is_not_the_stores_is_gone(store: Store) -> None:
    await create(store, resource())
    assert len(await next_batch(store, Query(), 0, epoch=await store.epoch())) == 1
    with pytest.raises(Gone, match="history"):
        await next_batch(store, Query(), 0, epoch="another")


async def test_the_log_keeps_its_newest_changes_and_what_is_older_is_gone(opener: Opener) -> None:
    async with opener(keep_changes=10) as store:
        for number in range(25):
            await create(store, resource(str(number)))
        assert [change.revision for change in await seen(store, 10, after=15)] == list(range(16, 26))
        with pytest.raises(Gone, match="begins after 15"):
            await next_batch(store, Query(), 14)
        assert len((await store.list(Query())).items) == 25


async def test_an_idle_watcher_outlives_the_pruning_of_what_it_did_not_ask_for(opener: Opener) -> None:
    rare = Query(kinds=(("networking.istio.io", "Rare"),))
    async with opener(keep_changes=5) as store, collecting(store, query=rare) as watcher:
        await create(store, resource("one", kind="Rare"))
        await watcher.wait_for(1)
        for number in range(30):
            await create(store, resource(str(number)))
        await create(store, resource("two", kind="Rare"))
        assert summary(await watcher.wait_for(2)) == [("ADDED", "one", 1), ("ADDED", "two", 32)]


async def test_a_bookmark_tells_how_far_an_idle_watch_is_and_a_busy_one(store: Store) -> None:
    await create(store, resource("a"))
    rare = Query(kinds=(("networking.istio.io", "Rare"),))
    async with asyncio.timeout(30), aclosing(store.watch(rare, 1, bookmark_every=0.001)) as batches:
        assert summary([(await anext(batches))[-1]]) == [("BOOKMARK", "", 1)]
        await create(store, resource("b"))
        assert summary([(await anext(batches))[-1]]) == [("BOOKMARK", "", 2)]
        await create(store, resource("c", kind="Rare"), resource("d"))
        told = [change async for change in up_to(batches, 4)]
    assert [change.revision for change in told if change.type is not ChangeType.BOOKMARK] == [3]
    assert [change.revision for change in told] == sorted(change.revision for change in told)


async def up_to(batches: AsyncIterator[Sequence[Change]], revision: int) -> AsyncIterator[Change]:
    """What comes until a revision is reached."""
    async for batch in batches:
        for change in batch:
            yield change
        if batch[-1].revision >= revision:
            return


async def test_the_revision_is_zero_before_the_first_change(store: Store) -> None:
    assert await store.revision() == 0
    assert (await store.list(Query())).revision == 0
    async with store.transaction() as tx:
        await tx.list(Query())
    assert await store.revision() == 0
