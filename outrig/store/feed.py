"""Committed changes on their way to those who watch: from the log while they catch up, then straight from memory.

In: what each transaction committed, in commit order. Out: for each watcher every change that fits its query, once.
A commit is matched against the queries in memory; a watcher it does not concern is not woken and asks the
database nothing. A watcher that is slower than the changes is pointed back to the log, so its backlog is bounded, and
what lies in several mailboxes is one object.
"""

import asyncio
import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from outrig.resources import Key, Resource
from outrig.store.protocol import RELIST, Change, ChangeType, Gone, Query

BACKLOG = 1_000
"""How many changes wait in memory for one watcher before it has to read them from the log."""

PAGE = 100
"""How many changes are read from the log at a time."""


@dataclass(frozen=True, slots=True)
class Page:
    """A piece of the log: changes that fit, the revision up to which it was read, and whether that was the end."""

    changes: tuple[Change, ...]
    position: int
    complete: bool


ReadLog = Callable[[Query, int], Awaitable[Page]]
"""Reads the log after a revision. Raises Gone."""


def concerns(change: Change, query: Query) -> bool:
    """Whether the new state, the last one or the one before is what the query asks for."""
    return query.fits(change.resource) or (change.before is not None and query.fits(change.before))


class Mailbox:
    """What one watcher has yet to take. `reached`: the last revision that was looked at for it; 0: none yet."""

    def __init__(self, query: Query) -> None:
        self.query = query
        self.reached = 0
        self._changes: list[Change] = []
        self._overflowed = False
        self._end: BaseException | None = None
        self._ready = asyncio.Event()

    def end(self, reason: BaseException) -> None:
        """Nothing more will come: whoever takes is told why, whatever still lies here."""
        self._end = reason
        self._ready.set()

    def put(self, change: Change) -> None:
        """Leave a change, unless this box is full: then its owner will find it in the log."""
        self._overflowed = self._overflowed or len(self._changes) >= BACKLOG
        if not self._overflowed:
            self._changes.append(change)
        self._ready.set()

    async def take(self, until: float | None = None) -> list[Change] | None:
        """Wait for changes and take them all: none if the loop's time `until` comes first.

        None, once, when the next ones must be read from the log. Raises what ended this box.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await self._ready.wait()
        if self._end is not None:
            raise self._end
        if self._overflowed and not self._changes:
            self._overflowed = False
            self._ready.clear()
            return None
        taken, self._changes = self._changes, []
        if not self._overflowed:
            self._ready.clear()
        return taken


class Feed:
    """Hands committed changes to the watchers they concern."""

    def __init__(self) -> None:
        self._mailboxes: set[Mailbox] = set()

    def publish(self, changes: Sequence[Change]) -> None:
        """Called once for every committed transaction, in commit order."""
        for mailbox in self._mailboxes:
            for change in changes:
                mailbox.reached = change.revision
                if concerns(change, mailbox.query):
                    mailbox.put(change)

    def end(self, reason: BaseException) -> None:
        """Those who watch now get nothing more; who comes later begins anew."""
        for mailbox in self._mailboxes:
            mailbox.end(reason)

    @contextmanager
    def subscribed(self, query: Query) -> Iterator[Mailbox]:
        """A mailbox that gets everything published from now on that fits."""
        mailbox = Mailbox(query)
        self._mailboxes.add(mailbox)
        try:
            yield mailbox
        finally:
            self._mailboxes.discard(mailbox)


async def follow(
    feed: Feed, read: ReadLog, query: Query, after: int, *, bookmark_every: float | None = None
) -> AsyncGenerator[Sequence[Change], None]:
    """Every change after that revision that fits, in batches, without end. Raises Gone.

    The mailbox is there before the log is read, so nothing falls between the two; what is in both is dropped here.
    """
    clock, every = asyncio.get_running_loop().time, bookmark_every or math.inf
    position, due = after, clock() + every
    with feed.subscribed(query) as mailbox:
        while True:
            changes, position, complete = await _read(read, query, position)
            if changes:
                yield changes
            del changes  # here and below: whoever waits holds nothing
            while complete:
                taken = await mailbox.take(due if bookmark_every else None)
                if taken is None:
                    break
                fresh, position = _fresh(taken, position, mailbox.reached)
                if clock() >= due:
                    fresh, due = (*fresh, _bookmark(position)), clock() + every
                if fresh:
                    yield fresh
                del taken, fresh


async def _read(read: ReadLog, query: Query, after: int) -> tuple[Sequence[Change], int, bool]:
    page = await read(query, after)
    return page.changes, page.position, page.complete


def _fresh(taken: Sequence[Change], position: int, reached: int) -> tuple[tuple[Change, ...], int]:
    """What was not given yet of what came, and how far that is. Where nothing came, nothing lies before `reached`."""
    fresh = tuple(change for change in taken if change.revision > position)
    if fresh:
        return fresh, fresh[-1].revision
    return fresh, position if taken else max(position, reached)


def _bookmark(revision: int) -> Change:
    return Change(ChangeType.BOOKMARK, Resource(Key("", "", "", "", ""), revision=revision))


def check_reach(after: int, *, floor: int, revision: int) -> None:
    """Raises Gone unless the log, which holds what came after `floor` up to `revision`, reaches that far."""
    if after > revision:
        raise Gone(f"revision {after}", f"the store is only at {revision}: that revision is of another history", RELIST)
    if after < floor:
        raise Gone(f"revision {after}", f"the change log begins after {floor}", RELIST)


def check_epoch(wanted: str, *, epoch: str) -> None:
    """Raises Gone where an epoch is given and is not that of the store."""
    if wanted and wanted != epoch:
        raise Gone(f"epoch {wanted}", f"the store's history is {epoch}: it is not the same database", RELIST)
