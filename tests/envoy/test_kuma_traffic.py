"""Dataplanes and the other dialect's tasks in one mesh, with real proxies: calls among them and across."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from outrig.model import WorkloadId
from outrig.resources import Key, Resource
from outrig.snapshot import ProxyId
from outrig.why import Ending, Known, Question, explain, parse_call
from tests.envoy.render_scene import (
    DOMAIN,
    NO_ROOTS,
    Scene,
    connection,
    echo_http,
    echo_tcp,
    running_scene,
    until,
)
from tests.envoy.test_render_protocols import bidirectional, grpc_echo
from tests.envoy.xds_proxy import BOUND
from tests.mesh_making import dataplane, deleted, document, mesh, offer
from tests.ports import free_port

pytestmark = pytest.mark.slow

GREETING = b"server speaks first\n"


def everybody() -> Resource:
    """Permission for all, so that these tests are about something else."""
    default = {"targetRef": {"kind": "Mesh"}, "default": {"action": "Allow"}}
    spec = {"targetRef": {"kind": "Mesh"}, "from": [default]}
    return document({"type": "MeshTrafficPermission", "mesh": "default", "name": "all", "spec": spec})


def inbound(service: str, port: int, app_port: int, protocol: str = "http", **tags: str) -> dict[str, Any]:
    named = {"kuma.io/service": service, "kuma.io/protocol": protocol, **tags}
    return {"port": port, "servicePort": app_port, "tags": named}


class Town:
    """`demo` calls `kv` (of which there are v1 and v2), `kvv` (of which there is none), `lines` and the group
    `ratings`, each on a port of its own."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.ports = {name: free_port() for name in ("kv", "v2", "v9", "kvv", "lines", "ratings", "calls", "streams")}

    def outbound(self) -> list[dict[str, Any]]:
        tags = {
            "kv": {"kuma.io/service": "kv"},
            "v2": {"kuma.io/service": "kv", "version": "v2"},
            "v9": {"kuma.io/service": "kv", "version": "v9"},
            "kvv": {"kuma.io/service": "kvv", "kuma.io/protocol": "http"},
            "lines": {"kuma.io/service": "lines"},
            "ratings": {"kuma.io/service": f"ratings_shop_svc_{self.scene.port}"},
            "calls": {"kuma.io/service": "calls"},
            "streams": {"kuma.io/service": "streams"},
        }
        return [{"port": port, "tags": tags[name]} for name, port in self.ports.items()]

    async def call(self, name: str, host: str = "any.thing.at.all:123") -> httpx.Response:
        """A request of `demo`, over one of its outbounds."""
        async with httpx.AsyncClient(verify=NO_ROOTS) as client:
            url = f"http://127.0.0.1:{self.ports[name]}/x"
            return await client.get(url, headers={"host": host}, timeout=BOUND)


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    async with running_scene(tmp_path) as scene, AsyncExitStack() as apps:
        town, calls = Town(scene), free_port()
        server = await grpc_echo(calls)
        one, two, ratings = [await apps.enter_async_context(echo_http(name)) for name in ("v1", "v2", "ratings")]
        lines = await apps.enter_async_context(echo_tcp(GREETING))
        scene.apply(mesh(), everybody())
        scene.add_app("ratings", ratings, hosts=["*/*"])
        await scene.start("r1", "ratings")
        await scene.start_dataplane("kv-1", inbound=[inbound("kv", scene.port, one, version="v1")])
        several = [inbound("kv", scene.port, two, version="v2"), inbound("lines", free_port(), lines, "kafka")]
        several += [inbound("calls", free_port(), calls, "grpc"), inbound("streams", free_port(), calls, "http2")]
        await scene.start_dataplane("kv-2", inbound=several)
        await scene.start_dataplane("demo-1", inbound=[inbound("demo", scene.port, 1)], outbound=town.outbound())
        yield town
        await server.stop(None)


async def test_calls_go_both_ways_by_mutual_tls_whatever_the_dialects_and_the_host(town: Town) -> None:
    for host in ("kv.mesh", "localhost", "any.thing.at.all:123"):
        answer = await town.call("kv", host)
        assert (answer.status_code, answer.json()["headers"]["host"]) == (200, host)
        assert "URI=spiffe://default/demo" in answer.json()["headers"]["x-forwarded-client-cert"]
    assert {(await town.call("kv")).json()["app"] for _ in range(20)} == {"v1", "v2"}
    assert {(await town.call("v2")).json()["app"] for _ in range(10)} == {"v2"}
    answer = await town.call("ratings")
    assert answer.json()["app"] == "ratings"
    assert "URI=spiffe://default/demo" in answer.json()["headers"]["x-forwarded-client-cert"]
    answer = await town.scene.call("ratings", "kv.mesh")
    assert answer.json()["app"] in ("v1", "v2")
    caller = f"URI=spiffe://{DOMAIN}/ns/shop/sa/ratings"
    assert caller in answer.json()["headers"]["x-forwarded-client-cert"]
    assert (await town.scene.call("ratings", "demo.mesh")).status_code == 503  # there is no application

    async with connection("127.0.0.1", town.ports["lines"]) as (reader, writer):
        assert await reader.readexactly(len(GREETING)) == GREETING
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
    for spoken in ("calls", "streams"):
        assert await bidirectional(f"127.0.0.1:{town.ports[spoken]}") == [b"one", b"two", b"three"]
    await expect_as_foretold(town)


async def test_a_delegated_gateway_calls_as_what_its_tags_say_and_is_called_by_nobody(town: Town) -> None:
    scene, out = town.scene, free_port()
    gateway = {"type": "DELEGATED", "tags": {"kuma.io/service": "edge"}}
    calls = [{"port": out, "tags": {"kuma.io/service": "kv"}}]
    await scene.start_dataplane("edge-1", gateway=gateway, outbound=calls)
    async with httpx.AsyncClient(verify=NO_ROOTS) as client:
        answer = await client.get(f"http://127.0.0.1:{out}/", timeout=BOUND)
    assert answer.status_code == 200
    assert "URI=spiffe://default/edge" in answer.json()["headers"]["x-forwarded-client-cert"]
    assert scene.board.world.findings(ProxyId("dataplane/default/edge-1")) == ()
    assert (await scene.call("ratings", "edge.mesh")).status_code == 502


async def test_a_websocket_works_through_an_outbound(town: Town) -> None:
    async def echo(connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    out, calls = free_port(), {"kuma.io/service": "chat"}
    async with serve(echo, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        await town.scene.start_dataplane("chat-1", inbound=[inbound("chat", free_port(), port)])
        outbound = [{"port": out, "tags": calls}]
        await town.scene.start_dataplane("talker-1", inbound=[inbound("talker", free_port(), 1)], outbound=outbound)
        async with connect(f"ws://127.0.0.1:{out}/", proxy=None) as talk:
            for word in ("one", "two"):
                await talk.send(word)
                assert await talk.recv() == word


async def direct(scene: Scene, name: str) -> int:
    """A plaintext request past the caller's own proxy. 0: refused."""
    async with httpx.AsyncClient(verify=NO_ROOTS) as client:
        try:
            return (await client.get(f"http://{scene.addresses[name]}:{scene.port}/", timeout=BOUND)).status_code
        except httpx.TransportError:
            return 0


async def test_the_mesh_decides_whether_plaintext_is_taken_and_members_are_served_throughout(town: Town) -> None:
    scene = town.scene

    async def taken() -> bool:
        assert (await town.call("kv")).status_code == 200
        return await direct(scene, "kv-1") == 200

    async def refused() -> bool:
        return not await taken()

    assert await direct(scene, "kv-1") == 0
    scene.apply(mesh(mode="PERMISSIVE"))
    await until(taken)
    scene.apply(mesh())
    await until(refused)


async def test_without_mutual_tls_calls_are_plaintext_in_both_directions(town: Town) -> None:
    scene = town.scene
    scene.apply(mesh(mode=""))

    async def in_clear(call: Any) -> bool:
        answer = await call()
        return answer.status_code == 200 and "x-forwarded-client-cert" not in answer.json()["headers"]

    await until(lambda: in_clear(lambda: town.call("kv")))
    await until(lambda: in_clear(lambda: scene.call("ratings", "kv.mesh")))
    # What the group's tasks demand is not the Mesh's to say.
    answer = await town.call("ratings")
    assert "URI=spiffe://default/demo" in answer.json()["headers"]["x-forwarded-client-cert"]


async def test_a_service_that_is_taken_from_bytes_to_requests_is_served_all_the_while(town: Town) -> None:
    """Some of its tasks know it as `tcp` still, others as `http` already: callers send bytes to both."""
    scene = town.scene
    async with echo_http("new") as new, echo_http("old") as old:
        port = free_port()
        await scene.start_dataplane("old-1", inbound=[inbound("moving", port, old, "tcp")])
        out = free_port()
        calls = [{"port": out, "tags": {"kuma.io/service": "moving"}}]
        await scene.start_dataplane("caller", inbound=[inbound("caller", free_port(), 1)], outbound=calls)
        await scene.start_dataplane("new-1", inbound=[inbound("moving", port, new)])
        await scene.board.wait_settled(ProxyId("dataplane/default/caller"))
        heard: set[str] = set()

        async def both() -> bool:
            async with httpx.AsyncClient(verify=NO_ROOTS) as client:
                answer = await client.get(f"http://127.0.0.1:{out}/", timeout=BOUND)
            assert answer.status_code == 200
            heard.add(answer.json()["app"])
            return heard == {"old", "new"}

        await until(both)


async def expect_as_foretold(town: Town) -> None:
    """`outrig why` says what a caller sees of tags that somebody has, of others, and of a service that is absent."""
    index = town.scene.board.world.mesh_of(Key("kuma.io", "Dataplane", "default", "", "demo-1"))
    demo = index.workloads[WorkloadId("dataplane/default/demo-1")]
    for name, ending in (("v2", Ending.ANSWERED), ("v9", Ending.NO_ENDPOINT), ("kvv", Ending.NO_ENDPOINT)):
        call = parse_call(f"http://127.0.0.1:{town.ports[name]}/x")
        told = explain(Question(demo, call), Known(index, index.workloads))
        assert told.ending is ending, told.summary
        assert (await town.call(name)).status_code == (200 if told.answered else 503)


async def test_an_outbound_stays_open_while_nobody_offers_its_service(town: Town) -> None:
    """Never seen, its connections are closed; then requests are answered; by nobody when the last is gone, on the very
    connection that is open."""
    scene, out = town.scene, {name: free_port() for name in ("later", "gone", "lines")}
    outbound = [{"port": port, "tags": {"kuma.io/service": name}} for name, port in out.items()]
    scene.apply(offer("gone", (1, "tcp")))
    await scene.start_dataplane("early", inbound=[inbound("early", free_port(), 1)], outbound=outbound)
    for name in ("later", "gone"):
        async with connection("127.0.0.1", out[name]) as (reader, _):
            assert await asyncio.wait_for(reader.read(), BOUND) == b""
    async with echo_http("later") as later, connection("127.0.0.1", out["lines"]) as (reader, writer):
        assert await reader.readexactly(len(GREETING)) == GREETING
        answering = inbound("later", free_port(), later)
        scene.apply(offer("later", (answering["port"], "http")))
        address = await scene.start_dataplane("later-1", inbound=[answering])
        await until(lambda: is_answered(out["later"]))
        ports: set[int] = set()
        once = httpx.Limits(max_connections=1, keepalive_expiry=None)
        async with httpx.AsyncClient(verify=NO_ROOTS, limits=once) as client:

            async def answered(status: int) -> bool:
                answer = await client.get(f"http://127.0.0.1:{out['later']}/", timeout=BOUND)
                ports.add(answer.extensions["network_stream"].get_extra_info("client_addr")[1])
                return answer.status_code == status

            last = dataplane("later-1", address, inbound=[answering])
            await until(lambda: answered(200))
            scene.board.apply(deleted(last))
            await until(lambda: answered(503))
            scene.apply(last)
            await until(lambda: answered(200))
        assert len(ports) == 1
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"


async def is_answered(port: int) -> bool:
    """Whether a request gets 200 there; a listener that changes may close its connection."""
    async with httpx.AsyncClient(verify=NO_ROOTS) as client:
        try:
            return (await client.get(f"http://127.0.0.1:{port}/", timeout=BOUND)).status_code == 200
        except httpx.TransportError:
            return False
