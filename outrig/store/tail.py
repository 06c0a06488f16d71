"""The log of a database that several processes write, read by revision and handed to the watchers of this one.

In: wake-ups, from the database's notifications and from our own commits; what the log then holds. Out: every change,
once, in commit order. A notification says only that there is something: one that is lost is made good by the next, or
by the sweep. What this process commits right after what it knows goes to the watchers without being read again.

While the database is away the watchers wait, and whoever asks it for anything is refused at once. A database that
comes back in an older state, even one that has gone on from there, is found out by the digest of its log: the
watchers get Gone, and a new history begins.
"""

import asyncio
from contextlib import AbstractAsyncContextManager, suppress
from functools import partial

import structlog

from outrig.kit.aio import jittered_backoff
from outrig.store.feed import Feed
from outrig.store.history import begin_anew
from outrig.store.pool import Ear, PostgresDatabase
from outrig.store.protocol import Gone, Unavailable
from outrig.store.sql import Head, Piece, Restored, read_counter, read_on
from outrig.store.sqlstore import Commit

FIRST_RETRY, LAST_RETRY = 0.1, 5.0  # seconds

_log = structlog.get_logger(__name__)


class Tail:
    """Follows the log from a head on. `sweep`: seconds after which it looks without having been told."""

    def __init__(self, database: PostgresDatabase, head: Head, *, sweep: float) -> None:
        self.feed = Feed()
        self._database = database
        self._head = head
        self._sweep = sweep
        self._own = asyncio.Lock()
        self._heard: str | None = None
        self._wake = asyncio.Event()
        self._was_listening = False

    def require_current(self, head: Head) -> None:
        """Raises Unavailable if the database is no longer the one whose history is known here."""
        if head.epoch != self._head.epoch or head.revision < self._head.revision:
            self._hear(None)
            problem = "it was put back to an older state, which is being taken up"
            raise Unavailable(self._database.place, problem, "repeat it in a moment")

    def committing(self) -> AbstractAsyncContextManager[None]:
        """What is heard meanwhile is looked at afterwards."""
        return self._own

    def committed(self, commit: Commit) -> None:
        """Hand it on if nothing lies between it and what is known; else it is read in its turn."""
        if commit.before == self._head:
            self._head = commit.after
            self.feed.publish(commit.entries)
        else:
            self._hear(None)

    def ended(self, task: asyncio.Task[None]) -> None:
        """A tail that failed takes those who watch with it: nobody waits for what will not come."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self.feed.end(error)

    async def run(self) -> None:
        """Follow the log for ever."""
        delays = jittered_backoff(first=FIRST_RETRY, ceiling=LAST_RETRY)
        while True:
            try:
                async with self._database.listening(self._hear) as ear:
                    self._note_near()
                    await self._catch_up(ear)
                    delays = jittered_backoff(first=FIRST_RETRY, ceiling=LAST_RETRY)
                    await self._follow(ear)
            except Unavailable as error:
                # A connection that was lost is replaced at once; if that fails too, the database is away.
                if not self._was_listening:
                    self._note_away(error)
                    await asyncio.sleep(next(delays))
                self._was_listening = False

    async def _follow(self, ear: Ear) -> None:
        self._was_listening = True
        while True:
            self._heard = None
            with suppress(TimeoutError):
                async with asyncio.timeout(self._sweep):
                    await self._wake.wait()
            self._wake.clear()
            async with self._own:  # what was heard may be a commit that is told here next
                pass
            if self._heard != self._head.digest:
                await self._catch_up(ear)

    def _hear(self, digest: str | None) -> None:
        self._heard = digest
        self._wake.set()

    async def _catch_up(self, ear: Ear) -> None:
        complete = False
        while not complete:
            known = self._head
            try:
                piece: Piece = await ear.read(partial(read_on, known=known))
            except Gone as gone:
                return await self._begin_again(gone, ear)
            if self._head is known:  # else a commit of our own went ahead, and this is known already
                self._head, complete = piece.head, piece.complete
                self.feed.publish(piece.entries)
        return None

    async def _begin_again(self, gone: Gone, ear: Ear) -> None:
        """What is known here is of another history, or too old: send the watchers to read everything again."""
        head: Head = await ear.read(read_counter)
        if isinstance(gone, Restored):
            session = self._database.session()
            try:
                head = await session.commit(partial(begin_anew, known=self._head))
            finally:
                await session.close()
        _log.warning("watches begin again", database=self._database.place, reason=gone.problem, revision=head.revision)
        self._head = head
        self.feed.end(gone)

    def _note_away(self, error: Unavailable) -> None:
        if self._database.away is None:
            _log.error("the database is away", reason=str(error))
        self._database.away = error

    def _note_near(self) -> None:
        if self._database.away is not None:
            _log.info("the database is back", database=self._database.place)
        self._database.away = None
