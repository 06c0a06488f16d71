"""The database goes away, at any moment and in any way: nothing is half-written, and everything goes on afterwards."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest
import sqlalchemy as sa

from outrig.store.postgres import migrate_postgres, open_postgres
from outrig.store.protocol import OutcomeUnknown, Query, Replica, Store, Unavailable
from outrig.store.settings import PostgresSettings
from tests.contract.store_making import NOON, Watcher, collecting, create, key, resource, update
from tests.postgres_server import Server, own_server
from tests.postgres_wire import Wire, wire_to

pytestmark = pytest.mark.slow

T = TypeVar("T")

BACKENDS = "SELECT pid FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()"
WAITING = f"{BACKENDS} AND state = 'idle' AND query NOT ILIKE 'listen%'"
END_BACKENDS = BACKENDS.replace("pid", "pg_terminate_backend(pid)", 1)


@pytest.fixture
async def settings(postgres: Server) -> AsyncIterator[PostgresSettings]:
    async with postgres.database() as made:
        yield made


@pytest.fixture
async def wire(postgres: Server) -> AsyncIterator[Wire]:
    async with wire_to(postgres.process.port) as made:
        yield made


async def until_near(ask: Callable[[], Awaitable[T]]) -> T:
    """The first answer that is not that the store is away."""
    async with asyncio.timeout(30):
        while True:
            try:
                return await ask()
            except Unavailable:
                await asyncio.sleep(0.02)


async def until_writable(store: Store, name: str) -> int:
    """The revision of a resource that is created as soon as the store takes it."""
    (made,) = await until_near(lambda: create(store, resource(name)))
    return made.revision


async def whole(store: Store, watcher: Watcher) -> None:
    """What the table holds is what the log says, which is what the watcher saw."""
    listing = await until_near(lambda: store.list(Query()))
    changes = await watcher.wait_for(listing.revision)
    assert [change.revision for change in changes] == list(range(1, listing.revision + 1))
    there = {change.resource.key: change.resource for change in changes}
    assert there == {item.key: item for item in listing.items}


async def test_sessions_that_the_server_ends_are_replaced_before_anybody_notices(
    postgres: Server, settings: PostgresSettings
) -> None:
    async with open_postgres(settings) as store, collecting(store) as watcher:
        await create(store, resource("a"))
        await watcher.wait_for(1)
        ended = await postgres.sql(END_BACKENDS, settings.database)
        assert len(ended) >= 2
        await store.beat(Replica("one", started=NOON, expires=NOON))
        while len(await postgres.sql(WAITING, settings.database)) < 2:  # it listens anew
            await asyncio.sleep(0)
        await postgres.sql(END_BACKENDS, settings.database)
        await create(store, resource("b"))
        assert (await store.list(Query())).revision == 2
        await whole(store, watcher)


async def test_a_session_that_ends_within_a_transaction_takes_all_of_it_along(
    postgres: Server, settings: PostgresSettings
) -> None:
    async with open_postgres(settings) as store, collecting(store) as watcher:
        await create(store, resource("a"))
        with pytest.raises(Unavailable) as caught:  # noqa: PT012
            async with store.transaction() as tx:
                await tx.create(resource("b"))
                await postgres.sql(END_BACKENDS, settings.database)
                await tx.create(resource("c"))
        assert not isinstance(caught.value, OutcomeUnknown)
        assert (await store.list(Query())).revision == 1
        await create(store, resource("d"))
        await whole(store, watcher)


async def test_a_backend_that_crashes_takes_the_server_through_recovery_and_loses_nothing(
    postgres: Server, settings: PostgresSettings
) -> None:
    async with open_postgres(settings) as store, collecting(store) as watcher:
        await create(store, resource("a"))
        await watcher.wait_for(1)
        (row, *_) = await postgres.sql(BACKENDS, settings.database)
        os.kill(row["pid"], signal.SIGKILL)
        assert await until_writable(store, "b") == 2
        await whole(store, watcher)


async def test_a_server_killed_and_started_again_holds_every_commit_it_reported(tmp_path: Path) -> None:
    server = own_server(tmp_path)
    server.start()
    settings = PostgresSettings(port=server.port, user="postgres", password=server.password, database="postgres")
    await migrate_postgres(settings)
    try:
        async with open_postgres(settings) as store, collecting(store) as watcher:
            for attempt in range(2):
                await until_killed(store, server.kill, f"{attempt}", writes=5 + 20 * attempt)
                with pytest.raises(Unavailable):
                    await store.list(Query())
                server.start()
                await until_writable(store, f"after {attempt}")
                await whole(store, watcher)
    finally:
        server.kill()


async def until_killed(store: Store, kill: Callable[[], None], prefix: str, *, writes: int) -> None:
    """Write pairs in each transaction, kill the server among them, and go on until it is missed."""
    number = 0
    with pytest.raises(Unavailable):  # noqa: PT012
        async with asyncio.timeout(30):
            while True:
                async with store.transaction() as tx:
                    await tx.create(resource(f"{prefix}-{number}-a"))
                    if number == writes:
                        kill()
                    await tx.create(resource(f"{prefix}-{number}-b"))
                number += 1
    assert number == writes


async def test_while_the_database_is_away_writes_are_refused_watchers_wait_and_all_resumes(
    wire: Wire, postgres: Server, settings: PostgresSettings
) -> None:
    async with (
        open_postgres(postgres.through(settings, wire.port)) as store,
        open_postgres(settings) as other,
        collecting(store) as watcher,
    ):
        await create(store, resource("a"))
        await watcher.wait_for(1)
        await wire.close()
        for _ in range(3):
            with pytest.raises(Unavailable) as caught:
                await create(store, resource("never"))
            assert caught.value.hint
            with pytest.raises(Unavailable):
                await store.get(key("a"))
        await create(other, resource("meanwhile"))
        assert len(watcher.changes) == 1
        await wire.open()
        assert await until_writable(store, "b") == 3
        await whole(store, watcher)


async def test_a_server_out_of_reach_without_a_word_is_found_out(
    wire: Wire, postgres: Server, settings: PostgresSettings
) -> None:
    async with open_postgres(postgres.through(settings, wire.port), sweep=0.2, patience=0.5) as store:
        await create(store, resource("a"))
        async with collecting(store) as watcher:
            await watcher.wait_for(1)
            wire.hold()
            with pytest.raises(Unavailable, match="no answer"):
                await create(store, resource("b"))
            wire.cut()
            await wire.open()
            await until_writable(store, "c")
            await whole(store, watcher)


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_commit_that_nobody_answered_is_said_to_be_unknown_and_is_there_whole_or_not_at_all(
    wire: Wire, postgres: Server, settings: PostgresSettings, moment: str
) -> None:
    async with open_postgres(postgres.through(settings, wire.port)) as store, collecting(store) as watcher:
        await create(store, resource("a"))
        await watcher.wait_for(1)
        wire.cut_commit = moment
        with pytest.raises(OutcomeUnknown, match="OUT206"):
            await create(store, resource("b"), resource("c"))
        revision = await until_writable(store, "d")
        assert revision == {"before": 2, "after": 4}[moment]
        await whole(store, watcher)


@pytest.mark.parametrize(
    ("event", "statement"),
    [
        ("engine_connect", ""),
        ("before_cursor_execute", "FOR UPDATE"),
        ("before_cursor_execute", "INSERT INTO resources"),
        ("before_cursor_execute", "INSERT INTO changes"),
        ("before_cursor_execute", "UPDATE counter"),
        ("after_cursor_execute", "UPDATE counter"),
        ("commit", ""),
        ("rollback", ""),
    ],
)
async def test_a_writer_cancelled_within_any_statement_tears_nothing(
    settings: PostgresSettings, event: str, statement: str
) -> None:
    async with open_postgres(settings) as store, collecting(store) as watcher:
        await create(store, resource("first"))
        await watcher.wait_for(1)
        writing = asyncio.create_task(write_or_undo(store, undo=event == "rollback"))
        with cancelling(writing, event, statement):
            await asyncio.wait([writing])
        assert writing.cancelled()
        assert await store.revision() in (1, 3)
        await create(store, resource("last"))
        await whole(store, watcher)


async def write_or_undo(store: Store, *, undo: bool) -> None:
    async with store.transaction() as tx:
        await tx.create(resource("second"))
        await tx.create(resource("third"))
        if undo:
            raise ZeroDivisionError


@contextmanager
def cancelling(task: asyncio.Task[None], event: str, statement: str) -> Iterator[None]:
    """Cancel the task when its own statement is about to go to the server."""

    def listener(*arguments: object) -> None:
        if not statement or statement in str(arguments[2]):
            task.cancel()

    sa.event.listen(sa.Engine, event, listener)
    try:
        yield
    finally:
        sa.event.remove(sa.Engine, event, listener)


async def test_one_that_stands_still_within_a_transaction_does_not_hold_up_the_others_for_long(
    settings: PostgresSettings,
) -> None:
    async with open_postgres(settings) as still, open_postgres(settings) as other:
        with pytest.raises(Unavailable):  # noqa: PT012
            async with still.transaction() as tx:
                await tx.create(resource("lost"))
                (made,) = await create(other, resource("a"))  # waits for the server to end the other's session
                await tx.create(resource("never"))
        assert made.revision == 1
        await update(still, resource("a", body={"spec": 2}))
        assert [item.key.name for item in (await other.list(Query())).items] == ["a"]
