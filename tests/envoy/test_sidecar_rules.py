"""What a Sidecar says, between real proxies: where calls are taken, where they lead, what the application is given."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.envoy.render_scene import (
    DOMAIN,
    Scene,
    connection,
    echo_http,
    echo_tcp,
    pair,
    running_scene,
    some_address,
    until,
)
from tests.envoy.xds_proxy import BOUND
from tests.mesh_making import group, service, sidecar
from tests.ports import free_port

pytestmark = pytest.mark.slow


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    """An empty mesh."""
    async with running_scene(tmp_path) as scene:
        yield scene


def out(*hosts: str, bind: str = "", port: int | None = None, protocol: str = "") -> dict[str, Any]:
    """An egress."""
    said = {} if port is None else {"port": {"number": port, "protocol": protocol}}
    return {"bind": bind, "hosts": list(hosts) or ["./*"], **said}


async def callee(scene: Scene, app_port: int, name: str = "app", **more: Any) -> str:
    """A task that calls nobody. `ingress`: more about the port on which it is called."""
    ingress = {
        "port": {"number": scene.port, "protocol": more.pop("protocol", "HTTP")},
        "defaultEndpoint": f"127.0.0.1:{app_port}",
        **more.pop("ingress", {}),
    }
    scene.apply(group(name), sidecar(name, app=name, ingress=[ingress], egress=[], **more))
    return await scene.start(f"{name}-1", name)


async def caller(scene: Scene, *egress: dict[str, Any], **more: Any) -> None:
    """A task that nobody calls."""
    scene.apply(group("web"), sidecar("web", app="web", ingress=[], egress=list(egress), **more))
    await scene.start("web-1", "web")


async def get(url: str, host: str = "", **client: Any) -> httpx.Response:
    async with httpx.AsyncClient(timeout=BOUND, **client) as session:
        return await session.get(url, headers={"host": host} if host else {})


async def test_a_unix_socket_leads_to_services_by_host_and_port(scene: Scene, tmp_path: Path) -> None:
    async with echo_http("app") as port:
        path = tmp_path / "calls.sock"
        scene.apply(service("app", port=scene.port), service("old", port=80, app="app", target=scene.port))
        await callee(scene, port)
        await caller(scene, out(bind=f"unix://{path}", port=0, protocol="HTTP"))
        for host, status in (
            (f"app:{scene.port}", 200),
            (f"APP.shop.svc.cluster.local:{scene.port}", 200),
            ("app", 502),
            ("old", 200),
            ("old:80", 200),
            (f"old:{scene.port}", 502),
        ):
            answer = await get("http://any/", host, transport=httpx.AsyncHTTPTransport(uds=str(path)))
            assert answer.status_code == status, host
        assert path.stat().st_mode & 0o777 == 0o666


async def test_an_abstract_socket_takes_connections_for_the_one_service(scene: Scene) -> None:
    async with echo_tcp(b"welcome") as port:
        name = f"outrig-test-{some_address()}"
        scene.apply(service("app", port=scene.port, port_name="tcp"))
        await callee(scene, port, protocol="TCP")
        await caller(scene, out(bind=f"unix://@{name}", port=0, protocol="TCP"))
        reader, writer = await asyncio.open_unix_connection(f"\0{name}")
        assert await reader.readexactly(7) == b"welcome"
        writer.close()
        await writer.wait_closed()


async def test_an_http_proxy_takes_urls_of_services_on_all_their_ports(scene: Scene) -> None:
    async with echo_http("app") as port:
        bind, listens = some_address(), free_port()
        scene.apply(service("app", port=scene.port), service("old", port=80, app="app", target=scene.port))
        await callee(scene, port)
        await caller(scene, out(bind=bind, port=listens, protocol="HTTP_PROXY"))
        for url, status in (
            (f"http://app.shop:{scene.port}/path", 200),
            ("http://old/path", 200),
            ("http://app/path", 502),
            ("http://example.org/path", 502),
        ):
            answer = await get(url, proxy=f"http://{bind}:{listens}")
            assert answer.status_code == status, url
            if status == 200:
                assert answer.json()["request"] == "GET /path HTTP/1.1"
        async with connection(bind, listens) as (reader, writer):
            writer.write(b"CONNECT app:%d HTTP/1.1\r\nhost: app:%d\r\n\r\n" % (scene.port, scene.port))
            assert (await reader.readline()).split()[1] == b"404"


@asynccontextmanager
async def peers_told(address: str) -> AsyncIterator[int]:
    """A TCP application on that address that says who calls."""

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(writer.get_extra_info("peername")[0].encode())
        writer.close()

    async with await asyncio.start_server(answer, address, 0) as server:
        yield server.sockets[0].getsockname()[1]


async def test_an_application_on_the_workloads_own_address_is_called_from_127_0_0_6(scene: Scene) -> None:
    bind = some_address()
    scene.apply(service("app", port=scene.port, port_name="tcp"))
    address = await callee(scene, 1, protocol="TCP")
    async with peers_told(address) as port:
        ingress = {"port": {"number": scene.port, "protocol": "TCP"}, "defaultEndpoint": f"0.0.0.0:{port}"}
        scene.apply(sidecar("app", app="app", ingress=[ingress], egress=[]))
        await caller(scene, out(bind=bind, port=scene.port))

        async def said() -> bool:
            async with connection(bind, scene.port) as (reader, _):
                return await reader.read() == b"127.0.0.6"

        await until(said)


async def test_tls_of_the_application_passes_untouched(scene: Scene, tmp_path: Path) -> None:
    chain, key = pair(scene.authority, f"spiffe://{DOMAIN}/own")
    (tmp_path / "own.pem").write_text(chain + key)
    own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own.load_cert_chain(tmp_path / "own.pem")

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"secret")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=own) as server:
        bind = some_address()
        scene.apply(service("app", port=scene.port, port_name="https"))
        await callee(scene, server.sockets[0].getsockname()[1], protocol="HTTPS")
        await caller(scene, out(bind=bind, port=scene.port, protocol="TLS"))
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
        async with connection(bind, scene.port, client) as (reader, writer):
            assert await reader.read() == b"secret"
            given = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    assert given == ssl.PEM_cert_to_DER_cert(chain[: chain.index("-----END") + 25])


async def test_an_egress_without_port_listens_on_every_port_of_its_services(scene: Scene) -> None:
    async with echo_http("app") as port:
        bind, other = some_address(), free_port()
        scene.apply(service("app", port=scene.port), service("two", port=other, app="app", target=scene.port))
        await callee(scene, port)
        await caller(scene, out(bind=bind))
        for name, number in (("app", scene.port), ("two", other)):
            assert (await get(f"http://{bind}:{number}/", name)).json()["app"] == "app"
            assert (await get(f"http://{bind}:{number}/", "nobody")).status_code == 502


async def test_what_imports_nothing_answers_502_to_requests_and_takes_no_connections(scene: Scene) -> None:
    bind, other = some_address(), free_port()
    nothing = out("./nobody.shop.svc.cluster.local", bind=bind, port=scene.port, protocol="HTTP")
    await caller(scene, nothing, {**nothing, "port": {"number": other, "protocol": "TCP"}})
    assert (await get(f"http://{bind}:{scene.port}/", "nobody")).status_code == 502
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(bind, other)


async def test_unknown_hosts_go_to_the_egress_proxy_and_known_ones_past_it(scene: Scene) -> None:
    async with echo_http("app") as app, echo_http("gateway") as gateway:
        bind, policy = some_address(), {"host": "gateway.shop.svc.cluster.local", "port": {"number": scene.port}}
        scene.apply(service("app", port=scene.port), service("gateway", port=scene.port))
        await callee(scene, app)
        await callee(scene, gateway, "gateway")
        egress = out("./app.shop.svc.cluster.local", bind=bind, port=scene.port)
        await caller(scene, egress, outboundTrafficPolicy={"mode": "ALLOW_ANY", "egressProxy": policy})
        for host, answers in (("app", "app"), ("example.org", "gateway")):
            answer = (await get(f"http://{bind}:{scene.port}/", host)).json()
            assert (answer["app"], answer["headers"]["host"]) == (answers, host)
        scene.apply(sidecar("web", app="web", ingress=[], egress=[egress], outboundTrafficPolicy={"mode": "ALLOW_ANY"}))

        async def blocked() -> bool:
            return (await get(f"http://{bind}:{scene.port}/", "example.org")).status_code == 502

        await until(blocked)


class Slow:
    """An HTTP/1.1 application that answers when it is let, and counts."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.port = self.requests = self.connections = self.open = self.most = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        self.most = max(self.most, self.open)
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                self.requests += 1
                await self.go.wait()
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open -= 1
            writer.close()


@asynccontextmanager
async def pooled(scene: Scene, protocol: str = "HTTP", **pool: Any) -> AsyncIterator[tuple[Slow, str]]:
    """An application behind a pool, and where its caller calls it."""
    slow, bind = Slow(), some_address()
    async with await asyncio.start_server(slow.answer, "127.0.0.1", 0) as server:
        scene.apply(service("app", port=scene.port, port_name=protocol.lower()))
        slow.port = server.sockets[0].getsockname()[1]
        await callee(scene, slow.port, protocol=protocol, inboundConnectionPool=pool)
        await caller(scene, out(bind=bind, port=scene.port))
        try:
            yield slow, bind
        finally:
            slow.go.set()


async def test_one_request_waits_for_the_one_connection_and_the_next_is_refused(scene: Scene) -> None:
    async with pooled(scene, tcp={"maxConnections": 1}, http={"http1MaxPendingRequests": 1}) as (slow, bind):
        calls = [asyncio.create_task(get(f"http://{bind}:{scene.port}/0", "app"))]

        async def under_way() -> bool:
            return slow.requests == 1

        async def refused() -> bool:
            return sum(call.done() for call in calls) >= 3

        await until(under_way)  # until then it would be the one that waits
        calls += [asyncio.create_task(get(f"http://{bind}:{scene.port}/{n}", "app")) for n in range(1, 5)]
        await until(refused)
        assert [call.result().status_code for call in calls if call.done()] == [503, 503, 503]
        slow.go.set()
        assert sorted([(await call).status_code for call in calls]) == [200, 200, 503, 503, 503]
        assert (slow.requests, slow.most) == (2, 1)

        async def logged() -> bool:
            return scene.log("app-1").count(" UO ") == 3

        await until(logged)


async def test_without_a_pool_nothing_is_refused(scene: Scene) -> None:
    async with pooled(scene, http={"maxRetries": 1}) as (slow, bind):
        calls = [asyncio.create_task(get(f"http://{bind}:{scene.port}/{n}", "app")) for n in range(20)]

        async def all_there() -> bool:
            return slow.requests == 20

        await until(all_there)
        slow.go.set()
        assert {(await call).status_code for call in calls} == {200}


async def test_a_connection_serves_as_many_requests_as_the_pool_says(scene: Scene) -> None:
    async with pooled(scene, http={"maxRequestsPerConnection": 2, "idleTimeout": "1h"}) as (slow, bind):
        slow.go.set()
        for _ in range(6):
            assert (await get(f"http://{bind}:{scene.port}/", "app")).status_code == 200
        assert slow.connections == 3


@pytest.mark.parametrize("bound", ["idleTimeout", "maxConnectionDuration"])
async def test_a_connection_of_bytes_ends_when_the_pool_says(scene: Scene, bound: str) -> None:
    async with (
        pooled(scene, "TCP", tcp={bound: "100ms"}) as (_, bind),
        asyncio.timeout(BOUND),
        connection(bind, scene.port) as (reader, _writer),
    ):
        assert await reader.read() == b""


async def test_a_connection_of_bytes_beyond_the_bound_is_closed(scene: Scene) -> None:
    async with pooled(scene, "TCP", tcp={"maxConnections": 1}) as (slow, bind):
        async with connection(bind, scene.port) as (_, first):
            first.write(b"x\r\n\r\n")

            async def there() -> bool:
                return slow.requests == 1

            await until(there)
            async with connection(bind, scene.port) as (reader, _):
                assert await reader.read() == b""
        assert slow.connections == 1


async def test_bounds_that_change_drain_no_connection(scene: Scene) -> None:
    """The pool of an HTTP port is in the cluster alone: its listener stays as it is."""
    async with pooled(scene, tcp={"maxConnections": 1}) as (slow, bind):
        slow.go.set()
        assert (await get(f"http://{bind}:{scene.port}/", "app")).status_code == 200
        clusters, listeners = await changes(scene, "app-1")
        ingress = {"port": {"number": scene.port, "protocol": "HTTP"}, "defaultEndpoint": f"127.0.0.1:{slow.port}"}
        pool = {"tcp": {"maxConnections": 2}}
        scene.apply(sidecar("app", app="app", ingress=[ingress], egress=[], inboundConnectionPool=pool))

        async def changed() -> bool:
            return (await changes(scene, "app-1"))[0] > clusters

        await until(changed)
        assert (await changes(scene, "app-1"))[1] == listeners
        assert (await get(f"http://{bind}:{scene.port}/", "app")).status_code == 200


async def changes(scene: Scene, task: str) -> tuple[int, int]:
    """How often clusters and listeners of a proxy were modified."""
    stat = scene.envoys[task].stat
    return await stat("cluster_manager.cluster_modified"), await stat("listener_manager.listener_modified")
