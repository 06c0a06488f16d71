"""Permissions where bytes are carried: a new connection ends with its first byte; streams that flow already flow on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from outrig.snapshot import EXTENSION, ProxyId
from tests.envoy.render_scene import Scene, connection, echo_tcp, running_scene, until
from tests.mesh_making import added, deleted, document, mesh
from tests.ports import free_port
from tests.truth_table import permission, policy, source

pytestmark = pytest.mark.slow

GREETING = b"server speaks first\n"
WEB = "cluster.local/ns/shop/sa/web"


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    """`web` and `job` call `db`, which speaks first."""
    async with running_scene(tmp_path) as scene, echo_tcp(GREETING) as port:
        scene.add_app("db", port, silent=True, protocol="TCP")
        await scene.start("d1", "db")
        for app in ("web", "job"):
            scene.add_app(app, hosts=["./db.shop.svc.cluster.local"])
            await scene.start(f"{app}-1", app)
        yield scene


async def answer(address: str, port: int) -> bytes:
    """What a new connection hears after it has said `hello`, until that comes back or the connection ends."""
    heard = b""
    async with asyncio.timeout(10), connection(address, port) as (reader, writer):
        with suppress(ConnectionError):
            writer.write(b"hello")
            while not heard.endswith(b"hello") and (piece := await reader.read(100)):
                heard += piece
    return heard


async def becomes(scene: Scene, app: str, *, served: bool) -> None:
    """Wait until new connections of an application are served, or are not."""

    async def so() -> bool:
        return (await answer(scene.binds[app], scene.port)).endswith(b"hello") == served

    await until(so)


async def test_who_loses_permission_is_refused_anew_and_keeps_the_streams_that_flow(scene: Scene) -> None:
    """No listener changes, so that nobody else's stream is cut either."""
    denial = policy("no-web", "DENY", source(principals=[WEB]), app="db")
    async with (
        connection(scene.binds["web"], scene.port) as (reader, writer),
        connection(scene.binds["job"], scene.port) as (other_reader, other_writer),
    ):
        pairs = ((reader, writer), (other_reader, other_writer))
        for one, other in pairs:
            assert await one.readexactly(len(GREETING)) == GREETING
            other.write(b"before")
            assert await one.readexactly(6) == b"before"
        dirty = scene.board.world.apply(added(denial))
        assert dirty == {ProxyId("shop/d1"): {EXTENSION: {f"inbound|{scene.port}|tcp|deny"}}}
        scene.board.tell(dirty)
        await becomes(scene, "web", served=False)
        assert (await answer(scene.binds["job"], scene.port)).endswith(b"hello")
        for one, other in pairs:
            other.write(b"after")
            assert await one.readexactly(5) == b"after"
    scene.board.apply(deleted(denial))
    await becomes(scene, "web", served=True)


async def test_the_log_names_the_rule_and_the_caller(scene: Scene) -> None:
    scene.apply(policy("no-web", "DENY", source(principals=[WEB]), app="db"))
    await becomes(scene, "web", served=False)

    async def logged() -> bool:
        return "refused: connection" in scene.log("d1")

    await until(logged)
    line = next(line for line in scene.log("d1").splitlines() if "refused: connection" in line)
    assert line.partition("] ")[2] == (
        f"refused: connection to {scene.addresses['d1']}:{scene.port} from spiffe://{WEB} at 127.0.0.1 by "
        "rbac_access_denied_matched_policy[ns[shop]-policy[no-web]-rule[0]]"
    )


async def test_rules_about_requests_deny_by_the_rest_and_allow_nothing(scene: Scene) -> None:
    get = {"to": [{"operation": {"methods": ["GET"]}}]}
    scene.apply(policy("one", "DENY", {**get, **source(principals=[WEB])}, app="db"))
    await becomes(scene, "web", served=False)
    assert (await answer(scene.binds["job"], scene.port)).endswith(b"hello")
    scene.apply(policy("one", "ALLOW", get, app="db"))
    await becomes(scene, "job", served=False)
    scene.apply(policy("one", "ALLOW", get, {"to": [{"operation": {"ports": [str(scene.port)]}}]}, app="db"))
    for app in ("web", "job"):
        await becomes(scene, app, served=True)


async def test_a_rehearsal_is_logged_and_lets_pass(scene: Scene) -> None:
    made = policy("no-web", "DENY", source(principals=[WEB]), app="db")
    scene.apply(replace(made, annotations={"istio.io/dry-run": "true"}))

    async def logged() -> bool:
        assert (await answer(scene.binds["web"], scene.port)).endswith(b"hello")
        return "dry run, would be refused: connection" in scene.log("d1")

    await until(logged)
    line = next(line for line in scene.log("d1").splitlines() if "dry run" in line)
    assert line.endswith(
        f"from spiffe://{WEB} at 127.0.0.1 by rbac_access_denied_matched_policy[ns[shop]-policy[no-web]-rule[0]]"
    )


async def test_a_dataplane_of_bytes_takes_only_whom_a_permission_allows(tmp_path: Path) -> None:
    """In plaintext nobody is named; with mutual TLS and no permission everybody is refused."""
    async with running_scene(tmp_path) as scene, echo_tcp() as port:
        scene.apply(mesh(mode=""))
        out, inbound = free_port(), free_port()
        await scene.start_dataplane(
            "redis", inbound=[{"port": inbound, "servicePort": port, "tags": {"kuma.io/service": "redis"}}]
        )
        await scene.start_dataplane(
            "demo",
            inbound=[{"port": free_port(), "tags": {"kuma.io/service": "demo"}}],
            outbound=[{"port": out, "tags": {"kuma.io/service": "redis"}}],
        )

        async def becomes_served(served: bool) -> None:
            async def so() -> bool:
                return (await answer("127.0.0.1", out) == b"hello") == served

            await until(so)

        await becomes_served(True)
        scene.apply(mesh())
        await becomes_served(False)
        scene.apply(permission("one", "Allow", of={"kind": "MeshService", "name": "demo"}))
        await becomes_served(True)
        lists = {"deny": [{"spiffeID": {"type": "Prefix", "value": "spiffe://default/"}}]}
        spec = {"rules": [{"default": lists}]}
        scene.apply(document({"type": "MeshTrafficPermission", "mesh": "default", "name": "no", "spec": spec}))
        await becomes_served(False)
