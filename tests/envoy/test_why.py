"""`explain` against the real Envoy: for each call of a table, what was foretold is what the caller sees.

One mesh in which many things are wrong, made of the resources that users write. Each row is a call of `web`: first it
is explained, then it is made, to the listener that the explanation names.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import pytest
import pytest_asyncio

from outrig.dialects.readiness import ReadyReason
from outrig.model import Address, WorkloadId
from outrig.resources import Key, Resource
from outrig.snapshot import ProxyId
from outrig.why import (
    Call,
    Ending,
    Explanation,
    Known,
    Observed,
    Part,
    Question,
    Refusal,
    Verdict,
    explain,
    parse_call,
    parse_via,
)
from tests.envoy.render_scene import (
    Scene,
    connection,
    echo_http,
    echo_tcp,
    running_scene,
    some_address,
    until,
)
from tests.envoy.xds_proxy import BOUND
from tests.mesh_making import demand, document, group, make, service, sidecar, task
from tests.ports import free_port

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

WEB = WorkloadId("shop/w1")
OURS = Key("networking.istio.io", "WorkloadEntry", "", "shop", "w1")


@dataclass
class Troubled:
    """The mesh. `names` stand in braces in the table: ports, and addresses of tasks and listeners."""

    scene: Scene
    names: dict[str, Any] = field(default_factory=dict)
    refused: tuple[Refusal, ...] = ()

    def explain(self, target: str, via: str = "") -> Explanation:
        index = self.scene.board.world.mesh_of(OURS)
        known = Known(index, index.workloads, {WEB: Observed(refused=self.refused)})
        call, through = parse_call(target.format(**self.names)), parse_via(via.format(**self.names))
        return explain(Question(index.workloads[WEB], call, through), known)

    async def make(self, told: Explanation, target: str, via: str) -> Ending:
        """Make the call as an application would, where the explanation says; gives what it saw."""
        call = parse_call(target.format(**self.names))
        to = parse_via(via.format(**self.names)) or call.address
        if to is None:
            listener = next((step.envoy for step in told.steps if step.part is Part.LISTENER), "")
            host, port = listener.split("_") if listener else (self.names["web"], call.port)
            to = Address(host, int(port))
        return await seen_by_bytes(to) if call.scheme == "tcp" else await self._request(call, to)

    async def _request(self, call: Call, to: Address) -> Ending:
        socket = to.host.removeprefix("unix://") if to.port == 0 else None
        url = f"{call.scheme}://{'socket' if socket else f'{to.host}:{to.port}'}{call.path}"
        try:
            transport = httpx.AsyncHTTPTransport(uds=socket, verify=False)
            async with httpx.AsyncClient(transport=transport, timeout=BOUND) as client:
                answer = await client.get(url, headers={"host": f"{call.host}:{call.port}"})
        except httpx.ConnectError as error:
            return Ending.NOT_HTTP if isinstance(error.__context__.__context__, ssl.SSLError) else Ending.REFUSED
        except (httpx.ReadError, httpx.RemoteProtocolError):
            return Ending.CUT
        if answer.status_code in (502, 503):
            return await self._flagged(call.path, answer.status_code)
        return {200: Ending.ANSWERED, 400: Ending.NOT_HTTP}[answer.status_code]

    async def _flagged(self, path: str, status: int) -> Ending:
        """By the response flags in the access log of the calling proxy."""

        async def logged() -> bool:
            return f" {path} " in self.scene.log("w1")

        await until(logged)
        line = next(line for line in self.scene.log("w1").splitlines() if f" {path} " in line)
        flags = line.split(f" {status} ")[1].split()[0].split(",")
        return next(
            one for one in Ending if one in (f"{status} {flag}" if flag != "-" else f"{status}" for flag in flags)
        )


async def seen_by_bytes(to: Address) -> Ending:
    """What a program of bytes sees."""
    try:
        async with asyncio.timeout(BOUND), connection(to.host, to.port) as (reader, writer):
            writer.write(b"hello\r\n\r\n")
            heard = await reader.read(64)
    except ConnectionRefusedError:
        return Ending.REFUSED
    except ConnectionError:
        return Ending.CUT
    if heard.startswith(b"HTTP/1.1 400"):
        return Ending.NOT_HTTP
    return Ending.ANSWERED if heard == b"hello\r\n\r\n" else Ending.CUT


def egress(bind: str, port: int, *hosts: str, protocol: str = "") -> Mapping[str, Any]:
    speaks = {"protocol": protocol} if protocol else {}
    return {"bind": bind, "port": {"number": port, **speaks}, "hosts": list(hosts)}


def ingress(port: int, app: int, protocol: str = "HTTP") -> Mapping[str, Any]:
    spoken = {"number": port, "name": "main", "protocol": protocol}
    return {"port": spoken, "defaultEndpoint": f"127.0.0.1:{app}"}


def custom_service(name: str, port: int, *, space: str = "shop", **more: Any) -> Resource:
    """A Service that is special in its spec (`spec`) or its exports (`export`)."""
    annotations = {"networking.istio.io/exportTo": more["export"]} if "export" in more else {}
    spec = {"selector": {"app": name}, "ports": [{"port": port, "name": "http"}], **more.get("spec", {})}
    metadata = {"name": name, "namespace": space, "annotations": annotations}
    return document({"kind": "Service", "metadata": metadata, "spec": spec})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Troubled]:
    async with AsyncExitStack() as stack:
        scene = await stack.enter_async_context(running_scene(tmp_path_factory.mktemp("why")))
        app = await stack.enter_async_context(echo_http("app"))
        data = await stack.enter_async_context(echo_tcp())
        found = Troubled(scene)
        names = found.names
        names |= {"port": scene.port, "data": free_port(), "idle": free_port(), "nowhere": free_port(), "app_port": app}
        names |= {
            "web": some_address(),
            "web_data": some_address(),
            "web_idle": some_address(),
            "empty": some_address(),
        }
        names |= {"proxy": some_address(), "proxy_port": free_port(), "socket": scene.directory / "calls.sock"}
        describe(scene, names, app=app, data=data)
        for name, label, space in TASKS:
            names[name] = await scene.start(name, label, space=space)
        describe_foreign(scene, names, app=app)
        await scene.start("w1", "web")
        yield found


TASKS = (
    ("a1", "app", "shop"),
    ("v1", "vault", "bank"),
    ("o1", "open", "shop"),
    ("m1", "mismatch", "shop"),
    ("p1", "passing", "shop"),
    ("d1", "deaf", "shop"),
    ("x1", "garbled", "shop"),
    ("db1", "db", "shop"),
)


def describe(scene: Scene, names: Mapping[str, Any], *, app: int, data: int) -> None:
    """The resources of the mesh, but for what needs the tasks' addresses."""
    port, data_port, idle = names["port"], names["data"], names["idle"]
    calls = [
        egress(names["web"], port, "./*", "bank/*", "~bank/secret.bank.svc.cluster.local"),
        egress(names["web_data"], data_port, "./db.shop.svc.cluster.local", protocol="TCP"),
        egress(names["proxy"], names["proxy_port"], "./*", protocol="HTTP_PROXY"),
        egress(f"unix://{names['socket']}", 0, "./app.shop.svc.cluster.local", protocol="HTTP"),
        egress(names["web_idle"], idle, "./idle.shop.svc.cluster.local", protocol="TCP"),
    ]
    scene.apply(sidecar("web", app="web", ingress=[], egress=calls), group("web"))
    for name in ("app", "open", "old"):
        scene.apply(sidecar(name, app=name, ingress=[ingress(port, app)], egress=[]))
    scene.apply(sidecar("vault", "bank", app="vault", ingress=[ingress(port, app)], egress=[]))
    for name in ("mismatch", "passing", "garbled"):
        scene.apply(sidecar(name, app=name, ingress=[ingress(port, app, "TCP")], egress=[]))
    scene.apply(sidecar("db", app="db", ingress=[ingress(data_port, data, "TCP")], egress=[]))
    for name in ("app", "open", "mismatch", "passing", "deaf", "garbled", "nobody", "sleepy", "old"):
        scene.apply(group(name), service(name, port=port))
    scene.apply(
        demand("open", "DISABLE", app="open"),
        demand("garbled", "DISABLE", app="garbled"),
        demand("passing", "PERMISSIVE", app="passing"),
    )
    scene.apply(group("vault", "bank"), service("vault", "bank", port=port), service("secret", "bank", port=port))
    scene.apply(custom_service("private", port, space="bank", export="."), service("distant", "far", port=port))
    scene.apply(custom_service("headless", port, spec={"clusterIP": "None", "selector": {"app": "app"}}))
    scene.apply(service("named", port=port, app="app", target="metrics"))
    scene.apply(service("db", port=data_port, port_name="tcp"), group("db"))
    scene.apply(service("idle", port=idle, port_name="tcp"), service("late", port=9))


def describe_foreign(scene: Scene, names: Mapping[str, Any], *, app: int) -> None:
    """Workloads that nobody runs a proxy of ours for, and such as take no calls."""
    scene.apply(
        task("s1", "sleepy", "127.0.0.1", reason=ReadyReason.UNHEALTHY),
        task("n1", "old", names["a1"], reason=ReadyReason.DRAINING, account="app"),
        make("WorkloadEntry", "plainly", "shop", {"address": names["a1"]}, app="plainly"),
        make("WorkloadEntry", "machine", "shop", {"address": "127.0.0.1"}, app="machine"),
        service("plainly", port=names["port"]),
        service("machine", port=names["port"], target=app),
        entry("wild", "*.wild.test", names["port"], app, resolution="STATIC"),
        entry("named", "looked-up.test", names["port"], app, resolution="DNS"),
    )


def entry(name: str, host: str, port: int, app: int, *, resolution: str) -> Resource:
    """A ServiceEntry for the application on this machine."""
    address = "localhost" if resolution == "DNS" else "127.0.0.1"
    ports = [{"number": port, "name": "http", "protocol": "HTTP", "targetPort": app}]
    spec = {"hosts": [host], "ports": ports, "resolution": resolution, "endpoints": [{"address": address}]}
    return make("ServiceEntry", name, "shop", spec)


TABLE = (
    ("http://app:{port}/good", "", Ending.ANSWERED, ""),
    ("http://APP.shop.svc.cluster.local.:{port}/dotted", "", Ending.ANSWERED, ""),
    ("http://vault.bank:{port}/other-namespace", "", Ending.ANSWERED, ""),
    ("http://open:{port}/plain", "", Ending.ANSWERED, "DISABLE, says PeerAuthentication shop/open"),
    ("http://old:{port}/all-drain", "", Ending.ANSWERED, "1 endpoint, all draining"),
    ("http://machine:{port}/no-proxy", "", Ending.ANSWERED, "nobody reports whether"),
    ("tcp://db:{data}", "", Ending.ANSWERED, "mutual TLS (ALPN mesh-tcp)"),
    ("tcp://{web_data}:{data}", "", Ending.ANSWERED, "every connection goes to db.shop.svc.cluster.local"),
    ("http://{o1}:{port}/direct-plain", "", Ending.ANSWERED, "past the own proxy"),
    ("http://app:{port}/other-name", "{web}:{port}", Ending.ANSWERED, ""),
    ("http://a.wild.test:{port}/wildcard", "", Ending.ANSWERED, "takes '*.wild.test'"),
    ("http://app:{port}/by-proxy", "{proxy}:{proxy_port}", Ending.ANSWERED, "takes 'app:{port}'"),
    ("http://app:{nowhere}/by-proxy-port", "{proxy}:{proxy_port}", Ending.NO_HOST, "has no port {nowhere}"),
    ("http://app:{port}/by-socket", "unix://{socket}", Ending.ANSWERED, "takes 'app:{port}'"),
    ("http://open:{port}/not-by-socket", "unix://{socket}", Ending.NO_HOST, "only"),
    ("http://wild.test:{port}/no-wildcard", "", Ending.NO_HOST, "no service of the mesh is called 'wild.test'"),
    ("http://vault:{port}/short", "", Ending.NO_HOST, "'vault' alone means a service of the caller's own namespace"),
    ("http://ap:{port}/typo", "", Ending.NO_HOST, "did you mean 'app'?"),
    ("http://secret.bank:{port}/excluded", "", Ending.NO_HOST, "taken away again by '~bank/secret.bank"),
    ("http://private.bank:{port}/private", "", Ending.NO_HOST, "exported to bank, and not to namespace shop"),
    ("http://distant.far:{port}/not-imported", "", Ending.NO_HOST, "Service far/distant is not imported"),
    ("http://late:{port}/wrong-port", "", Ending.NO_HOST, "late.shop.svc.cluster.local has no port"),
    ("http://app:{nowhere}/no-port", "", Ending.REFUSED, "has no port {nowhere}; its ports: {port}"),
    ("http://app:{port}/no-bind", "{empty}:{port}", Ending.REFUSED, "nothing of the proxy listens at {empty}:{port}"),
    ("http://nobody:{port}/nobody", "", Ending.NO_ENDPOINT, "no workload of namespace shop has the labels app=nobody"),
    ("http://sleepy:{port}/unready", "", Ending.NO_ENDPOINT, "shop/s1 (127.0.0.1) is not ready"),
    ("http://headless:{port}/headless", "", Ending.NO_ENDPOINT, "it is headless, or has no selector"),
    ("http://named:{port}/named", "", Ending.NO_ENDPOINT, "has no port named 'metrics'"),
    ("http://deaf:{port}/deaf", "", Ending.NOT_REACHED, "no Sidecar chooses shop/d1"),
    ("http://mismatch:{port}/mismatch", "", Ending.NOT_REACHED, "which none of its filter chains takes"),
    ("http://passing:{port}/passing", "", Ending.NOT_REACHED, "handed on to the application unopened"),
    ("http://garbled:{port}/garbled", "", Ending.GARBLED, "the caller sends HTTP/2, which is handed on as bytes"),
    ("http://plainly:{port}/plainly", "", Ending.BROKEN_OFF, "STRICT, the default"),
    ("http://{a1}:{port}/direct-strict", "", Ending.CUT, "past the own proxy, in plaintext"),
    ("tcp://idle:{idle}", "", Ending.CUT, "no workload of namespace shop has the labels app=idle"),
    ("tcp://app:{port}", "", Ending.NOT_HTTP, "takes HTTP requests, not bytes"),
    ("https://app:{port}/tls", "", Ending.NOT_HTTP, "takes plain HTTP, not TLS"),
)


@pytest.mark.parametrize(("target", "via", "ending", "says"), TABLE, ids=lambda value: str(value)[:40])
async def test_a_call_ends_as_it_was_explained(
    mesh: Troubled, target: str, via: str, ending: Ending, says: str
) -> None:
    told = mesh.explain(target, via)
    assert await mesh.make(told, target, via) is ending
    assert told.ending is ending, told
    text = "\n".join(line for step in told.steps for line in (step.says, *step.notes, step.do))
    assert says.format(**mesh.names) in text


async def test_a_name_that_the_proxy_looks_up_is_doubtful_until_it_answers(mesh: Troubled) -> None:
    target = "http://looked-up.test:{port}/dns"
    told = mesh.explain(target)
    (looked_up,) = (step for step in told.steps if step.part is Part.ENDPOINTS)
    assert (told.ending, looked_up.verdict) == (Ending.ANSWERED, Verdict.DOUBTFUL)
    assert f"localhost:{mesh.names['app_port']} ready, plaintext" in looked_up.notes[0]

    async def answered() -> bool:
        return await mesh.make(told, target, "") is Ending.ANSWERED

    await until(answered)


async def test_a_listener_that_the_proxy_refuses_stops_the_call(mesh: Troubled) -> None:
    scene, names = mesh.scene, mesh.names
    async with echo_tcp() as taken:
        there = egress("127.0.0.1", taken, "./app.shop.svc.cluster.local", protocol="HTTP")
        before = egress(names["web"], names["port"], "./*")
        scene.apply(sidecar("web", app="web", ingress=[], egress=[before, there]))
        progress = await scene.board.wait(ProxyId(WEB), lambda progress: bool(progress.rejections))
        refused = tuple(Refusal(one.type_url, one.name, one.reason) for one in progress.rejections)
    told = replace(mesh, refused=refused).explain(f"http://app:{taken}/refused")
    assert told.ending is Ending.REFUSED, (told, refused)
    assert "cannot bind" in told.steps[-1].notes[0]
    with pytest.raises(httpx.ConnectError):
        await httpx.AsyncClient().get(f"http://127.0.0.1:{taken}/refused")
