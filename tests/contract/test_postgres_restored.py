"""A database that was put back to an older state: watches are told so, and all converge to what it holds now."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from examples.postgres.server import program
from outrig.control.following import follow
from outrig.resources import Key, Resource
from outrig.store.history import LEAP
from outrig.store.postgres import open_postgres
from outrig.store.protocol import Gone, Query, Store, Unavailable
from outrig.store.settings import PostgresSettings
from tests.contract.store_making import MINUTE, NOON, create, delete, key, resource, update
from tests.postgres_server import Server
from tests.postgres_wire import wire_to

pytestmark = pytest.mark.slow

TABLES = ("counter", "resources", "owners", "changes", "nonces", "identities", "replicas", "duties")


@pytest.fixture
async def settings(postgres: Server) -> AsyncIterator[PostgresSettings]:
    async with postgres.database() as made:
        yield made


def tool(settings: PostgresSettings, name: str, *arguments: str) -> None:
    where = ["-h", settings.host, "-p", str(settings.port), "-U", settings.user, "-d", settings.database]
    command = [*program(name), *where, "--no-password", *arguments]
    environment = {"PGPASSWORD": settings.password}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


class Backup:
    """A dump of a database, and two ways back to it."""

    def __init__(self, settings: PostgresSettings, directory: Path) -> None:
        self._settings = settings
        self._file = str(directory / "dump")
        tool(settings, "pg_dump", "-Fc", "-f", self._file)

    def restore(self) -> None:
        """As the documentation says: every table is made anew."""
        tool(self._settings, "pg_restore", "--clean", "--if-exists", "--single-transaction", self._file)

    def restore_in_place(self) -> None:
        """Only the rows: nothing in the database tells that it happened, as with a snapshot of its disk."""
        script = Path(f"{self._file}.sql")
        truncate = f"BEGIN; TRUNCATE {', '.join(TABLES)};"
        whole = ["--data-only", "--single-transaction", "--disable-triggers", "-f", str(script), self._file]
        done = subprocess.run([*program("pg_restore"), *whole], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        text = script.read_text().replace("COPY public.outrig_schema", "COPY pg_temp.outrig_schema", 1)
        temporary = "CREATE TEMP TABLE outrig_schema (version_num text);"
        script.write_text(f"{temporary}{truncate}{text.replace('BEGIN;', '', 1)}")
        tool(self._settings, "psql", "-q", "-v", "ON_ERROR_STOP=1", "-f", str(script))


class Follower:
    """What the control plane, which follows the store as here, believes to be there."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._moved = asyncio.Condition()
        self.known: dict[Key, Resource] = {}
        self.revision = 0
        self.readings = 0

    async def run(self) -> None:
        async for burst in follow(self._store, Query()):
            async with self._moved:
                for change in burst.changes:
                    self.known.pop(change.resource.key, None)
                    if change.type != "DELETED":
                        self.known[change.resource.key] = change.resource
                self.revision = burst.revision
                self.readings += burst.reread
                self._moved.notify_all()

    async def wait_for(self, reached: Callable[[], bool]) -> None:
        async with asyncio.timeout(30), self._moved:
            await self._moved.wait_for(reached)


@asynccontextmanager
async def following(store: Store) -> AsyncIterator[Follower]:
    follower = Follower(store)
    task = asyncio.create_task(follower.run())
    try:
        yield follower
    finally:
        task.cancel()
        await asyncio.wait([task])


async def fill(store: Store, names: str) -> None:
    for name in names:
        await create(store, resource(name, body={"spec": "kept"}))


async def written(store: Store, name: str) -> int:
    async with asyncio.timeout(30):
        while True:
            try:
                return (await create(store, resource(name)))[0].revision
            except Unavailable:
                await asyncio.sleep(0.02)


async def converged(store: Store, follower: Follower) -> None:
    revision = await written(store, "after")
    await follower.wait_for(lambda: follower.revision >= revision)
    assert follower.known == {item.key: item for item in (await store.list(Query())).items}


@pytest.mark.parametrize("way", [Backup.restore, Backup.restore_in_place], ids=["made anew", "in place"])
async def test_while_replicas_run_watches_are_gone_and_all_converge(
    settings: PostgresSettings, tmp_path: Path, way: Callable[[Backup], None]
) -> None:
    async with open_postgres(settings, sweep=0.2) as one, open_postgres(settings, sweep=0.2) as two:
        await fill(one, "abc")
        backup = Backup(settings, tmp_path)
        async with following(one) as first, following(two) as second:
            await update(one, resource("a", body={"spec": "lost"}))
            await delete(two, key("b"))
            await fill(two, "def")
            await first.wait_for(lambda: first.revision == 8)
            await second.wait_for(lambda: second.revision == 8)
            await asyncio.to_thread(way, backup)
            await first.wait_for(lambda: first.readings == 2)
            await second.wait_for(lambda: second.readings == 2)
            await converged(one, first)
            assert {item.name for item in first.known} == {"a", "b", "c", "after"}
            assert LEAP < await one.revision() < 2 * LEAP
        for after in (0, 3, 8):
            with pytest.raises(Gone):
                await anext(one.watch(Query(), after))


@pytest.mark.parametrize("way", [Backup.restore, Backup.restore_in_place], ids=["made anew", "in place"])
async def test_one_that_was_away_while_the_restored_database_grew_past_it_is_told(
    postgres: Server, settings: PostgresSettings, tmp_path: Path, way: Callable[[Backup], None]
) -> None:
    async with wire_to(postgres.process.port) as wire, open_postgres(postgres.through(settings, wire.port)) as store:
        await fill(store, "abc")
        backup = Backup(settings, tmp_path)
        async with following(store) as follower:
            await fill(store, "defgh")
            await follower.wait_for(lambda: follower.revision == 8)
            await wire.close()
            way(backup)
            async with open_postgres(settings) as fresh:
                epoch = await fresh.epoch()
                await fill(fresh, "uvwxyz")
            await wire.open()
            await converged(store, follower)
            assert follower.readings == 2
            assert {item.name for item in follower.known} == {*"abcuvwxyz", "after"}
        assert await store.revision() > LEAP
        assert (await store.epoch() == epoch) == (way is Backup.restore)


async def test_replicas_that_start_on_a_restored_database_begin_a_new_history(
    settings: PostgresSettings, tmp_path: Path
) -> None:
    async with open_postgres(settings) as store:
        await fill(store, "abc")
        epoch = await store.epoch()
    Backup(settings, tmp_path).restore()
    async with open_postgres(settings) as store:
        assert await store.epoch() != epoch
        assert await written(store, "d") == LEAP + 4
        with pytest.raises(Gone):
            await anext(store.watch(Query(), 3))
    async with open_postgres(settings) as store:
        assert await store.revision() == LEAP + 4


async def test_a_copy_of_the_database_has_a_history_of_its_own(postgres: Server, settings: PostgresSettings) -> None:
    async with open_postgres(settings) as store:
        await fill(store, "abc")
        epoch = await store.epoch()
    await postgres.sql(f"CREATE DATABASE copied TEMPLATE {settings.database}")
    try:
        async with open_postgres(postgres.settings("copied")) as copy:
            assert await copy.epoch() != epoch
    finally:
        await postgres.sql("DROP DATABASE copied WITH (FORCE)")
    async with open_postgres(settings) as store:
        assert await store.epoch() == epoch


async def test_a_nonce_used_up_since_the_backup_is_not_good_again(settings: PostgresSettings, tmp_path: Path) -> None:
    async with open_postgres(settings) as store:
        async with store.transaction() as tx:
            await tx.add_nonce("n", NOON)
        backup = Backup(settings, tmp_path)
        async with store.transaction() as tx:
            assert await tx.consume_nonce("n", NOON - MINUTE)
    backup.restore()
    async with open_postgres(settings) as store, store.transaction() as tx:
        assert not await tx.consume_nonce("n", NOON - MINUTE)


async def test_a_server_that_merely_restarts_keeps_its_history(settings: PostgresSettings) -> None:
    async with open_postgres(settings) as store:
        await fill(store, "abc")
        epoch = await store.epoch()
    async with open_postgres(settings) as store:
        assert (await store.epoch(), await store.revision()) == (epoch, 3)


async def test_an_operator_can_say_that_the_database_was_restored(postgres: Server, settings: PostgresSettings) -> None:
    """Where nothing in it tells: the documented statement."""
    statement = "UPDATE counter SET home = 'restored'"
    assert statement in (Path(__file__).parents[2] / "docs" / "postgres.md").read_text()
    async with open_postgres(settings) as store:
        await fill(store, "abc")
        epoch = await store.epoch()
    await postgres.sql(statement, database=settings.database)
    async with open_postgres(settings) as store:
        assert await store.epoch() != epoch
        assert await store.revision() == LEAP + 3
