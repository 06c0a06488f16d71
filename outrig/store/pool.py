"""A PostgreSQL database as `SqlStore` uses it: connections of a pool, each piece of work run on one of them.

In: settings. Out: sessions that write, reads that see one state, a connection that listens. Every error of server and
network is `Unavailable`. A connection that was found dead is replaced before anybody uses it; one on which something
failed half-way is thrown away.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from outrig.store.connecting import ConnectionLost, connect, explained, tls_context
from outrig.store.protocol import Unavailable
from outrig.store.settings import PostgresSettings
from outrig.store.sqlstore import Work
from outrig.store.unbroken import uninterrupted

T = TypeVar("T")

CHANNEL = "outrig"
"""What the trigger on the counter notifies."""


class PostgresDatabase:
    """The pool. While `away` is set, the database is known to be out of reach, and nobody waits to find that out.

    `patience`: seconds until a statement without an answer counts as failed; None: however long it takes.
    """

    def __init__(self, settings: PostgresSettings, *, patience: float | None) -> None:
        self.place = settings.place
        self.away: Unavailable | None = None
        self.writing = _engine(settings, patience)
        self._reading = self.writing.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        self._glancing = self.writing.execution_options(isolation_level="AUTOCOMMIT")

    def session(self) -> "_Session":
        return _Session(self)

    async def read(self, work: Work[T]) -> T:
        return await self._run_on(self._reading, work)

    async def glance(self, work: Work[T]) -> T:
        return await self._run_on(self._glancing, work)

    async def call(self, what: Awaitable[T], *, committing: bool = False) -> T:
        """Its result, once it has gone to its end. Raises Unavailable."""
        with explained(self.place, committing=committing):
            return await uninterrupted(what)

    @asynccontextmanager
    async def listening(self, hear: Callable[[str | None], None]) -> AsyncIterator["Ear"]:
        """A connection that tells the digest that a commit led to; None, when it is lost itself."""
        ear = Ear(self, self._glancing.connect())
        try:
            await self.call(ear.listen(hear))
            yield ear
        finally:
            await self.call(ear.close())

    async def close(self) -> None:
        await uninterrupted(self.writing.dispose())

    async def _run_on(self, engine: AsyncEngine, work: Work[T]) -> T:
        self.require_near()
        try:
            return await self.call(_connected(engine, work))
        except ConnectionLost:  # it may have lain idle for long, so once more on another
            return await self.call(_connected(engine, work))

    def require_near(self) -> None:
        """Raises Unavailable while the database is known to be away."""
        if self.away is not None:
            raise Unavailable(self.away.place, self.away.problem, self.away.hint)


async def _connected(engine: AsyncEngine, work: Work[T]) -> T:
    async with engine.connect() as connection:
        return await connection.run_sync(work)


class Ear:
    """A connection that hears of commits, and reads them."""

    def __init__(self, database: PostgresDatabase, connection: AsyncConnection) -> None:
        self._database = database
        self._connection = connection

    async def listen(self, hear: Callable[[str | None], None]) -> None:
        """Connect and begin to listen."""
        await self._connection.start()
        driver: Any = (await self._connection.get_raw_connection()).driver_connection
        driver.add_termination_listener(lambda _connection: hear(None))
        await driver.add_listener(CHANNEL, lambda *notification: hear(notification[-1]))

    async def read(self, work: Work[T]) -> T:
        """Run what reads by one statement. Raises Unavailable."""
        return await self._database.call(self._connection.run_sync(work))

    async def close(self) -> None:
        """Throw the connection away: nobody else has use for one that listens."""
        if self._connection.sync_connection is not None:
            await self._connection.invalidate()
            await self._connection.close()


class _Session:
    """One connection, kept from the first work to the end of the transaction."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database
        self._connection = database.writing.connect()
        self._sound = True

    async def run(self, work: Work[T]) -> T:
        begun = self._connection.sync_connection is not None
        if not begun:
            self._database.require_near()
        try:
            return await self._database.call(self._run(work))
        except ConnectionLost:  # it may have lain idle for long, so once more on another
            if begun:
                raise
            await self.close()
            self._connection = self._database.writing.connect()
            return await self._database.call(self._run(work))

    async def commit(self, last: Work[T]) -> T:
        result = await self.run(last)
        self._sound = False
        await self._database.call(self._connection.commit(), committing=True)
        self._sound = True
        return result

    async def close(self) -> None:
        if self._connection.sync_connection is not None:
            await self._database.call(self._close())

    async def _run(self, work: Work[T]) -> T:
        if self._connection.sync_connection is None:
            await self._connection.start()
        self._sound = False
        result = await self._connection.run_sync(work)
        self._sound = True
        return result

    async def _close(self) -> None:
        if not self._sound:
            await self._connection.invalidate()
        await self._connection.close()


def _engine(settings: PostgresSettings, patience: float | None) -> AsyncEngine:
    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=partial(connect, settings, tls_context(settings), patience=patience),
        isolation_level="READ COMMITTED",
        pool_size=settings.max_connections,
        max_overflow=0,
        pool_timeout=settings.connection_timeout,
        hide_parameters=True,  # documents hold private keys: they have no place in an error's text
    )
    sa.event.listen(engine.sync_engine, "checkout", _require_open)
    return engine


def _require_open(connection: Any, _record: object, _proxy: object) -> None:
    """Have the pool make another in place of one that was lost while it lay idle."""
    if connection.driver_connection.is_closed():
        raise sa.exc.DisconnectionError
