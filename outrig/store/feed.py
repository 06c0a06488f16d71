"""Committed changes on their way to those who watch: from the log while they catch up, then straight from memory.

In: what each transaction committed, in commit order. Out: for each watcher every change that fits its query, once.
A commit is matched against the queries in memory; a watcher it does not concern is not woken and asks the
database nothing. A watcher that is slower than the changes is pointed back to the log, so its backlog is bounded.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from outrig.store.documents import detached
from outrig.store.protocol import Change, Gone, Query

BACKLOG = 1_000
"""How many changes wait in memory for one watcher before it has to read them from the log."""

PAGE = 500
"""How many changes are read from the log at a time."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A change in the log."""

    change: Change

    def fits(self, query: Query) -> bool:
        """Whether the new or the last state is one of these."""
        resource, before = self.change.resource, self.change.labels_before
        return query.fits(resource) or (before is not None and query.fits(replace(resource, labels=before)))

    def delivered(self) -> Change:
        """The change, sharing nothing with this entry: many watchers get it."""
        return replace(self.change, resource=detached(self.change.resource))


@dataclass(frozen=True, slots=True)
class Page:
    """A piece of the log: changes that fit, the revision up to which it was read, and whether that was the end."""

    changes: tuple[Change, ...]
    position: int
    complete: bool


ReadLog = Callable[[Query, int], Awaitable[Page]]
"""Reads the log after a revision. Raises Gone."""


class Mailbox:
    """What one watcher has yet to take."""

    def __init__(self, query: Query) -> None:
        self.query = query
        self._entries: list[Entry] = []
        self._overflowed = False
        self._end: BaseException | None = None
        self._ready = asyncio.Event()

    def end(self, reason: BaseException) -> None:
        """Nothing more will come: whoever takes is told why, whatever still lies here."""
        self._end = reason
        self._ready.set()

    def put(self, entry: Entry) -> None:
        """Leave an entry, unless this box is full: then its owner will find it in the log."""
        self._overflowed = self._overflowed or len(self._entries) >= BACKLOG
        if not self._overflowed:
            self._entries.append(entry)
        self._ready.set()

    async def take(self) -> list[Entry] | None:
        """Wait for entries and take them all; None, once, when the next ones must be read from the log.

        Raises what ended this box.
        """
        await self._ready.wait()
        if self._end is not None:
            raise self._end
        if self._entries:
            taken, self._entries = self._entries, []
        else:
            taken, self._overflowed = None, False
        if not self._overflowed:
            self._ready.clear()
        return taken


class Feed:
    """Hands committed entries to the watchers they concern."""

    def __init__(self) -> None:
        self._mailboxes: set[Mailbox] = set()

    def publish(self, entries: Sequence[Entry]) -> None:
        """Called once for every committed transaction, in commit order."""
        for mailbox in self._mailboxes:
            for entry in entries:
                if entry.fits(mailbox.query):
                    mailbox.put(entry)

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


async def follow(feed: Feed, read: ReadLog, query: Query, after: int) -> AsyncGenerator[Sequence[Change], None]:
    """Every change after that revision that fits, in batches, without end. Raises Gone.

    The mailbox is there before the log is read, so nothing falls between the two; what is in both is dropped here.
    """
    position = after
    with feed.subscribed(query) as mailbox:
        while True:
            page = await read(query, position)
            position = page.position
            if page.changes:
                yield page.changes
            if not page.complete:
                continue
            while (entries := await mailbox.take()) is not None:
                fresh = tuple(entry.delivered() for entry in entries if entry.change.revision > position)
                if fresh:
                    position = fresh[-1].revision
                    yield fresh


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


RELIST = "list again and watch from the revision of that list"
