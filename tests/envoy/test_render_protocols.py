"""What applications speak, between two real proxies: gRPC, websockets, TCP, sockets; and endpoints that come and go."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc.aio
import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from outrig.dialects.readiness import ReadyReason
from outrig.snapshot import ProxyId
from tests.envoy.render_scene import Scene, connection, echo_http, echo_tcp, running_scene, until
from tests.mesh_making import added, deleted, demand, make, service, task
from tests.ports import free_port

pytestmark = pytest.mark.slow


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    """An empty mesh."""
    async with running_scene(tmp_path) as scene:
        yield scene


async def ready(scene: Scene, app_port: int = 0, *, calls: str | None = None, **app: str) -> None:
    """`web` calls `app`, both have a task."""
    scene.add_app("app", app_port, silent=True, **app)
    scene.add_app("web", hosts=["./app.shop.svc.cluster.local"], **({"calls": calls} if calls else {}))
    await scene.start("a1", "app")
    await scene.start("w1", "web")


async def bidirectional(target: str) -> list[bytes]:
    """A gRPC call that sends the next message only after the last one came back."""
    async with grpc.aio.insecure_channel(target, options=[("grpc.default_authority", "app")]) as channel:
        call = channel.stream_stream("/test.Echo/Talk")()
        heard = []
        for word in (b"one", b"two", b"three"):
            await call.write(word)
            heard.append(await call.read())
        await call.done_writing()
        assert await call.read() is grpc.aio.EOF
        assert (await call.trailing_metadata()).get("said") == "3"
        return heard


async def grpc_echo(port: int) -> grpc.aio.Server:
    async def talk(requests: AsyncIterator[bytes], context: grpc.aio.ServicerContext) -> AsyncIterator[bytes]:
        said = 0
        async for word in requests:
            said += 1
            yield word
        context.set_trailing_metadata((("said", str(said)),))

    server = grpc.aio.server()
    methods = {"Talk": grpc.stream_stream_rpc_method_handler(talk)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", methods),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    return server


@pytest.mark.parametrize("protocol", ["HTTP", "GRPC", "HTTP2"])
async def test_grpc_streams_both_ways_at_once_and_keeps_its_trailers(scene: Scene, protocol: str) -> None:
    port = free_port()
    server = await grpc_echo(port)
    try:
        await ready(scene, port, protocol=protocol)
        assert await bidirectional(f"{scene.binds['web']}:{scene.port}") == [b"one", b"two", b"three"]
    finally:
        await server.stop(None)


async def test_a_websocket_works_both_ways(scene: Scene) -> None:
    async def echo(connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    async with serve(echo, "127.0.0.1", 0) as server:
        await ready(scene, next(iter(server.sockets)).getsockname()[1])
        async with connect("ws://app/", host=scene.binds["web"], port=scene.port, proxy=None) as socket:
            for word in ("one", "two"):
                await socket.send(word)
                assert await socket.recv() == word


async def talk(address: str, port: int, *words: bytes, greeting: bytes = b"") -> None:
    async with asyncio.timeout(10), connection(address, port) as (reader, writer):
        assert await reader.readexactly(len(greeting)) == greeting
        for word in words:
            writer.write(word)
            assert await reader.readexactly(len(word)) == word


async def test_tcp_where_the_server_speaks_first(scene: Scene) -> None:
    async with echo_tcp(b"welcome") as port:
        await ready(scene, port, protocol="TCP", calls="TCP")
        await talk(scene.binds["web"], scene.port, b"one", b"two", greeting=b"welcome")
    assert "mesh-tcp" not in scene.log("w1")


async def test_a_tcp_egress_takes_its_protocol_from_the_service(scene: Scene) -> None:
    async with echo_tcp(b"welcome") as port:
        await ready(scene, port, protocol="TCP")
        await talk(scene.binds["web"], scene.port, b"one", greeting=b"welcome")


async def test_a_permissive_tcp_port_lets_plaintext_through_even_if_the_server_speaks_first(scene: Scene) -> None:
    async with echo_tcp(b"welcome") as port:
        scene.apply(demand("relaxed", "PERMISSIVE"))
        await ready(scene, port, protocol="TCP")
        await talk(scene.addresses["a1"], scene.port, b"plain", greeting=b"welcome")
        await talk(scene.binds["web"], scene.port, b"member", greeting=b"welcome")


async def test_bytes_to_a_service_of_requests_arrive_as_http(scene: Scene) -> None:
    """A TCP egress before an HTTP service: the receiving proxy reads HTTP/1.1 from the bytes."""
    async with echo_http("app") as port:
        await ready(scene, port, calls="TCP")
        assert (await scene.call("web", "anything")).json()["headers"]["host"] == "anything"


async def test_requests_to_a_service_of_bytes_arrive_as_http(scene: Scene) -> None:
    async with echo_http("app") as port:
        await ready(scene, port, protocol="TCP", calls="HTTP")
        assert (await scene.call("web", "app")).json()["app"] == "app"


async def test_an_application_behind_a_unix_socket(scene: Scene, tmp_path: Path) -> None:
    path = tmp_path / "app.sock"
    async with echo_http("app", path=str(path)):
        await ready(scene, target=f"unix://{path}")
        assert (await scene.call("web", "app")).json()["app"] == "app"


async def test_a_port_of_which_nobody_said_what_it_speaks_takes_requests(scene: Scene) -> None:
    async with echo_http("app") as port:
        await ready(scene, port, protocol="", port_name="")
        assert (await scene.call("web", "app")).json()["app"] == "app"


async def test_a_machine_without_a_proxy_is_called_in_plaintext_and_in_its_own_protocol(scene: Scene) -> None:
    async with echo_http("plain") as port:
        scene.add_app("web")
        machine = make("WorkloadEntry", "machine", "shop", {"address": "127.0.0.1"}, app="plain")
        scene.apply(machine, service("plain", port=scene.port, target=port))
        await scene.start("w1", "web")
        answer = (await scene.call("web", "plain")).json()
        assert answer["app"] == "plain"
        assert answer["request"] == "GET / HTTP/1.1"


async def test_short_names_stay_in_their_namespace(scene: Scene) -> None:
    async with echo_http("shop") as shop, echo_http("bank") as bank:
        scene.add_app("app", shop, silent=True)
        scene.add_app("app", bank, space="bank", silent=True)
        scene.add_app("web", hosts=["*/*"])
        await scene.start("a1", "app")
        await scene.start("b1", "app", space="bank")
        await scene.start("w1", "web")
        for host, answered in (("app", "shop"), ("app.shop", "shop"), ("app.bank", "bank"), ("app.bank.svc", "bank")):
            assert (await scene.call("web", host)).json()["app"] == answered, host


async def test_a_draining_endpoint_gets_nothing_new_unless_all_drain(scene: Scene) -> None:
    async with echo_http("app") as port:
        await ready(scene, port)
        await scene.start("a2", "app")
        await until(lambda: shares(scene, {"a1", "a2"}))
        for drained, left in (({"a1"}, {"a2"}), ({"a1", "a2"}, {"a1", "a2"})):
            for name in ("a1", "a2"):
                reason = ReadyReason.DRAINING if name in drained else ReadyReason.READY
                scene.apply(task(name, "app", scene.addresses[name], reason=reason))
            await until(lambda left=left: shares(scene, left))


async def shares(scene: Scene, expected: set[str]) -> bool:
    """Whether exactly these tasks answer, told by whom the calling proxy sent requests to."""
    before = len(scene.log("w1").splitlines())
    for _ in range(20):
        assert (await scene.call("web", "app")).status_code == 200

    async def logged() -> bool:
        return len(scene.log("w1").splitlines()) >= before + 20

    await until(logged)
    lines = scene.log("w1").splitlines()[-20:]
    return {name for name in ("a1", "a2") if any(f'"{scene.addresses[name]}:' in line for line in lines)} == expected


async def test_a_proxy_that_is_gone_leaves_the_others_alone(scene: Scene) -> None:
    async with echo_http("app") as port:
        await ready(scene, port)
        scene.board.apply(deleted(task("a1", "app", scene.addresses["a1"])))

        async def unavailable() -> bool:
            return (await scene.call("web", "app")).status_code == 503

        await until(unavailable)
        assert scene.board.world.snapshot(ProxyId("shop/a1")) is None
        scene.board.apply(added(task("a1", "app", scene.addresses["a1"])))

        async def back() -> bool:
            return (await scene.call("web", "app")).status_code == 200

        await until(back)
