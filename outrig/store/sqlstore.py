"""The store protocol over SQL: transactions, reads and watches around the statements of `sql`.

In: a `Database`, which says where the statements run: in threads, or through an async driver. Out: a `Store`.
A commit and the publishing of its changes happen both or not at all, also when the caller is cancelled meanwhile;
an open transaction is undone by closing its session.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from typing import Protocol, TypeVar

import sqlalchemy as sa

from outrig.resources import Key, Resource
from outrig.store import sql
from outrig.store.documents import as_utc, detached
from outrig.store.feed import Entry, Feed, Page, follow
from outrig.store.protocol import Change, ChangeType, Identity, Listing, Query, Unavailable
from outrig.store.turn import Turn
from outrig.store.unbroken import uninterrupted
from outrig.store.versions import first_version, last_version, next_version, require_absent, require_stored

T = TypeVar("T")
Work = Callable[[sa.Connection], T]


class Session(Protocol):
    """A connection in a writing transaction, which begins with the first work. Its errors are `Unavailable`.

    Work that has begun goes to its end even if the caller is cancelled; the cancellation is raised afterwards.
    """

    async def run(self, work: Work[T]) -> T: ...

    async def commit(self, last: Work[None]) -> None:
        """Run the last work and commit."""
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

    async def close(self) -> None: ...


class SqlStore:
    """Keeps the store protocol in a SQL database. `keep_changes`: how many changes a watch can look back."""

    def __init__(self, database: Database, *, keep_changes: int) -> None:
        self._database = database
        self._keep_changes = keep_changes
        self._feed = Feed()
        self._turn = Turn()
        self._closed = False

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["SqlTransaction"]:
        async with self._turn.taken():
            self._require_open()
            session = self._database.session()
            transaction = SqlTransaction(session)
            try:
                yield transaction
                await uninterrupted(self._commit(session, transaction))
            finally:
                transaction.close()
                await session.close()

    async def get(self, key: Key) -> Resource | None:
        return await self._read(partial(sql.find_one, key=key))

    async def list(self, query: Query) -> Listing:
        return await self._read(partial(_list, query=query))

    async def revision(self) -> int:
        return (await self._read(sql.read_counter))[0]

    async def epoch(self) -> str:
        return (await self._read(sql.read_counter))[1]

    def watch(self, query: Query, after: int, *, epoch: str = "") -> AsyncGenerator[Sequence[Change], None]:
        async def read(query: Query, after: int) -> Page:
            return await self._read(partial(sql.read_log, query=query, after=after, epoch=epoch))

        return follow(self._feed, read, query, after)

    async def close(self) -> None:
        """Wait for the transaction under way, then let go of the database; whatever is asked later is Unavailable."""
        async with self._turn.taken():
            self._closed = True
            await self._database.close()

    async def _read(self, work: Work[T]) -> T:
        self._require_open()
        return await self._database.read(work)

    async def _commit(self, session: Session, transaction: "SqlTransaction") -> None:
        transaction.require_sound()
        await session.commit(partial(sql.append, entries=transaction.entries, keep=self._keep_changes))
        self._feed.publish(transaction.entries)

    def _require_open(self) -> None:
        if self._closed:
            raise Unavailable("store", "it is closed")


class SqlTransaction:
    """A write transaction. After an error of the database it is beyond use: it cannot go on, nor be committed."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._revision: int | None = None
        self._unsound: Exception | None = None
        self.entries: list[Entry] = []

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

    async def live_keys(self, task: str, now: datetime) -> frozenset[str]:
        found = await self._run(partial(sql.find_identities, where=sql.live(now) & (sql.identities.c.task == task)))
        return frozenset(identity.key_hash for identity in found)

    async def task_of_key(self, key_hash: str, now: datetime) -> str | None:
        holds = sql.live(now) & (sql.identities.c.key_hash == key_hash)
        found = await self._run(partial(sql.find_identities, where=holds))
        return found[0].task if found else None

    async def identities(self, registration: str) -> tuple[Identity, ...]:
        issued = sql.identities.c.registration == registration
        return await self._run(partial(sql.find_identities, where=issued))

    async def prune(self, now: datetime) -> int:
        return await self._run(partial(sql.remove_expired, now=now))

    async def _run(self, work: Work[T]) -> T:
        self.require_sound()
        try:
            return await self._session.run(work)
        except (Unavailable, sa.exc.SQLAlchemyError) as error:
            # The database may have undone the transaction by itself; what followed would be committed alone.
            self._unsound = error
            raise

    def _create(self, connection: sa.Connection, resource: Resource) -> Resource:
        revision = self._next_revision(connection)
        require_absent(sql.find_one(connection, resource.key), resource.key)
        version = first_version(resource, revision)
        sql.insert(connection, version)
        self.entries.append(Entry(Change(ChangeType.ADDED, version)))
        return detached(version)

    def _update(self, connection: sa.Connection, resource: Resource) -> Resource:
        revision = self._next_revision(connection)
        found = sql.find_one(connection, resource.key)
        stored = require_stored(found, resource.key, uid=resource.uid, revision=resource.revision)
        version = next_version(stored, resource, revision)
        if version is None:
            return stored
        sql.replace(connection, version, stored=stored)
        self.entries.append(Entry(Change(ChangeType.MODIFIED, version), stored.labels))
        return detached(version)

    def _delete(self, connection: sa.Connection, key: Key, *, uid: str, revision: int) -> Resource:
        number = self._next_revision(connection)
        stored = require_stored(sql.find_one(connection, key), key, uid=uid, revision=revision)
        last = last_version(stored, number)
        sql.remove(connection, key)
        self.entries.append(Entry(Change(ChangeType.DELETED, last)))
        return detached(last)

    def _next_revision(self, connection: sa.Connection) -> int:
        if self._revision is None:
            self._revision = sql.lock_counter(connection)
        return self._revision + len(self.entries) + 1


def _list(connection: sa.Connection, *, query: Query) -> Listing:
    revision, _ = sql.read_counter(connection)
    return Listing(sql.find(connection, query), revision)
