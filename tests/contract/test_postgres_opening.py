"""Opening a database: the schema it must have, who may, whom we trust; every refusal names its way out."""

import asyncio
import logging
import traceback
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
import structlog
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from outrig.store import tables
from outrig.store.pool import PostgresDatabase
from outrig.store.postgres import migrate_postgres, open_postgres
from outrig.store.protocol import Query, Unavailable
from outrig.store.schema import VERSION_TABLE, Migration
from outrig.store.settings import PostgresSettings, TlsMode
from tests.contract.store_making import create, resource
from tests.postgres_server import Server

pytestmark = pytest.mark.slow


@pytest.fixture
async def empty(postgres: Server) -> AsyncIterator[PostgresSettings]:
    async with postgres.database(migrated=False) as made:
        yield made


@pytest.fixture
async def settings(postgres: Server) -> AsyncIterator[PostgresSettings]:
    async with postgres.database() as made:
        yield made


async def refusal(settings: PostgresSettings) -> Unavailable:
    with pytest.raises(Unavailable) as caught:
        async with open_postgres(settings):
            pass
    assert settings.place in str(caught.value)
    assert caught.value.hint
    return caught.value


async def test_a_database_without_tables_is_refused_until_it_is_migrated(empty: PostgresSettings) -> None:
    assert "outrig cp migrate up" in (await refusal(empty)).hint
    assert (await migrate_postgres(empty)).before == ""
    async with open_postgres(empty) as store:
        await create(store, resource())


async def test_migrating_twice_is_as_migrating_once(empty: PostgresSettings) -> None:
    first = await migrate_postgres(empty)
    async with open_postgres(empty) as store:
        await create(store, resource())
    assert await migrate_postgres(empty) == Migration(first.after, first.after)
    async with open_postgres(empty) as store:
        assert await store.revision() == 1


async def test_of_several_who_migrate_at_once_one_does_it(empty: PostgresSettings) -> None:
    done = await asyncio.gather(*(migrate_postgres(empty) for _ in range(6)))
    assert sorted(migration.before for migration in done) == ["", *[done[0].after] * 5]


async def test_an_older_schema_is_refused_and_a_migration_mends_that(
    postgres: Server, settings: PostgresSettings
) -> None:
    for statement in (
        "DROP TABLE replicas, duties",
        "ALTER TABLE counter DROP COLUMN digest, DROP COLUMN home",
        "ALTER TABLE resources DROP COLUMN managers",
        "ALTER TABLE changes DROP COLUMN managers, DROP COLUMN document_before, DROP COLUMN managers_before",
        "DROP TRIGGER outrig_notify ON counter",
        "DROP FUNCTION outrig_notify",
        "UPDATE outrig_schema SET version_num = '0001'",
    ):
        await postgres.sql(statement, database=settings.database)
    assert "0001" in (await refusal(settings)).problem
    assert (await migrate_postgres(settings)).before == "0001"
    async with open_postgres(settings) as store:
        await create(store, resource())


async def test_a_newer_schema_is_refused_and_kept(postgres: Server, settings: PostgresSettings) -> None:
    await postgres.sql("UPDATE outrig_schema SET version_num = '9999'", database=settings.database)
    assert "newer" in (await refusal(settings)).problem
    with pytest.raises(Unavailable, match="9999 is newer"):
        await migrate_postgres(settings)
    (row,) = await postgres.sql("SELECT version_num FROM outrig_schema", database=settings.database)
    assert row["version_num"] == "9999"


async def test_a_version_table_that_was_tampered_with_is_refused(postgres: Server, settings: PostgresSettings) -> None:
    for change, problem in (
        ("UPDATE outrig_schema SET version_num = '0003'", "its tables are not those of schema 0003"),
        ("INSERT INTO outrig_schema VALUES ('0004')", "notes several schemas: 0003, 0004"),
    ):
        await postgres.sql(change, database=settings.database)
        with pytest.raises(Unavailable, match=problem) as refused:
            await migrate_postgres(settings)
        assert "backup" in refused.value.hint
    assert "several schemas" in (await refusal(settings)).problem


async def test_files_for_tls_where_there_is_none_are_named(settings: PostgresSettings) -> None:
    for file in ("tls_ca", "tls_cert"):
        with structlog.testing.capture_logs() as lines:
            async with open_postgres(replace(settings, **{file: Path("/a.pem")})):  # type: ignore[arg-type]
                pass
        assert any("no effect" in line["event"] for line in lines)


async def test_a_database_of_another_program_is_refused_and_kept(postgres: Server, empty: PostgresSettings) -> None:
    await postgres.sql("CREATE TABLE resources (mine text)", database=empty.database)
    assert (await refusal(empty)).problem == "it holds tables of another program: resources"
    with pytest.raises(Unavailable, match="another program"):
        await migrate_postgres(empty)
    tables = await postgres.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'", database=empty.database)
    assert [row["tablename"] for row in tables] == ["resources"]


async def test_the_migrations_make_the_tables_that_the_statements_use(settings: PostgresSettings) -> None:
    def differences(connection: sa.Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE, "compare_type": True})
        return list(compare_metadata(context, tables.metadata))

    database = PostgresDatabase(settings, patience=None)
    assert await database.read(differences) == []
    await database.close()


@pytest.mark.parametrize(
    ("wrong", "problem", "hint"),
    [
        ({"password": "wrong"}, "authentication failed", "postgres_password"),
        ({"user": "nobody"}, "authentication failed", "postgres_user"),
        ({"database": "missing"}, "does not exist", "postgres_db_name"),
        ({"port": 1}, "Connect call failed", "postgres_port"),
        ({"host": "no-such-host.invalid"}, "ame", "postgres_host"),
        ({"tls_mode": TlsMode.VERIFY_FULL}, "rejected SSL upgrade", "postgres_tls_mode"),
        ({"tls_mode": TlsMode.VERIFY_NONE}, "rejected SSL upgrade", "postgres_tls_mode"),
        ({"tls_mode": TlsMode.VERIFY_CA, "tls_ca": Path("/missing.pem")}, "/missing.pem cannot be used", "PEM"),
        ({"tls_mode": TlsMode.VERIFY_CA, "tls_ca": Path(__file__)}, "cannot be used", "PEM"),
    ],
    ids=str,
)
async def test_what_is_set_wrong_is_named(
    settings: PostgresSettings, wrong: dict[str, object], problem: str, hint: str
) -> None:
    refused = await refusal(replace(settings, **wrong))  # type: ignore[arg-type]
    assert problem in refused.problem
    assert hint in refused.hint


async def test_a_user_without_rights_is_told_what_it_lacks(postgres: Server, settings: PostgresSettings) -> None:
    await postgres.sql("CREATE ROLE guest LOGIN PASSWORD 'Pa55-w0rd'")
    try:
        refused = await refusal(replace(settings, user="guest"))
        assert "permission denied" in refused.problem
        assert "GRANT" in refused.hint
        with pytest.raises(Unavailable, match="GRANT"):
            await migrate_postgres(replace(settings, user="guest"))
    finally:
        await postgres.sql("DROP ROLE guest")


GRANTS = """
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO app;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO app;
"""


async def test_the_documented_grants_are_enough_to_run(postgres: Server, settings: PostgresSettings) -> None:
    assert GRANTS.strip() in (Path(__file__).parents[2] / "docs" / "postgres.md").read_text()
    await postgres.sql("CREATE ROLE app LOGIN PASSWORD 'Pa55-w0rd'")
    try:
        for statement in GRANTS.strip().splitlines():
            await postgres.sql(statement, database=settings.database)
        async with open_postgres(replace(settings, user="app")) as store:
            await create(store, resource())
            assert (await store.list(Query())).revision == 1
    finally:
        await postgres.sql("DROP OWNED BY app", database=settings.database)
        await postgres.sql("DROP ROLE app")


async def test_no_more_connections_are_opened_than_allowed(postgres: Server, settings: PostgresSettings) -> None:
    async with open_postgres(replace(settings, max_connections=3)) as store:
        await create(store, resource())
        await asyncio.gather(
            *(store.list(Query()) for _ in range(50)), *(create(store, resource(f"{n}")) for n in range(9))
        )
        counted = await postgres.sql("SELECT count(*) FROM pg_stat_activity WHERE datname = $1", settings.database)
        assert counted[0][0] <= 3


async def test_when_all_connections_are_in_use_that_is_said(postgres: Server, settings: PostgresSettings) -> None:
    narrow = replace(settings, max_connections=3, connection_timeout=0.3)
    async with open_postgres(narrow) as store:
        database = PostgresDatabase(settings, patience=None)
        session = database.session()
        await session.run(lambda connection: connection.exec_driver_sql("LOCK TABLE resources"))
        waiting = [asyncio.create_task(store.list(Query())) for _ in range(2)]
        with pytest.raises(Unavailable, match="postgres_max_connections"):
            await asyncio.wait_for(store.list(Query()), 10)
        assert not any(task.done() for task in waiting)
        await session.close()
        await database.close()
        assert [listing.items for listing in await asyncio.gather(*waiting)] == [(), ()]


async def test_a_server_without_room_for_a_connection_is_named(postgres: Server, settings: PostgresSettings) -> None:
    await postgres.sql("CREATE ROLE narrow LOGIN PASSWORD 'Pa55-w0rd' SUPERUSER CONNECTION LIMIT 0")
    await postgres.sql("ALTER ROLE narrow NOSUPERUSER")
    try:
        assert "postgres_max_connections" in (await refusal(replace(settings, user="narrow"))).hint
    finally:
        await postgres.sql("DROP ROLE narrow")


async def test_a_server_that_takes_no_writes_is_named(postgres: Server, settings: PostgresSettings) -> None:
    await postgres.sql(f"ALTER DATABASE {settings.database} SET default_transaction_read_only = on")
    assert "primary" in (await refusal(settings)).hint


async def test_odd_names_are_quoted(postgres: Server) -> None:
    odd = 'odd "%name; DROP'
    await postgres.sql('CREATE DATABASE "odd ""%name; DROP"')
    try:
        settings = postgres.settings(odd)
        await migrate_postgres(settings)
        async with open_postgres(settings) as store:
            await create(store, resource())
    finally:
        await postgres.sql('DROP DATABASE "odd ""%name; DROP" WITH (FORCE)')


async def test_no_message_and_no_log_holds_the_password(
    settings: PostgresSettings, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    texts = [repr(settings)]
    for wrong in ({"user": "nobody"}, {"database": "missing"}, {"port": 1}, {"host": "127.0.0.2", "port": 1}):
        refused = await refusal(replace(settings, **wrong))  # type: ignore[arg-type]
        texts += traceback.format_exception(refused)
    said = capsys.readouterr()
    texts += [said.out, said.err, caplog.text]
    assert "nobody" in "".join(texts)
    assert settings.password not in "".join(texts)


async def test_going_to_a_distant_database_unprotected_is_warned_of(
    settings: PostgresSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    for host, warned in (("127.0.0.2", True), ("127.0.0.1", False)):
        await refusal(replace(settings, host=host, port=1))
        assert ("private keys" in capsys.readouterr().out) == warned
