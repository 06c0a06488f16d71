"""Two replicas of the control plane, each a process of its own, on one PostgreSQL, and what proxies notice of it."""

import asyncio
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from examples.postgres.server import PostgresServer
from outrig.store.postgres import migrate_postgres
from outrig.store.settings import PostgresSettings
from outrig.wire.stream import Rejoin, Withdrawn
from tests.attacks.scene import AwsServer
from tests.e2e.bad_input import (
    DEADLINE,
    GUIDE,
    Answer,
    ControlPlane,
    eventually,
    joined,
    read_answer,
    settings_of,
    start,
    wait_ready,
    written,
)
from tests.e2e.sidecars import Sidecar, present
from tests.postgres_server import own_server

pytestmark = pytest.mark.slow

SERVICE = """{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "%s", "namespace": "bookinfo"},
 "spec": {"selector": {"app": "ratings"}, "ports": [{"name": "http", "port": 9080}]}}"""
CALLERS = """
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: everybody, namespace: bookinfo}
spec: {egress: [{bind: 127.0.0.2, port: {number: 9080, protocol: HTTP, name: http}, hosts: ["./*"]}]}
"""
SERVICES = "/api/v1/namespaces/bookinfo/services"


@dataclass
class Scene:
    """The database, AWS, and the replicas."""

    directory: Path
    postgres: PostgresServer
    aws: AwsServer
    role: str
    replicas: list[ControlPlane]

    def sidecar(self, home: int) -> Sidecar:
        """One that has joined at that replica, and prefers it."""
        plane = self.replicas[home]
        eventually(partial(_takes_joins, plane), f"no joins at {plane.data}")  # agents try again too
        return Sidecar(joined(plane, self.aws.task(self.role), self.directory), [plane, self.replicas[1 - home]])

    def launch(self, *names: str) -> None:
        """Further replicas, started at once, ready."""
        settings = {"join_rate": "1000", "join_burst": "1000", "disconnect_grace": "4s"}
        for data in (self.directory / name for name in names):
            environment = settings_of(data, self.aws, **settings) | self.database()
            log = data.with_suffix(".log")
            self.replicas.append(ControlPlane(environment, start(environment, log), log))
        for plane in self.replicas[-len(names) :]:
            wait_ready(plane.process, plane.log)

    def database(self) -> dict[str, str]:
        """The settings that name it."""
        prefix = "KUMA_STORE_POSTGRES_"
        where = {"HOST": "127.0.0.1", "PORT": str(self.postgres.port), "USER": "postgres", "DB_NAME": "postgres"}
        whole = where | {"PASSWORD": self.postgres.password, "TLS_MODE": "disable"}
        return {"KUMA_STORE_TYPE": "postgres"} | {prefix + name: value for name, value in whole.items()}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Two replicas that first start together; whatever happens to them, no traceback is in their logs."""
    tmp_path = tmp_path_factory.mktemp("replicas")
    with ExitStack() as stack:
        postgres, aws = own_server(tmp_path), AwsServer()
        stack.callback(aws.close)
        stack.callback(postgres.kill)
        postgres.start()
        asyncio.run(migrate_postgres(_settings(postgres)))
        made = Scene(tmp_path, postgres, aws, aws.role("ratings"), [])
        stack.callback(lambda: [_end(plane) for plane in made.replicas])
        made.launch("a", "b")
        applied = made.replicas[0].kubectl("apply", "-f", "-", stdin=GUIDE + CALLERS)
        assert applied.returncode == 0, applied.stderr
        assert create(made.replicas[1], "ratings").status == 201
        yield made
        assert [plane.stop() for plane in made.replicas] == [0, 0]
    for log in tmp_path.glob("?.log"):
        assert "Traceback" not in log.read_text(errors="replace"), log.read_text(errors="replace")


def _settings(postgres: PostgresServer) -> PostgresSettings:
    return PostgresSettings(port=postgres.port, user="postgres", password=postgres.password, database="postgres")


def _takes_joins(plane: ControlPlane) -> bool:
    return read_answer(plane.send("agents", written("POST", "/v1/challenge"))).status == 200


def _end(plane: ControlPlane) -> None:
    if plane.process.poll() is None:
        plane.process.kill()
        plane.process.wait()
    if plane.process.stdout:
        plane.process.stdout.close()


def create(plane: ControlPlane, name: str) -> Answer:
    """Add a Service in front of all sidecars."""
    return plane.api("POST", SERVICES, (SERVICE % name).encode())


async def asked(plane: ControlPlane, name: str) -> int:
    """The status of adding it, the loop running on."""
    return (await asyncio.to_thread(create, plane, name)).status


def cluster(name: str) -> str:
    """The cluster of such a Service."""
    return f"outbound|9080||{name}.bookinfo.svc.cluster.local"


def nobody_missed(sidecars: list[Sidecar], addresses: set[str]) -> bool:
    """Whether no sidecar has ever been without one of these, once it had it."""
    return not [one for one in sidecars if one.missed & addresses]


async def all_see(sidecars: list[Sidecar], name: str, addresses: set[str] | None) -> None:
    """Until every one of them has exactly these endpoints of a Service; None: it does not know the Service."""
    async with asyncio.TaskGroup() as waits:
        for sidecar in sidecars:
            waits.create_task(sidecar.wait(lambda sidecar=sidecar: sidecar.endpoints.get(cluster(name)) == addresses))


@asynccontextmanager
async def crowd(scene: Scene, count: int = 6) -> AsyncIterator[tuple[list[Sidecar], set[str]]]:
    """Sidecars, half of them at each replica, that see each other; and their addresses."""
    sidecars = [await asyncio.to_thread(scene.sidecar, number % 2) for number in range(count)]
    addresses = {sidecar.address for sidecar in sidecars}
    async with present(*sidecars):
        await all_see(sidecars, "ratings", addresses)
        yield sidecars, addresses


def test_the_administrators_credentials_of_one_replica_are_good_on_the_other(scene: Scene) -> None:
    a, b = scene.replicas
    for here, there in ((a, b), (b, a)):
        asked = written("GET", SERVICES, authorization=f"Bearer {here.token}")
        assert read_answer(there.send("apiHttps", asked)).status == 200
        port = there.ports["apiHttps"]
        listed = here.kubectl("get", "services", "-n", "bookinfo", f"--server=https://127.0.0.1:{port}")
        assert "ratings" in listed.stdout, listed.stderr


def test_a_role_that_is_given_or_taken_on_one_replica_counts_on_both(scene: Scene) -> None:
    path = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
    subjects = [{"kind": "User", "name": "bob"}]
    body = {"metadata": {"name": "readers"}, "subjects": subjects, "roleRef": {"kind": "ClusterRole", "name": "view"}}
    document = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", **body}
    for here, there in (scene.replicas, scene.replicas[::-1]):
        for method, at, code in (("POST", path, 201), ("DELETE", f"{path}/readers", 200)):
            changed = here.api(method, at, json.dumps(document).encode() if method == "POST" else b"")
            assert changed.status == code
            wanted = 200 if method == "POST" else 403
            assert as_bob(here) == wanted, "where it was written it counts before the answer"
            eventually(lambda there=there, wanted=wanted: as_bob(there) == wanted, "the other replica hears of it")


def as_bob(plane: ControlPlane) -> int:
    """What a user is answered who has only what is bound to that user."""
    asked = written("GET", SERVICES, authorization=f"Bearer {plane.token}", impersonate_user="bob")
    return read_answer(plane.send("apiHttps", asked)).status


async def test_writes_reach_every_proxy_and_a_drain_waits_for_all(scene: Scene) -> None:
    async with crowd(scene) as (sidecars, addresses):
        for number, plane in enumerate(scene.replicas):
            assert await asked(plane, f"from-{number}") == 201
            await all_see(sidecars, f"from-{number}", addresses)
        for leaver in (sidecars.pop(), sidecars.pop(0)):
            await leaver.drain()
            assert Withdrawn(complete=True) in leaver.messages
            assert not [one for one in sidecars if leaver.address in one.endpoints[cluster("ratings")]]


async def test_moving_between_replicas_is_noticed_by_nobody(scene: Scene) -> None:
    async with crowd(scene) as (sidecars, addresses):
        for turn in range(4):
            for sidecar in sidecars:
                await sidecar.move()
            assert await asked(scene.replicas[turn % 2], f"turn-{turn}") == 201
            await all_see(sidecars, f"turn-{turn}", addresses)
        assert nobody_missed(sidecars, addresses)


async def test_a_replica_killed_amid_writes_loses_nothing_and_withdraws_nobody(scene: Scene) -> None:
    async with crowd(scene) as (sidecars, addresses):
        first, second = scene.replicas
        accepted = [name for name in map("s{}".format, range(15)) if await asked(first, name) == 201]
        half = asyncio.Event()
        busy = asyncio.create_task(write_on(second, "t", half=asyncio.Event()))
        racing = asyncio.create_task(write_on(first, "u", half=half))
        await half.wait()
        first.process.kill()
        accepted += await racing
        accepted += await busy
        for name in accepted:
            await all_see(sidecars, name, addresses)
        assert len(accepted) > 30
        assert nobody_missed(sidecars, addresses)
        leaver = sidecars.pop()
        await leaver.drain()
        assert not [one for one in sidecars if leaver.address in one.endpoints[cluster("ratings")]]
    scene.replicas.remove(first)
    await asyncio.to_thread(_end, first)
    await asyncio.to_thread(scene.launch, "c")


async def write_on(plane: ControlPlane, prefix: str, *, half: asyncio.Event) -> list[str]:
    """Add Services until that fails, or there are fifteen; gives those that were accepted. `half`: set amid them."""
    accepted: list[str] = []
    for number in range(15):
        if number == 7:
            half.set()
        try:
            status = await asked(plane, f"{prefix}{number}")
        except (OSError, AssertionError):  # no answer, or half of one
            return accepted
        assert status == 201
        accepted.append(f"{prefix}{number}")
    return accepted


async def test_without_a_database_proxies_keep_what_they_have_and_then_all_goes_on(scene: Scene) -> None:
    async with crowd(scene) as (sidecars, addresses):
        away = await asyncio.to_thread(scene.sidecar, 0)
        async with present(away):
            await all_see(sidecars, "ratings", {*addresses, away.address})
            with frozen(scene):
                assert await asked_at_once(scene, "lost-{}") == [503, 503]
            await asyncio.to_thread(scene.postgres.kill)
            assert await asked_at_once(scene, "lost-too-{}") == [503, 503]
        for plane in scene.replicas:  # so often that a silent replica would be dead, and every grace over
            await asyncio.to_thread(eventually, partial(_has_missed_beats, plane, 5), "the beats go on")
        assert [one.endpoints[cluster("ratings")] for one in sidecars] == [{*addresses, away.address}] * len(sidecars)
        scene.postgres.start()  # not in a thread: it ends with the thread that started it
        for number, plane in enumerate(scene.replicas):
            await accepted_in_the_end(plane, f"found-{number}")
        await all_see(sidecars, "ratings", addresses)  # the grace of the one that went is over, and nobody else's
        for number in range(len(scene.replicas)):
            await all_see(sidecars, f"found-{number}", addresses)
        assert nobody_missed(sidecars, addresses)
        assert not {name for one in sidecars for name in one.endpoints if "lost" in name}


@contextmanager
def frozen(scene: Scene) -> Iterator[None]:
    """The database says nothing and takes everything: each of its processes stands still."""
    processes = scene.postgres.processes()
    for pid in processes:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in processes:
            os.kill(pid, signal.SIGCONT)


async def asked_at_once(scene: Scene, name: str) -> list[int]:
    """The statuses of adding such a Service at each replica."""
    return await asyncio.gather(*(asked(plane, name.format(n)) for n, plane in enumerate(scene.replicas)))


def _has_missed_beats(plane: ControlPlane, count: int) -> bool:
    return plane.log.read_text().count("no sign of life given") >= count


async def accepted_in_the_end(plane: ControlPlane, name: str) -> None:
    """Add a Service as soon as the database can take it."""
    async with asyncio.timeout(DEADLINE):
        while (status := await asked(plane, name)) != 201:
            assert status == 503
            await asyncio.sleep(0.1)


async def test_proxies_converge_on_a_database_that_was_put_back(scene: Scene) -> None:
    async with crowd(scene) as (sidecars, addresses):
        await accepted_in_the_end(scene.replicas[0], "before")
        await all_see(sidecars, "before", addresses)
        with backup(scene):
            await accepted_in_the_end(scene.replicas[0], "after")
            late = await asyncio.to_thread(scene.sidecar, 1)
            async with present(late):
                await all_see([*sidecars, late], "after", {*addresses, late.address})
                path = f"{SERVICES}/before"
                assert (await asyncio.to_thread(scene.replicas[1].api, "DELETE", path)).status == 200
                await asyncio.to_thread(scene.postgres.stop)
                put_back(scene)
                scene.postgres.start()
                await late.wait(lambda: any(isinstance(message, Rejoin) for message in late.messages))
                await all_see(sidecars, "before", addresses)
                await all_see(sidecars, "after", None)
        await accepted_in_the_end(scene.replicas[0], "again")
        await all_see(sidecars, "again", addresses)


@contextmanager
def backup(scene: Scene) -> Iterator[None]:
    """A copy of the database as it is now."""
    scene.postgres.stop()
    shutil.copytree(scene.directory / "data", scene.directory / "copy")
    scene.postgres.start()
    yield


def put_back(scene: Scene) -> None:
    """The database is again what was copied."""
    shutil.rmtree(scene.directory / "data")
    (scene.directory / "copy").rename(scene.directory / "data")
