"""What only a file can show: reopening it, and everything that can be wrong with it."""

import asyncio
import os
import sqlite3
import stat
import traceback
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from outrig.store import tables
from outrig.store.protocol import Change, Query, Store, Unavailable
from outrig.store.schema import VERSION_TABLE
from outrig.store.sqlite import open_sqlite
from tests.unit.store_file import QUERY, create, on_every_engine, pragma, resource


def names_in(directory: Path) -> list[str]:
    return sorted(file.name for file in directory.iterdir())


def note_schema(path: Path, version: str) -> str:
    """Gives the one that was noted before."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        (before,) = connection.execute("SELECT version_num FROM outrig_schema").fetchone()
        connection.execute("UPDATE outrig_schema SET version_num = ?", (version,))
    return str(before)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outrig.db"


async def refusal(path: Path) -> Unavailable:
    with pytest.raises(Unavailable) as caught:
        async with open_sqlite(path, lock_timeout=0.05):
            pass
    assert str(path) in str(caught.value)
    return caught.value


async def test_reopening_keeps_resources_revision_epoch_and_log(path: Path) -> None:
    async with open_sqlite(path) as store:
        made, epoch = await create(store), await store.epoch()
    async with open_sqlite(path) as store:
        assert (await store.list(QUERY)).items == (made,)
        assert (await store.revision(), await store.epoch()) == (1, epoch)
        assert (await create(store, "b")).revision == 2
        assert [change.revision for change in await anext(store.watch(QUERY, 0))] == [1, 2]


async def test_two_databases_have_different_epochs(tmp_path: Path) -> None:
    async with open_sqlite(tmp_path / "a.db") as one, open_sqlite(tmp_path / "b.db") as two:
        assert await one.epoch() != await two.epoch()


async def test_the_files_are_for_their_owner_only(path: Path) -> None:
    path.touch(0o644)
    path.chmod(0o644)
    async with open_sqlite(path) as store:
        await create(store)
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert modes == dict.fromkeys(["outrig.db", "outrig.db-wal", "outrig.db-shm", "outrig.db.lock"], 0o600)


async def test_commits_are_synced_and_foreign_keys_hold(path: Path) -> None:
    async with open_sqlite(path) as store:
        await create(store)
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        for name, value in (("synchronous", 2), ("foreign_keys", 1)):
            read = await store._database.read(lambda c, name=name: c.exec_driver_sql(f"PRAGMA {name}").scalar())  # type: ignore[attr-defined]
            assert read == value


async def test_a_path_with_odd_characters_works(tmp_path: Path) -> None:
    directory = tmp_path / "100% ?a=b#c é"
    directory.mkdir()
    for _ in range(2):
        async with open_sqlite(directory / "o%20 ?.db") as store:
            await store.revision()
    assert names_in(directory) == ["o%20 ?.db", "o%20 ?.db.lock"]


async def test_a_second_opening_is_refused_until_the_first_has_ended(path: Path) -> None:
    async with open_sqlite(path):
        assert "another process" in str(await refusal(path))
    async with open_sqlite(path) as store:
        await create(store)


async def test_a_missing_directory_is_named(path: Path) -> None:
    assert "directory" in (await refusal(path.parent / "missing" / "outrig.db")).hint


async def test_a_directory_in_place_of_the_file_is_refused(path: Path) -> None:
    path.mkdir()
    await refusal(path)


async def test_a_file_that_is_no_database_is_refused_and_kept(path: Path) -> None:
    path.write_bytes(b"precious notes, " * 500)
    refused = await refusal(path)
    assert "not a database" in refused.problem
    assert refused.hint
    assert path.read_bytes() == b"precious notes, " * 500


async def test_a_truncated_database_is_refused(path: Path) -> None:
    async with open_sqlite(path) as store:
        await create(store, size=100_000)
    os.truncate(path, 5_000)
    assert (await refusal(path)).hint


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("INSERT INTO outrig_schema VALUES ('0003')", "notes several schemas: 0003, 0004"),
        ("UPDATE outrig_schema SET version_num = '0003'", "its tables are not those of schema 0003"),
    ],
)
async def test_a_version_table_that_was_tampered_with_is_refused_and_kept(
    path: Path, change: str, problem: str
) -> None:
    async with open_sqlite(path) as store:
        await create(store)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(change)
        connection.commit()
        before = list(connection.iterdump())
    refused = await refusal(path)
    assert problem in refused.problem
    assert "backup" in refused.hint
    with closing(sqlite3.connect(path)) as connection:
        assert list(connection.iterdump()) == before


async def test_a_damaged_document_is_not_quoted(path: Path) -> None:
    async with open_sqlite(path) as store:
        await create(store, size=20)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE resources SET document = CAST(x'7365637265742d80ff' AS TEXT)")
    async with open_sqlite(path) as store:
        with pytest.raises(Unavailable, match="damaged") as caught:
            await store.list(QUERY)
    assert "secret" not in "".join(traceback.format_exception(caught.value))


async def test_a_failed_statement_does_not_show_its_parameters(path: Path) -> None:
    with pragma("max_page_count=60"):
        async with open_sqlite(path) as store:
            with pytest.raises(Unavailable) as caught:
                await create(store, "large", size=1_000_000)
    assert "xxxx" not in str(caught.value) + str(caught.value.__cause__)


async def test_a_database_of_another_program_is_refused_and_kept(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE resources (mine TEXT)")
    path.chmod(0o644)
    before = path.read_bytes()
    assert "another program" in str(await refusal(path))
    assert path.read_bytes() == before
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


async def test_a_schema_newer_than_the_code_is_refused_and_kept(path: Path) -> None:
    async with open_sqlite(path) as store:
        await create(store)
    current = note_schema(path, "9999")
    refused = await refusal(path)
    assert "9999" in refused.problem
    assert "newer" in refused.problem
    note_schema(path, current)
    async with open_sqlite(path) as store:
        assert await store.revision() == 1


async def test_a_first_start_that_fails_half_way_can_be_repeated(path: Path) -> None:
    def fail(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if "CREATE TABLE identities" in statement:
            raise sqlite3.OperationalError("disk I/O error")

    with on_every_engine("before_cursor_execute", fail):
        await refusal(path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == []
    async with open_sqlite(path) as store:
        await create(store)


async def test_the_migrations_make_the_tables_that_the_statements_use(path: Path) -> None:
    async with open_sqlite(path):
        pass
    engine = sa.create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE, "compare_type": True})
        assert compare_metadata(context, tables.metadata) == []
    engine.dispose()


async def test_a_full_disk_refuses_the_write_and_loses_nothing(path: Path) -> None:
    with pragma("max_page_count=60"):
        async with open_sqlite(path) as store:
            kept = await create(store, "kept")
            with pytest.raises(Unavailable) as caught:
                await create(store, "large", size=1_000_000)
            assert "full" in caught.value.problem
            assert "space" in caught.value.hint
            assert (await store.list(QUERY)).items == (kept,)
            assert (await create(store, "small")).revision == 2


async def test_after_the_disk_was_full_a_transaction_cannot_go_on_in_halves(path: Path) -> None:
    with pragma("max_page_count=60"):
        async with open_sqlite(path) as store:
            with pytest.raises(Unavailable):
                await stubborn(store)
            assert (await store.list(QUERY)).items == ()
            assert await store.revision() == 0


async def stubborn(store: Store) -> None:
    async with store.transaction() as tx:
        await tx.create(resource("before"))
        with suppress(Unavailable):
            await tx.create(resource("large", size=1_000_000))
        with suppress(Unavailable):
            await tx.create(resource("after"))


async def test_a_disk_that_became_read_only_refuses_writes_and_serves_reads(path: Path) -> None:
    async with open_sqlite(path) as store:
        made = await create(store)
        session = store._database.session()  # type: ignore[attr-defined]
        await session.run(lambda connection: connection.exec_driver_sql("PRAGMA query_only=ON"))
        await session.close()
        with pytest.raises(Unavailable) as caught:
            await create(store, "b")
        assert "readonly" in caught.value.problem
        assert "writable" in caught.value.hint
        assert (await store.list(QUERY)).items == (made,)


async def test_a_file_on_a_read_only_disk_is_refused_at_once(path: Path) -> None:
    async with open_sqlite(path) as store:
        await create(store)
    with pragma("query_only=ON"):
        assert "writable" in (await refusal(path)).hint


async def test_a_file_that_another_program_locks_too_long_is_unavailable_until_it_lets_go(path: Path) -> None:
    async with open_sqlite(path, lock_timeout=0.05) as store:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(Unavailable, match="locked") as caught:
                await create(store)
            assert caught.value.hint
            assert await store.revision() == 0
        assert (await create(store)).revision == 1


async def test_what_is_asked_after_closing_is_unavailable(path: Path) -> None:
    async with open_sqlite(path) as store:
        pass
    with pytest.raises(Unavailable):
        await store.get(resource().key)
    with pytest.raises(Unavailable):
        await create(store)
    assert names_in(path.parent) == ["outrig.db", "outrig.db.lock"]


@pytest.mark.slow
async def test_a_commit_asks_the_database_no_more_for_a_thousand_watchers_than_for_none(path: Path) -> None:
    statements: list[str] = []
    with on_every_engine("before_cursor_execute", lambda _c, _k, statement, *_r: statements.append(statement)):
        async with open_sqlite(path) as store:
            await create(store, "other", kind="Other")
            statements.clear()
            await create(store, "alone")
            alone = list(statements)
            watching = [await waiting(store, "K") for _ in range(1_000)]
            idle = [await waiting(store, "Other") for _ in range(1_000)]
            statements.clear()
            await create(store, "watched")
            assert [[change.revision for change in await watcher] for watcher in watching] == [[3]] * 1_000
            assert statements == alone
            assert not any(watcher.done() for watcher in idle)
            for watcher in idle:
                watcher.cancel()
            await asyncio.wait(idle)


async def waiting(store: Store, kind: str) -> asyncio.Future[Sequence[Change]]:
    """The second batch of a watch that has had its first, so that it has nothing left to read from the log."""
    batches = store.watch(Query(kinds=(("g", kind),)), 0)
    await anext(batches)
    return asyncio.ensure_future(anext(batches))
