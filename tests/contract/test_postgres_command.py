"""`outrig cp` against a real database: migrating it, refusing one that is not migrated."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from outrig.store.postgres import open_postgres
from outrig.store.settings import PostgresSettings
from tests.contract.store_making import create, resource
from tests.postgres_server import Server

pytestmark = pytest.mark.slow

COMMAND = (sys.executable, "-m", "outrig", "cp", "migrate", "up")
PORTS = ("agents", "onboarding", "xds", "diagnostics", "api_http", "api_https")


def environment(settings: PostgresSettings, **rest: str) -> dict[str, str]:
    ours = {
        "OUTRIG_STORE_TYPE": "postgres",
        "OUTRIG_POSTGRES_PORT": str(settings.port),
        "OUTRIG_POSTGRES_USER": settings.user,
        "OUTRIG_POSTGRES_PASSWORD": settings.password,
        "OUTRIG_POSTGRES_DB_NAME": settings.database,
    }
    ports = {f"OUTRIG_{name.upper()}_PORT": "0" for name in PORTS}
    return {"PATH": os.environ["PATH"], "OUTRIG_LOOPBACK_IS_ADMIN": "true", **ports, **ours, **rest}


def migrate_up(settings: PostgresSettings, **rest: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(COMMAND, env=environment(settings, **rest), capture_output=True, text=True)


async def test_it_says_what_it_did_and_the_second_time_that_nothing_is_left_to_do(postgres: Server) -> None:
    async with postgres.database(migrated=False) as settings:
        first, second = migrate_up(settings), migrate_up(settings)
        assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
        assert "migrated from nothing to" in first.stdout
        assert "nothing to do" in second.stdout
        async with open_postgres(settings) as store:
            await create(store, resource())


async def test_several_at_once_all_succeed_and_one_does_it(postgres: Server) -> None:
    async with postgres.database(migrated=False) as settings:
        started = [
            subprocess.Popen(COMMAND, env=environment(settings), stdout=subprocess.PIPE, text=True) for _ in range(3)
        ]
        said = [process.communicate()[0] for process in started]
        assert [process.returncode for process in started] == [0, 0, 0]
        assert sum("migrated from nothing" in text for text in said) == 1


async def test_a_refusal_is_one_line_and_status_2(postgres: Server) -> None:
    async with postgres.database(migrated=False) as settings:
        refused = migrate_up(settings, OUTRIG_POSTGRES_PASSWORD="wr0ng-0ne")
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert refused.stderr.startswith("OUT205 postgres")
    assert "postgres_password" in refused.stderr
    assert "wr0ng-0ne" not in refused.stdout + refused.stderr


def test_of_a_sqlite_file_there_is_nothing_to_migrate() -> None:
    done = subprocess.run(COMMAND, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "nothing to do" in done.stdout


async def test_a_control_plane_refuses_a_database_that_is_not_migrated(postgres: Server, tmp_path: Path) -> None:
    async with postgres.database(migrated=False) as settings:
        run = (*COMMAND[:-2], "run", "--data-dir", str(tmp_path / "home"))
        refused = subprocess.run(run, env=environment(settings), capture_output=True, text=True)
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert "outrig cp migrate up" in refused.stderr
