"""Mailboxes, and work that a cancellation must not tear apart."""

import asyncio
from contextlib import aclosing

import pytest

from outrig.resources import Key, Resource
from outrig.store.feed import BACKLOG, Feed, Page, follow
from outrig.store.protocol import Change, ChangeType, Query
from outrig.store.unbroken import uninterrupted


def added(revision: int, kind: str = "K") -> Change:
    return Change(ChangeType.ADDED, Resource(Key("g", kind, "", "", str(revision)), revision=revision))


async def test_a_full_mailbox_keeps_what_it_has_and_then_points_to_the_log() -> None:
    feed = Feed()
    with feed.subscribed(Query()) as mailbox:
        feed.publish([added(number) for number in range(BACKLOG + 5)])
        taken = await mailbox.take()
        assert taken is not None
        assert len(taken) == BACKLOG
        feed.publish([added(9_999)])
        assert await mailbox.take() is None
        feed.publish([added(10_000)])
        assert [one.revision for one in await mailbox.take() or ()] == [10_000]


async def test_nothing_is_kept_for_a_watcher_that_left() -> None:
    feed = Feed()
    watch = follow(feed, read_nothing, Query(), 0)
    reading = asyncio.ensure_future(anext(watch))
    await asyncio.sleep(0)
    feed.publish([added(1)])
    assert [change.revision for change in await reading] == [1]
    await watch.aclose()
    assert not feed._mailboxes


async def read_nothing(_query: Query, after: int) -> Page:
    return Page((), after, complete=True)


async def test_what_is_in_the_log_and_in_the_mailbox_is_given_once() -> None:
    feed = Feed()

    async def read(_query: Query, after: int) -> Page:
        feed.publish([added(1), added(2)])
        return Page(tuple(added(number) for number in range(after + 1, 3)), 2, complete=True)

    watch = follow(feed, read, Query(), 0)
    assert [change.revision for change in await anext(watch)] == [1, 2]
    feed.publish([added(3)])
    assert [change.revision for change in await anext(watch)] == [3]
    await watch.aclose()


async def test_a_bookmark_overtakes_no_change_however_close_they_come() -> None:
    feed, told = Feed(), list[Change]()

    async def publish() -> None:
        for number in range(1, 401):
            feed.publish([added(number, "K" if number % 3 else "Other")])
            await asyncio.sleep(0 if number % 2 else 0.0001)

    watch = follow(feed, read_nothing, Query(kinds=(("g", "K"),)), 0, bookmark_every=0.0001)
    publishing = asyncio.create_task(publish())
    async with aclosing(watch):
        while not told or told[-1].revision < 400:
            told += await anext(watch)
    await publishing
    revisions = [change.revision for change in told]
    assert revisions == sorted(revisions)
    assert [one.revision for one in told if one.type is ChangeType.ADDED] == [n for n in range(1, 401) if n % 3]
    assert any(one.type is ChangeType.BOOKMARK and one.revision % 3 == 0 for one in told)


async def test_a_cancellation_waits_for_the_work_and_is_then_raised() -> None:
    release, done = asyncio.Event(), []

    async def work() -> None:
        await release.wait()
        done.append(True)

    caller = asyncio.create_task(uninterrupted(work()))
    for _ in range(3):
        await asyncio.sleep(0)
        caller.cancel()
    await asyncio.sleep(0)
    assert not caller.done()
    release.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert done == [True]


async def test_the_result_and_the_error_of_the_work_are_given() -> None:
    async def give(value: int) -> int:
        return 1 // value

    assert await uninterrupted(give(1)) == 1
    with pytest.raises(ZeroDivisionError):
        await uninterrupted(give(0))
