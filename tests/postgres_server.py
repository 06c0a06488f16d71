"""A PostgreSQL server for the tests of a process, and a database on it for each that asks.

`postgres` is a session's server; `database` makes an empty, migrated database and drops it afterwards. Both speak to
the real server of `examples.postgres.server`.
"""

import itertools
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from examples.postgres.server import PostgresServer
from outrig.store.postgres import migrate_postgres
from outrig.store.settings import PostgresSettings

TEMPLATE = "migrated"

_numbers = itertools.count()


@dataclass
class Server:
    """A running server; `template` is an empty database of the current schema, made when first needed."""

    process: PostgresServer
    has_template: bool = False

    def settings(self, database: str, **rest: Any) -> PostgresSettings:
        whole = {"port": self.process.port, "user": "postgres", "password": self.process.password, **rest}
        return PostgresSettings(database=database, **whole)

    async def sql(self, statement: str, *arguments: object, database: str = "postgres") -> Any:
        """What a statement gives, on a connection of its own."""
        settings = self.settings(database)
        connection = await asyncpg.connect(
            host=settings.host, port=settings.port, user=settings.user, password=settings.password, database=database
        )
        try:
            return await connection.fetch(statement, *arguments)
        finally:
            await connection.close()

    @asynccontextmanager
    async def database(self, *, migrated: bool = True) -> AsyncIterator[PostgresSettings]:
        """An empty database, for as long as the context lasts."""
        if migrated and not self.has_template:
            await self.sql(f"CREATE DATABASE {TEMPLATE}")
            await migrate_postgres(self.settings(TEMPLATE))
            self.has_template = True
        name = f"test_{next(_numbers)}"
        await self.sql(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE if migrated else 'template0'}")
        try:
            yield self.settings(name)
        finally:
            await self.sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def through(self, settings: PostgresSettings, port: int) -> PostgresSettings:
        """The same database, reached through another port."""
        return replace(settings, port=port)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data = tmp_path_factory.mktemp("postgres") / "data"
    process = PostgresServer(data, password="Pa55-w0rd")
    process.start()
    try:
        yield Server(process)
    finally:
        process.kill()
        shutil.rmtree(data)


def own_server(directory: Path) -> PostgresServer:
    """A server that a test may stop and kill."""
    return PostgresServer(directory / "data", password="Pa55-w0rd")
