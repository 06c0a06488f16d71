"""Dataplanes and the other dialect's tasks in one mesh, with real proxies: calls among them and across."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from outrig.resources import Resource
from outrig.snapshot import ProxyId
from tests.envoy.render_scene import (
    DOMAIN,
    NO_ROOTS,
    Scene,
    connection,
    echo_http,
    echo_tcp,
    free_port,
    running_scene,
    until,
)
from tests.envoy.test_render_protocols import bidirectional, grpc_echo
from tests.envoy.xds_proxy import BOUND
from tests.mesh_making import dataplane, deleted, document, mesh

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
    """`demo` calls `kv` (of which there are v1 and v2), `lines` and the group `ratings`, each on a port of its own."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.ports = {name: free_port() for name in ("kv", "v2", "lines", "ratings", "calls")}

    def outbound(self) -> list[dict[str, Any]]:
        tags = {
            "kv": {"kuma.io/service": "kv"},
            "v2": {"kuma.io/service": "kv", "version": "v2"},
            "lines": {"kuma.io/service": "lines"},
            "ratings": {"kuma.io/service": f"ratings_shop_svc_{self.scene.port}"},
            "calls": {"kuma.io/service": "calls"},
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
        several = [inbound("kv", scene.port, two, version="v2"), inbound("lines", free_port(), lines, "tcp")]
        await scene.start_dataplane("kv-2", inbound=[*several, inbound("calls", free_port(), calls, "grpc")])
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
    assert await bidirectional(f"127.0.0.1:{town.ports['calls']}") == [b"one", b"two", b"three"]


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


async def test_an_outbound_opens_when_there_is_a_service_and_closes_when_there_is_none(town: Town) -> None:
    scene, out = town.scene, free_port()
    calls = [{"port": out, "tags": {"kuma.io/service": "later"}}]
    await scene.start_dataplane("early", inbound=[inbound("early", free_port(), 1)], outbound=calls)

    async def is_open() -> bool:
        with socket.socket() as probe:
            return await asyncio.to_thread(probe.connect_ex, ("127.0.0.1", out)) == 0

    async def is_closed() -> bool:
        return not await is_open()

    assert await is_closed()
    async with echo_http("later") as later:
        answering = inbound("later", free_port(), later)
        address = await scene.start_dataplane("later-1", inbound=[answering])
        await until(is_open)
        scene.board.apply(deleted(dataplane("later-1", address, inbound=[answering])))
        await until(is_closed)
