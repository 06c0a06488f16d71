"""The store in one SQLite file, for a control plane that is one process: the embedded default.

In: a path; the file is made, for its owner only, if it is not there. Out: a `SqlStore` on it.
Refuses with `Unavailable`, naming the file and the way out: a directory or disk that cannot be written, a file that
is no database of Outrig, one from a newer version, one that another process has open.

`synchronous=FULL`: with a write-ahead log NORMAL keeps the file consistent but may lose the last commits when the
machine loses power. Then a consumed nonce could be used again and a revision that watchers have seen be given to
another change. FULL costs one fsync a commit.

The driver is the plain one, in threads: through an async one each statement goes to its thread and back four times
(cursor, execute, fetch, close), which makes reads and small transactions about twice as slow.
"""

import asyncio
import fcntl
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa

from outrig.store.protocol import Store, Unavailable
from outrig.store.schema import VERSION_TABLE, migrate
from outrig.store.sqlstore import OwnLog, SqlStore, Work
from outrig.store.unbroken import uninterrupted

T = TypeVar("T")

READERS = 4
"""Connections, each with its thread, that read at the same time."""

HINTS = {
    "SQLITE_FULL": "free some space on its disk",
    "SQLITE_READONLY": "make the file and its directory writable for this user",
    "SQLITE_PERM": "make the file and its directory writable for this user",
    "SQLITE_CANTOPEN": "check that its directory exists and is writable for this user",
    "SQLITE_BUSY": "another program holds the file: stop it",
    "SQLITE_LOCKED": "another program holds the file: stop it",
    "SQLITE_NOTADB": "give another path, or restore the file from a backup",
    "SQLITE_CORRUPT": "restore the file from a backup",
    "SQLITE_IOERR": "check the disk it is on",
}
"""What to do, by the name of SQLite's error: https://www.sqlite.org/rescode.html"""


@asynccontextmanager
async def open_sqlite(path: Path, *, keep_changes: int = 10_000, lock_timeout: float = 5.0) -> AsyncIterator[Store]:
    """The store in that file, until the context ends.

    `keep_changes`: how many changes a watch can look back. `lock_timeout`: seconds to wait for another program,
    such as a backup, that locks the file. Raises Unavailable.
    """
    with _claimed(path):
        await uninterrupted(asyncio.to_thread(_take_over, path, lock_timeout))
        database = SqliteDatabase(path, lock_timeout=lock_timeout)
        store = SqlStore(database, OwnLog(), keep_changes=keep_changes)
        try:
            await database.migrate()
            yield store
        finally:
            await store.close()


class SqliteDatabase:
    """The file as `SqlStore` uses it: one thread writes, a few read, and each piece of work is one trip to a thread."""

    def __init__(self, path: Path, *, lock_timeout: float) -> None:
        self._path = path
        self._writer = _Threads(path, begin="BEGIN IMMEDIATE", count=1, lock_timeout=lock_timeout)
        self._readers = _Threads(path, begin="BEGIN", count=READERS, lock_timeout=lock_timeout)

    def session(self) -> "_Session":
        return _Session(self._writer)

    async def read(self, work: Work[T]) -> T:
        return await self._readers.run(work)

    glance = read

    async def migrate(self) -> None:
        """Make the schema current. Raises Unavailable."""
        session = self.session()
        try:
            await session.commit(partial(migrate, place=str(self._path)))
        finally:
            await session.close()

    async def close(self) -> None:
        await self._writer.close()
        await self._readers.close()


class _Threads:
    """Connections to the file, each used by one thread at a time."""

    def __init__(self, path: Path, *, begin: str, count: int, lock_timeout: float) -> None:
        self._path = path
        self._engine = _engine(path, begin=begin, connections=count, lock_timeout=lock_timeout)
        self._executor = ThreadPoolExecutor(count, thread_name_prefix=f"store-{begin.split()[-1].lower()}")

    def connect(self) -> sa.Connection:
        return self._engine.connect()

    async def run(self, work: Work[T]) -> T:
        return await self.call(partial(self._connected, work))

    async def call(self, work: Callable[[], T]) -> T:
        with _explained(self._path):
            return await uninterrupted(asyncio.get_running_loop().run_in_executor(self._executor, work))

    async def close(self) -> None:
        await uninterrupted(asyncio.to_thread(self._executor.shutdown))
        self._engine.dispose()

    def _connected(self, work: Work[T]) -> T:
        with self.connect() as connection:
            return work(connection)


class _Session:
    """One connection of the writer, kept from the first work to the end of the transaction."""

    def __init__(self, threads: _Threads) -> None:
        self._threads = threads
        self._connection: sa.Connection | None = None

    async def run(self, work: Work[T]) -> T:
        return await self._threads.call(partial(self._connected, work))

    async def commit(self, last: Work[T]) -> T:
        return await self._threads.call(partial(self._commit, last))

    async def close(self) -> None:
        if self._connection is not None:
            await self._threads.call(self._connection.close)

    def _connected(self, work: Work[T]) -> T:
        if self._connection is None:
            self._connection = self._threads.connect()
        return work(self._connection)

    def _commit(self, last: Work[T]) -> T:
        result = self._connected(last)
        if self._connection is not None:
            self._connection.commit()
            self._connection.close()
            self._connection = None
        return result


@contextmanager
def _claimed(path: Path) -> Iterator[None]:
    """Keep other control planes from the file: the watchers of one would not see what the other writes.

    The lock is on a file of its own, for closing any descriptor of a database drops SQLite's own locks on it
    (https://www.sqlite.org/howtocorrupt.html, 2.2).
    """
    with _explained(path):
        descriptor = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _lock(descriptor, path)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise Unavailable(str(path), "another process has it open", "stop that one, or give another path") from error


def _take_over(path: Path, lock_timeout: float) -> None:
    """See that what is there, if anything, is ours; then make the file, for its owner only."""
    with _explained(path):
        if path.exists() and path.stat().st_size:
            _require_ours(path, lock_timeout)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.fchmod(descriptor, os.fstat(descriptor).st_mode & 0o600)
        finally:
            os.close(descriptor)


def _require_ours(path: Path, lock_timeout: float) -> None:
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=lock_timeout)) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if tables and VERSION_TABLE not in tables:
        raise Unavailable(str(path), "it is a database of another program", "give another path")


def _engine(path: Path, *, begin: str, connections: int, lock_timeout: float) -> sa.Engine:
    engine = sa.create_engine(
        sa.URL.create("sqlite", database=str(path)),
        # Without a level of its own the driver begins no transactions: the engine does, in the way asked for.
        connect_args={"isolation_level": None, "timeout": lock_timeout},
        pool_size=connections,
        max_overflow=0,
        hide_parameters=True,  # documents hold private keys: they have no place in an error's text
    )
    sa.event.listen(engine, "connect", _set_up)
    sa.event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
    return engine


def _set_up(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except (sa.exc.DBAPIError, sqlite3.Error) as error:
        cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error
        if isinstance(cause, (sqlite3.IntegrityError, sqlite3.ProgrammingError)):
            raise
        name = getattr(cause, "sqlite_errorname", "")
        if not name:
            # Found by the driver, not by SQLite: its text quotes what is stored, which nobody's log should show.
            raise Unavailable(str(path), "the file is damaged", HINTS["SQLITE_CORRUPT"]) from None
        raise Unavailable(str(path), str(cause), _hint(name)) from error
    except OSError as error:
        raise Unavailable(str(path), error.strerror or str(error), HINTS["SQLITE_CANTOPEN"]) from error


def _hint(name: str) -> str:
    # Extended names append to the name of the class of errors: SQLITE_READONLY_DBMOVED.
    return next((hint for start, hint in HINTS.items() if name.startswith(start)), "")
