"""`outrig cp` against a real database: migrating it, refusing one that is not migrated, running twice on one."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from outrig.store.postgres import open_postgres
from outrig.store.settings import PostgresSettings
from tests.contract.store_making import create, resource
from tests.postgres_server import Server, own_server

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


class Plane:
    """A control plane in a process of its own."""

    def __init__(self, settings: PostgresSettings, home: Path) -> None:
        run = (*COMMAND[:-2], "run", "--data-dir", str(home))
        self._home = home
        self.process = subprocess.Popen(run, env=environment(settings), stdout=subprocess.PIPE, text=True)

    def wait_ready(self) -> None:
        assert self.process.stdout is not None
        assert any(line.startswith("  ports") for line in self.process.stdout)
        ports = json.loads((self._home / "ports.json").read_text())
        self._url = f"http://127.0.0.1:{ports['apiHttp']}/api/v1/namespaces"

    def create(self, name: str) -> int:
        document = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        return httpx.post(self._url, json=document, timeout=30).status_code

    def find(self, name: str) -> int:
        return httpx.get(f"{self._url}/{name}", timeout=30).status_code

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=60)
        return self.process.returncode


def first_but_503(ask: Callable[[], int]) -> int:
    bound = time.monotonic() + 60
    while (status := ask()) == 503 and time.monotonic() < bound:
        time.sleep(0.1)
    return status


def test_two_control_planes_that_first_start_together_share_a_database_and_outlive_its_restart(tmp_path: Path) -> None:
    server = own_server(tmp_path)
    server.start()
    settings = PostgresSettings(port=server.port, user="postgres", password=server.password, database="postgres")
    assert migrate_up(settings).returncode == 0
    planes = [Plane(settings, tmp_path / name) for name in ("one", "two")]
    try:
        for plane in planes:
            plane.wait_ready()
        one, two = planes
        assert one.create("shop") == 201
        assert two.find("shop") == 200
        server.kill()
        assert [plane.create("never") for plane in planes] == [503, 503]
        server.start()
        assert first_but_503(lambda: two.create("after")) == 201
        assert first_but_503(lambda: one.find("after")) == 200
        assert one.find("never") == 404
        assert [plane.stop() for plane in planes] == [0, 0]
    finally:
        for plane in planes:
            plane.process.kill()
            plane.process.communicate()
        server.kill()
