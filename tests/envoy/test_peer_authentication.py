"""What each scope and mode of PeerAuthentication lets in: plaintext, mutual TLS, and the mesh's own callers."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from outrig.resources import Resource
from tests.envoy.render_scene import DOMAIN, Scene, connection, echo_http, pair, running_scene, until
from tests.mesh_making import NOON, deleted, demand

pytestmark = pytest.mark.slow

ROOT = "istio-system"
WEB = f"spiffe://{DOMAIN}/ns/shop/sa/web"
STRICT, PERMISSIVE, DISABLE = "STRICT", "PERMISSIVE", "DISABLE"


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    """`web` calls `app`."""
    async with running_scene(tmp_path) as scene, echo_http("app") as port:
        scene.add_app("app", port, silent=True)
        scene.add_app("web", hosts=["./app.shop.svc.cluster.local"])
        await scene.start("a1", "app")
        await scene.start("w1", "web")
        yield scene


def on_port(scene: Scene, mode: str, of_port: str) -> Resource:
    return demand("app", mode, app="app", **{f"p{scene.port}": of_port})


def older(made: Resource) -> Resource:
    return replace(made, created=NOON - timedelta(days=1))


def cases(scene: Scene) -> Iterable[tuple[str, list[Resource], str]]:
    """What is applied, and the mode that then holds for `app`."""
    relaxed, strict = demand("default", PERMISSIVE, ROOT), demand("default", STRICT, ROOT)
    yield "nothing", [], STRICT
    for mode in (STRICT, PERMISSIVE, DISABLE):
        other = strict if mode != STRICT else relaxed
        ours = demand("default", other.spec["mtls"]["mode"])
        yield f"mesh {mode}", [demand("default", mode, ROOT)], mode
        yield f"namespace {mode}", [other, demand("default", mode)], mode
        yield f"workload {mode}", [ours, demand("app", mode, app="app")], mode
        yield f"port {mode}", [on_port(scene, ours.spec["mtls"]["mode"], mode)], mode
    yield "mesh unset", [demand("default", "UNSET", ROOT)], STRICT
    yield "namespace unset", [relaxed, demand("default", "UNSET")], PERMISSIVE
    yield "workload unset", [demand("default", PERMISSIVE), demand("app", "UNSET", app="app")], PERMISSIVE
    yield "port unset", [on_port(scene, PERMISSIVE, "UNSET")], PERMISSIVE
    yield "all unset", [demand("default", DISABLE, ROOT), on_port(scene, "UNSET", "UNSET")], DISABLE
    yield "another port", [demand("app", PERMISSIVE, app="app", p1=DISABLE)], PERMISSIVE
    yield "another workload", [demand("web", DISABLE, app="web")], STRICT
    yield "another namespace", [demand("default", DISABLE, "bank")], STRICT
    yield "selector in the root namespace", [demand("app", DISABLE, ROOT, app="app")], STRICT
    yield "oldest of the mesh", [demand("a", DISABLE, ROOT), older(demand("b", PERMISSIVE, ROOT))], PERMISSIVE
    yield "oldest of the namespace", [demand("a", DISABLE), older(demand("b", PERMISSIVE))], PERMISSIVE
    yield (
        "oldest of the workload",
        [demand("a", DISABLE, app="app"), older(on_port(scene, PERMISSIVE, DISABLE))],
        DISABLE,
    )


async def test_every_scope_and_mode_lets_in_what_it_says_and_callers_follow(scene: Scene) -> None:
    member = scene.tls(WEB, "mesh")
    for what, resources, mode in cases(scene):
        scene.apply(*resources)
        expected = {
            "plaintext": mode != STRICT,
            "mutual TLS": mode != DISABLE,
            "called by name": mode != DISABLE,
        }

        async def holds(expected: dict[str, bool] = expected) -> bool:
            return await let_in(scene, member) == expected

        try:
            await until(holds)
        except TimeoutError:
            pytest.fail(f"{what}: {await let_in(scene, member)}, expected {expected}")
        scene.board.apply(deleted(*resources))


async def let_in(scene: Scene, member: ssl.SSLContext) -> dict[str, bool]:
    """Whether plaintext and mutual TLS from a program get an answer, and whether a member's call shows who it is."""
    told = await scene.call("web", "app")
    named = "x-forwarded-client-cert" in told.json()["headers"] if told.status_code == 200 else None
    return {
        "plaintext": await is_answered(scene, None),
        "mutual TLS": await is_answered(scene, member),
        **({} if named is None else {"called by name": named}),
    }


async def is_answered(scene: Scene, tls: ssl.SSLContext | None) -> bool:
    try:
        async with asyncio.timeout(5), connection(scene.addresses["a1"], scene.port, tls) as (reader, writer):
            writer.write(b"GET / HTTP/1.1\r\nhost: app\r\nconnection: close\r\n\r\n")
            return (await reader.read()).startswith(b"HTTP/1.1 200")
    except (ConnectionError, ssl.SSLError):
        return False


async def test_on_a_permissive_port_of_bytes_an_applications_own_tls_passes_through(tmp_path: Path) -> None:
    """The program's certificate is shown, not the proxy's; members of the mesh reach the same program."""
    async with running_scene(tmp_path) as scene:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        chain, key = pair(scene.authority, "spiffe://own/program")
        (tmp_path / "own.pem").write_text(chain + key)
        context.load_cert_chain(tmp_path / "own.pem")

        async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write((await reader.readexactly(5)).upper())
            await writer.drain()
            writer.close()

        async with await asyncio.start_server(shout, "127.0.0.1", 0, ssl=context) as server:
            scene.apply(demand("relaxed", PERMISSIVE))
            scene.add_app("app", server.sockets[0].getsockname()[1], silent=True, protocol="TCP")
            scene.add_app("web", hosts=["./app.shop.svc.cluster.local"])
            await scene.start("a1", "app")
            await scene.start("w1", "web")
            plain = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            plain.check_hostname, plain.verify_mode = False, ssl.CERT_NONE
            for place in (scene.addresses["a1"], scene.binds["web"]):
                async with asyncio.timeout(10), connection(place, scene.port, plain) as (reader, writer):
                    assert b"spiffe://own/program" in writer.get_extra_info("ssl_object").getpeercert(True)
                    writer.write(b"hello")
                    assert await reader.readexactly(5) == b"HELLO"
