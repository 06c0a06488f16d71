"""The store protocol over SQL: transactions, reads and watches around the statements of `sql`.

In: a `Database`, which says where the statements run: in threads, or through an async driver; a `Log`, which brings
what was committed to those who watch. Out: a `Store`. A commit and its announcement happen both or not at all, also
when the caller is cancelled meanwhile; an open transaction is undone by closing its session. A transaction begins by
locking the counter, so there is one at a time, over all processes: each sees what the one before it left.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Protocol, TypeVar

import sqlalchemy as sa

from outrig.resources import Key, Resource
from outrig.store import leases, sql
from outrig.store.documents import as_utc, detached
from outrig.store.feed import Feed, Page, follow
from outrig.store.protocol import Change, ChangeType, Identity, Listing, Query, Replica, Unavailable
from outrig.store.sql import Head
from outrig.store.tables import identities
from outrig.store.turn import Turn
from outrig.store.unbroken import uninterrupted
from outrig.store.versions import first_version, last_version, next_version, require_absent, require_stored

T = TypeVar("T")
Work = Callable[[sa.Connection], T]


class Session(Protocol):
    """A connection in a writing transaction. Its errors are `Unavailable`.

    Work that has begun goes to its end even if the caller is cancelled; the cancellation is raised afterwards.
    """

    async def run(self, work: Work[T]) -> T:
        """The first work begins the transaction; it may be done again on another connection if that one is lost."""
        ...

    async def commit(self, last: Work[T]) -> T:
        """Run the last work and commit. Raises OutcomeUnknown where nobody can say whether that happened."""
        ...

    async def close(self) -> None:
        """Undo what was not committed and give the connection back."""
        ...


class Database(Protocol):
    """A database whose schema is current."""

    def session(self) -> Session: ...

    async def read(self, work: Work[T]) -> T:
        """Run it in a transaction that sees one state of the database. Raises Unavailable."""
        ...

    async def glance(self, work: Work[T]) -> T:
        """Run what reads by one statement, and so needs no transaction. Raises Unavailable."""
        ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Commit:
    """What a transaction did: where the history stood before it and stands after it, and the changes between."""

    before: Head
    after: Head
    entries: Sequence[Change]


class Log(Protocol):
    """What has been committed, on its way to the watchers of this process."""

    feed: Feed

    def require_current(self, head: Head) -> None:
        """Raises Unavailable if a transaction that begins there would write to a history other than the known one."""
        ...

    def committing(self) -> AbstractAsyncContextManager[None]:
        """While this lasts, a transaction of this process is being committed."""
        ...

    def committed(self, commit: Commit) -> None:
        """It has been."""
        ...


class OwnLog:
    """The log of a database that this process alone writes: what it commits is all there is to tell."""

    def __init__(self) -> None:
        self.feed = Feed()

    def require_current(self, _head: Head) -> None:
        """There is no other history."""

    def committing(self) -> AbstractAsyncContextManager[None]:
        """Nobody waits for that."""
        return nullcontext()

    def committed(self, commit: Commit) -> None:
        """Hand it on."""
        self.feed.publish(commit.entries)


class SqlStore:
    """Keeps the store protocol in a SQL database. `keep_changes`: how many changes a watch can look back."""

    def __init__(self, database: Database, log: Log, *, keep_changes: int) -> None:
        self._database = database
        self._log = log
        self._keep_changes = keep_changes
        self._turn = Turn()
        self._closed = False

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["SqlTransaction"]:
        async with self._turn.taken():
            self._require_open()
            session = self._database.session()
            transaction = SqlTransaction(session, self._log.require_current)
            try:
                yield transaction
                await uninterrupted(self._commit(session, transaction))
            finally:
                transaction.close()
                await session.close()

    async def get(self, key: Key) -> Resource | None:
        return await self._glance(partial(sql.find_one, key=key))

    async def list(self, query: Query) -> Listing:
        return await self._read(partial(_list, query=query))

    async def list_at(self, query: Query, revision: int, *, epoch: str = "") -> Listing:
        at = partial(sql.find_at, query=query, revision=revision, keep=self._keep_changes, epoch=epoch)
        return Listing(await self._read(at), revision)

    async def beat(self, replica: Replica) -> None:
        await self._write(partial(leases.beat, replica=replica))

    async def replicas(self, now: datetime) -> tuple[Replica, ...]:
        return await self._glance(partial(leases.find_replicas, now=now))

    async def leave(self, replica: str) -> None:
        await self._write(partial(leases.leave, replica=replica))

    async def hold(self, duty: str, holder: str, until: datetime, now: datetime) -> bool:
        return await self._write(partial(leases.hold, duty=duty, holder=holder, until=until, now=now))

    async def revision(self) -> int:
        return (await self._glance(sql.read_counter)).revision

    async def epoch(self) -> str:
        return (await self._glance(sql.read_counter)).epoch

    def watch(
        self, query: Query, after: int, *, epoch: str = "", bookmark_every: float | None = None
    ) -> AsyncGenerator[Sequence[Change], None]:
        async def read(query: Query, after: int) -> Page:
            return await self._read(
                partial(sql.read_log, query=query, after=after, keep=self._keep_changes, epoch=epoch)
            )

        return follow(self._log.feed, read, query, after, bookmark_every=bookmark_every)

    async def close(self) -> None:
        """Wait for the transaction under way, then let go of the database; whatever is asked later is Unavailable."""
        async with self._turn.taken():
            self._closed = True
            await self._database.close()

    async def _read(self, work: Work[T]) -> T:
        self._require_open()
        return await self._database.read(work)

    async def _glance(self, work: Work[T]) -> T:
        self._require_open()
        return await self._database.glance(work)

    async def _write(self, work: Work[T]) -> T:
        """Run it in a transaction of its own, which touches no resource."""
        async with self._turn.taken():
            self._require_open()
            session = self._database.session()
            try:
                return await session.commit(work)
            finally:
                await session.close()

    async def _commit(self, session: Session, transaction: "SqlTransaction") -> None:
        transaction.require_sound()
        if (head := transaction.head) is not None:
            entries = transaction.entries
            last = partial(sql.append, head=head, entries=entries, keep=self._keep_changes)
            async with self._log.committing():
                self._log.committed(Commit(head, await session.commit(last), entries))

    def _require_open(self) -> None:
        if self._closed:
            raise Unavailable("store", "it is closed")


class SqlTransaction:
    """A write transaction. After an error of the database it is beyond use: it cannot go on, nor be committed."""

    def __init__(self, session: Session, require_current: Callable[[Head], None]) -> None:
        self._session = session
        self._require_current = require_current
        self.head: Head | None = None
        self._unsound: Exception | None = None
        self.entries: list[Change] = []

    def require_sound(self) -> None:
        """Raises what ended this transaction, if anything did."""
        if self._unsound is not None:
            raise self._unsound

    def close(self) -> None:
        """Refuse further use."""
        self._unsound = RuntimeError("the transaction is over")

    async def get(self, key: Key) -> Resource | None:
        return await self._run(partial(sql.find_one, key=key))

    async def list(self, query: Query) -> tuple[Resource, ...]:
        return await self._run(partial(sql.find, query=query))

    async def owned_by(self, uid: str) -> tuple[Resource, ...]:
        return await self._run(partial(sql.find_owned, uid=uid))

    async def create(self, resource: Resource) -> Resource:
        return await self._run(partial(self._create, resource=resource))

    async def update(self, resource: Resource) -> Resource:
        return await self._run(partial(self._update, resource=resource))

    async def delete(self, key: Key, *, uid: str = "", revision: int = 0) -> Resource:
        return await self._run(partial(self._delete, key=key, uid=uid, revision=revision))

    async def add_nonce(self, nonce: str, expires: datetime) -> None:
        await self._run(partial(sql.insert_nonce, nonce=nonce, expires=expires))

    async def consume_nonce(self, nonce: str, now: datetime) -> bool:
        instant = as_utc(now)
        expires = await self._run(partial(sql.take_nonce, nonce=nonce))
        return expires is not None and expires > instant

    async def add_identity(self, identity: Identity) -> None:
        await self._run(partial(sql.insert_identity, identity=identity))

    async def issued_to(self, task: str, now: datetime) -> tuple[Identity, ...]:
        return await self._run(partial(sql.find_identities, where=sql.live(now) & (identities.c.task == task)))

    async def issued_for(self, key_hash: str, now: datetime) -> tuple[Identity, ...]:
        holds = sql.live(now) & (identities.c.key_hash == key_hash)
        return await self._run(partial(sql.find_identities, where=holds))

    async def identities(self, registration: str) -> tuple[Identity, ...]:
        issued = identities.c.registration == registration
        return await self._run(partial(sql.find_identities, where=issued))

    async def prune(self, now: datetime) -> int:
        return await self._run(partial(sql.remove_expired, now=now))

    async def _run(self, work: Work[T]) -> T:
        self.require_sound()
        try:
            if self.head is None:
                self.head = await self._session.run(sql.lock_counter)
                self._require_current(self.head)
            return await self._session.run(work)
        except (Unavailable, sa.exc.SQLAlchemyError) as error:
            # The database may have undone the transaction by itself; what followed would be committed alone.
            self._unsound = error
            raise

    def _create(self, connection: sa.Connection, resource: Resource) -> Resource:
        revision = self._next_revision()
        require_absent(sql.find_one(connection, resource.key), resource.key)
        version = first_version(resource, revision)
        sql.insert(connection, version)
        self.entries.append(Change(ChangeType.ADDED, version))
        return detached(version)

    def _update(self, connection: sa.Connection, resource: Resource) -> Resource:
        revision = self._next_revision()
        found = sql.find_one(connection, resource.key)
        stored = require_stored(found, resource.key, uid=resource.uid, revision=resource.revision)
        version = next_version(stored, resource, revision)
        if version is None:
            return stored
        sql.replace(connection, version, stored=stored)
        self.entries.append(Change(ChangeType.MODIFIED, version, stored))
        return detached(version)

    def _delete(self, connection: sa.Connection, key: Key, *, uid: str, revision: int) -> Resource:
        number = self._next_revision()
        stored = require_stored(sql.find_one(connection, key), key, uid=uid, revision=revision)
        last = last_version(stored, number)
        sql.remove(connection, key)
        self.entries.append(Change(ChangeType.DELETED, last, stored))
        return detached(last)

    def _next_revision(self) -> int:
        return self.head.revision + len(self.entries) + 1 if self.head else 0


def _list(connection: sa.Connection, *, query: Query) -> Listing:
    head = sql.read_counter(connection)
    return Listing(sql.find(connection, query), head.revision)
