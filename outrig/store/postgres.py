"""The store in a PostgreSQL database, for a control plane of any number of replicas.

In: settings. Out: a `SqlStore` on it, which sees what every replica commits. Refuses with `Unavailable`, naming the
way out: a server that cannot be reached or trusted, a user that may not, a schema that is missing, old or newer.
The schema is changed by `migrate_postgres` alone: only who runs that needs the right to make tables, and a replica
that starts with a new version does not change the database under those that still run the old one.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import sqlalchemy as sa
import structlog

from outrig.store.history import take_up
from outrig.store.pool import PostgresDatabase
from outrig.store.protocol import Store
from outrig.store.schema import Migration, migrate, require_migrated
from outrig.store.settings import PostgresSettings, TlsMode
from outrig.store.sql import Head
from outrig.store.sqlstore import SqlStore
from outrig.store.tail import Tail

SWEEP = 5.0  # seconds
PATIENCE = 12.0  # seconds

MIGRATING = 0x6F757472  # names the lock that one who migrates holds

_log = structlog.get_logger(__name__)


@asynccontextmanager
async def open_postgres(
    settings: PostgresSettings, *, keep_changes: int = 10_000, sweep: float = SWEEP, patience: float = PATIENCE
) -> AsyncIterator[Store]:
    """The store in that database, until the context ends.

    `keep_changes`: how many changes a watch can look back. `sweep`: seconds after which the log is looked at even if
    the database has notified of nothing. `patience`: seconds until a statement without an answer counts as failed: a
    server may be out of reach without a word. Raises Unavailable.
    """
    _warn_of_exposure(settings)
    database = PostgresDatabase(settings, patience=patience)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(database.close)
        tail = Tail(database, await _take_up(database), sweep=sweep)
        store = SqlStore(database, tail, keep_changes=keep_changes)
        stack.push_async_callback(store.close)
        await stack.enter_async_context(_following(tail))
        yield store


async def migrate_postgres(settings: PostgresSettings) -> Migration:
    """Make the schema current. Of several who try at once, one does it and the others find it done.

    Raises Unavailable, nothing changed.
    """
    database = PostgresDatabase(settings, patience=None)
    session = database.session()
    try:
        return await session.commit(partial(_migrate, place=settings.place))
    finally:
        await session.close()
        await database.close()


def _migrate(connection: sa.Connection, *, place: str) -> Migration:
    connection.execute(sa.text("SET LOCAL lock_timeout = 0"))  # another's migration may take long
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(MIGRATING)))
    return migrate(connection, place=place)


async def _take_up(database: PostgresDatabase) -> Head:
    await database.read(partial(require_migrated, place=database.place))
    session = database.session()
    try:
        head, moved = await session.commit(take_up)
    finally:
        await session.close()
    if moved:
        reason = "it was restored or copied: a new history begins, so that no revision is given twice"
        _log.warning(reason, database=database.place, revision=head.revision)
    return head


@asynccontextmanager
async def _following(tail: Tail) -> AsyncIterator[None]:
    following = asyncio.create_task(tail.run(), name="store-tail")
    following.add_done_callback(tail.ended)
    try:
        yield
    finally:
        following.cancel()
        await asyncio.wait([following])


def _warn_of_exposure(settings: PostgresSettings) -> None:
    if settings.tls_mode is TlsMode.DISABLE and (settings.tls_ca or settings.tls_cert):
        reason = "the files of postgres_tls_* have no effect: postgres_tls_mode is disable, so there is no TLS"
        _log.warning(reason, database=settings.place)
    near = settings.host.startswith("/") or settings.host in ("localhost", "127.0.0.1", "::1")
    if not near and settings.tls_mode in (TlsMode.DISABLE, TlsMode.VERIFY_NONE):
        reason = "the mesh's private keys travel to the database unprotected: set postgres_tls_mode to verifyFull"
        _log.warning(reason, database=settings.place, tls_mode=settings.tls_mode.value)
