"""ServiceEntries, and services behind which not everybody is a member, between real proxies and real programs."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from outrig.resources import Resource
from tests.envoy.render_scene import (
    Scene,
    connection,
    echo_http,
    pair,
    running_scene,
    some_address,
    until,
)
from tests.envoy.test_render_protocols import bidirectional, grpc_echo
from tests.mesh_making import deleted, make
from tests.ports import free_port

pytestmark = pytest.mark.slow

LOOKED_UP = "ext.localhost"  # any name under localhost is looked up without asking anybody


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    """`web` imports whatever there is."""
    async with running_scene(tmp_path) as scene:
        scene.add_app("web", hosts=["*/*"])
        yield scene


def entry(scene: Scene, name: str, host: str, **spec: Any) -> Resource:
    """A ServiceEntry with the scene's port; `target` is the endpoints' own."""
    port = {"number": scene.port, "name": "http", "protocol": spec.pop("protocol", "HTTP")}
    port |= {"targetPort": spec.pop("target")} if "target" in spec else {}
    return make("ServiceEntry", name, "shop", {"hosts": [host], "ports": [port], **spec})


async def answer(scene: Scene, host: str) -> Any:
    """What the application behind a host was sent."""
    response = await scene.call("web", host)
    assert response.status_code == 200, (host, response.text, scene.log("w1"))
    return response.json()


async def test_each_resolution_leads_to_the_application_in_its_own_protocol(scene: Scene, tmp_path: Path) -> None:
    async with echo_http("plain") as port, echo_http("socket", path=str(tmp_path / "app.sock")):
        told = {"endpoints": [{"address": "127.0.0.1"}], "target": port, "resolution": "STATIC"}
        scene.apply(
            entry(scene, "static", "static.example.com", **told),
            entry(scene, "wild", "*.example.org", **told),
            entry(
                scene,
                "own-port",
                "own.example.com",
                resolution="STATIC",
                addresses=["240.0.0.9"],
                endpoints=[{"address": "127.0.0.1", "ports": {"http": port}}],
            ),
            entry(
                scene,
                "socket",
                "socket.example.com",
                resolution="STATIC",
                endpoints=[{"address": f"unix://{tmp_path}/app.sock"}],
            ),
            entry(scene, "dns", f"dns.{LOOKED_UP}", resolution="DNS", target=port),
            entry(scene, "one", f"one.{LOOKED_UP}", resolution="DNS_ROUND_ROBIN", target=port),
            entry(scene, "none", f"none.{LOOKED_UP}", resolution="NONE", target=port),
            entry(
                scene, "named", "named.example.com", resolution="DNS", endpoints=[{"address": LOOKED_UP}], target=port
            ),
        )
        await scene.start("w1", "web")
        hosts = ["static.example.com", "any.example.org", "own.example.com", "240.0.0.9", "named.example.com"]
        for host in [*hosts, *(f"{kind}.{LOOKED_UP}" for kind in ("dns", "one", "none"))]:
            told_app = await answer(scene, host)
            assert (told_app["app"], told_app["request"]) == ("plain", "GET / HTTP/1.1"), host
            assert told_app["headers"]["host"] == host
            assert "x-forwarded-client-cert" not in told_app["headers"]
        assert (await answer(scene, "socket.example.com"))["app"] == "socket"


async def test_weights_share_the_calls_out(scene: Scene) -> None:
    async with echo_http("heavy") as heavy, echo_http("light") as light:
        endpoints = [
            {"address": "127.0.0.1", "ports": {"http": heavy}, "weight": 9},
            {"address": "127.0.0.1", "ports": {"http": light}},
        ]
        scene.apply(entry(scene, "both", "both.example.com", resolution="STATIC", endpoints=endpoints))
        await scene.start("w1", "web")
        answered = [(await answer(scene, "both.example.com"))["app"] for _ in range(50)]
        assert 1 <= answered.count("light") <= 15


async def test_an_entry_inside_the_mesh_selects_tasks_and_calls_them_by_mutual_tls(scene: Scene) -> None:
    async with echo_http("app") as port:
        scene.add_app("app", port, silent=True)
        chosen = {"workloadSelector": {"labels": {"app": "app"}}, "location": "MESH_INTERNAL"}
        names = {"subjectAltNames": ["spiffe://cluster.local/ns/shop/sa/somebody-else"]}
        scene.apply(
            entry(scene, "inside", "inside.example.com", resolution="STATIC", **chosen),
            entry(scene, "looked-up", "looked-up.example.com", resolution="DNS", **chosen),
            entry(scene, "stranger", "stranger.example.com", resolution="STATIC", **chosen, **names),
        )
        await scene.start("a1", "app")
        await scene.start("w1", "web")
        for host in ("inside.example.com", "looked-up.example.com"):
            told = await answer(scene, host)
            assert told["headers"]["x-forwarded-client-cert"].endswith(";URI=spiffe://cluster.local/ns/shop/sa/web")
        assert (await scene.call("web", "stranger.example.com")).status_code == 503


async def test_tls_of_the_application_passes_through_to_an_external_host(scene: Scene) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    chain, key = pair(scene.authority, "spiffe://outside/server")
    (scene.directory / "server.pem").write_text(chain + key)
    context.load_cert_chain(scene.directory / "server.pem")

    async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.readexactly(5)).upper())
        await writer.drain()
        writer.close()

    bind, port = some_address(), free_port()
    server = await asyncio.start_server(shout, "127.0.0.1", 0, ssl=context)
    async with server:
        outside = {"number": port, "name": "tls", "protocol": "TLS", "targetPort": server.sockets[0].getsockname()[1]}
        egress = {"bind": bind, "port": {"number": port, "protocol": "TLS"}, "hosts": ["./api.localhost"]}
        scene.apply(
            make("ServiceEntry", "api", "shop", {"hosts": ["api.localhost"], "ports": [outside], "resolution": "DNS"}),
            make("Sidecar", "out", "shop", {"workloadSelector": {"labels": {"app": "cron"}}, "egress": [egress]}),
        )
        await scene.start("c1", "cron")
        plain = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        plain.check_hostname, plain.verify_mode = False, ssl.CERT_NONE
        async with connection(bind, port, plain) as (reader, writer):
            assert b"spiffe://outside/server" in writer.get_extra_info("ssl_object").getpeercert(True)
            writer.write(b"hello")
            assert await reader.readexactly(5) == b"HELLO"


async def test_a_name_that_nobody_knows_holds_up_neither_the_start_nor_other_services(scene: Scene) -> None:
    async with echo_http("plain") as port:
        scene.apply(
            entry(scene, "nowhere", "nowhere.invalid", resolution="DNS"),
            entry(scene, "dns", LOOKED_UP, resolution="DNS", target=port),
        )
        await scene.start("w1", "web")
        assert (await answer(scene, LOOKED_UP))["app"] == "plain"
        assert (await scene.call("web", "nowhere.invalid")).status_code == 503


async def test_entries_that_come_change_and_go_are_followed(scene: Scene) -> None:
    async with echo_http("one") as one, echo_http("two") as two:
        await scene.start("w1", "web")

        async def answers(expected: str | int) -> bool:
            response = await scene.call("web", LOOKED_UP)
            return expected in (response.status_code, response.json()["app"] if response.status_code == 200 else "")

        await until(lambda: answers(502))
        told = {"endpoints": [{"address": "127.0.0.1"}], "resolution": "STATIC"}
        changes: tuple[tuple[dict[str, Any], str], ...] = (
            ({"resolution": "DNS", "target": one}, "one"),
            ({"resolution": "DNS", "target": two}, "two"),
            ({**told, "target": one}, "one"),
            ({**told, "target": two}, "two"),
            ({"resolution": "DNS_ROUND_ROBIN", "target": one}, "one"),
        )
        for spec, app in changes:
            scene.apply(entry(scene, "ext", LOOKED_UP, **spec))
            await until(lambda app=app: answers(app))
        scene.board.apply(deleted(entry(scene, "ext", LOOKED_UP)))
        await until(lambda: answers(502))


async def test_members_and_plain_machines_behind_one_service_are_each_called_in_their_way(scene: Scene) -> None:
    """A user's entries: one without TLS, and one that says by its label that it speaks the mesh's."""
    async with echo_http("member") as member, echo_http("plain") as plain, echo_http("labelled") as labelled:
        scene.add_app("app", member, silent=True)
        scene.add_app("sheltered", labelled, silent=True)
        address = await scene.start("s1", "sheltered")
        known = {"address": address, "serviceAccount": "sheltered", "labels": {"security.istio.io/tlsMode": "istio"}}
        scene.apply(
            make("WorkloadEntry", "m1", "shop", {"address": "127.0.0.1", "ports": {"http": plain}}, app="app"),
            make("WorkloadEntry", "m2", "shop", known, app="app"),
        )
        await scene.start("a1", "app")
        await scene.start("w1", "web")
        seen: dict[str, set[tuple[str, bool]]] = {}
        for _ in range(60):
            told = await answer(scene, "app")
            way = (told["request"], "x-forwarded-client-cert" in told["headers"])
            seen.setdefault(told["app"], set()).add(way)
        assert seen == {
            "member": {("GET / HTTP/1.1", True)},
            "labelled": {("GET / HTTP/1.1", True)},
            "plain": {("GET / HTTP/1.1", False)},
        }


async def test_grpc_reaches_members_and_plain_machines_behind_one_http_service(scene: Scene) -> None:
    port = free_port()
    server = await grpc_echo(port)
    try:
        scene.add_app("app", port, silent=True)
        scene.apply(make("WorkloadEntry", "m1", "shop", {"address": "127.0.0.1", "ports": {"http": port}}, app="app"))
        await scene.start("a1", "app")
        await scene.start("w1", "web")

        async def called_both() -> bool:
            assert await bidirectional(f"{scene.binds['web']}:{scene.port}") == [b"one", b"two", b"three"]
            places = (f'"{scene.addresses["a1"]}:{scene.port}"', f'"127.0.0.1:{port}"')
            return all(place in scene.log("w1") for place in places)

        await until(called_both)
    finally:
        await server.stop(None)
