"""What stands for ECS and the control plane in tests of the agent: real servers on loopback, told what to answer."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http import HTTPStatus
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from websockets.frames import Opcode
from websockets.server import ServerProtocol

from outrig.wire.codec import decode, encode
from outrig.wire.join import Challenge, Discovery, JoinRequest, JoinResponse, Refusal
from outrig.wire.stream import PATH, SUBPROTOCOL, Message, read, write

CONTROL_PLANE = "spiffe://test/control-plane"
TASK_ID = "3a151358f03a4e32bf8cd401c1c74653"
TASK_ARN = f"arn:aws:ecs:us-east-1:123456789012:task/bookinfo/{TASK_ID}"
SECRET, TOKEN = "never-logged-secret-key", "never-logged-session-token"
CREDENTIALS_PATH = "/v2/credentials/0f0e"
ONBOARDING = """
apiVersion: config.agent.onboarding.tetrate.io/v1alpha1
kind: OnboardingConfiguration
onboardingEndpoint:
  host: 127.0.0.1
  port: {port}
workloadGroup:
  namespace: bookinfo
  name: ratings
"""


class Ca:
    """A throwaway authority."""

    def __init__(self, name: str = "test") -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        basic = x509.BasicConstraints(ca=True, path_length=None)
        self.certificate = self._builder(self.key.public_key(), self.name).add_extension(basic, critical=True)
        self.pem = _pem(self.certificate.sign(self.key, hashes.SHA256()))

    def issue(self, key: ec.EllipticCurvePublicKey, uri: str, *, lifetime: timedelta = timedelta(hours=1)) -> str:
        """A leaf's PEM. It also carries the names a server on this machine needs."""
        names = [
            x509.UniformResourceIdentifier(uri),
            x509.DNSName("control-plane"),
            x509.IPAddress(ip_address("127.0.0.1")),
        ]
        leaf = self._builder(key, x509.Name([]), lifetime)
        return _pem(
            leaf.add_extension(x509.SubjectAlternativeName(names), critical=True).sign(self.key, hashes.SHA256())
        )

    def server(self, directory: Path, *, lifetime: timedelta = timedelta(hours=1)) -> ssl.SSLContext:
        """A server's context; client certificates are asked for and checked, not required."""
        key = ec.generate_private_key(ec.SECP256R1())
        file = directory / "server.pem"
        file.write_text(self.issue(key.public_key(), CONTROL_PLANE, lifetime=lifetime) + key_pem(key))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        context.load_verify_locations(cadata=self.pem)
        context.verify_mode = ssl.CERT_OPTIONAL
        return context

    def _builder(
        self, key: ec.EllipticCurvePublicKey, subject: x509.Name, lifetime: timedelta = timedelta(hours=1)
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return x509.CertificateBuilder(
            issuer_name=self.name, subject_name=subject, public_key=key, serial_number=x509.random_serial_number(),
            not_valid_before=now - timedelta(days=1), not_valid_after=now + lifetime,
        )  # fmt: skip


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()


def key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


_TASK = {
    "/v4/c1": {"Networks": [{"IPv4Addresses": ["10.0.1.7"]}]},
    "/v4/c1/task": {
        "Cluster": "bookinfo",
        "TaskARN": TASK_ARN,
        "AvailabilityZone": "us-east-1a",
        "Limits": {"CPU": 0.25},
    },
    CREDENTIALS_PATH: {"AccessKeyId": "ASIATEST", "SecretAccessKey": SECRET, "Token": TOKEN},
}


@dataclass
class Ecs:
    """The link-local endpoints of a task. What they answer can be changed."""

    answers: dict[str, tuple[int, bytes]] = field(
        default_factory=lambda: {path: (200, json.dumps(answer).encode()) for path, answer in _TASK.items()}
    )
    asked: list[str] = field(default_factory=list)
    url: str = ""

    @property
    def environment(self) -> dict[str, str]:
        return {
            "ECS_CONTAINER_METADATA_URI_V4": f"{self.url}/v4/c1",
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": CREDENTIALS_PATH,
        }

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        path = head.split(" ")[1]
        self.asked.append(path)
        status, body = self.answers.get(path, (404, b"{}"))
        await respond(writer, status, body)


@asynccontextmanager
async def ecs_endpoint() -> AsyncIterator[Ecs]:
    ecs = Ecs()
    server = await asyncio.start_server(ecs.handle, "127.0.0.1", 0)
    async with server:
        ecs.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield ecs


async def respond(writer: asyncio.StreamWriter, status: int, body: bytes, headers: str = "") -> None:
    head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Length: {len(body)}\r\n{headers}"
    with suppress(OSError):
        writer.write(head.encode() + b"Connection: close\r\n\r\n" + body)
        await writer.drain()
        writer.close()
        await writer.wait_closed()


class Stream:
    """The server's end of an agent's stream."""

    def __init__(self, protocol: ServerProtocol, writer: asyncio.StreamWriter) -> None:
        self._protocol, self._writer = protocol, writer
        peer = writer.get_extra_info("ssl_object").getpeercert(True)
        self.certificate = x509.load_der_x509_certificate(peer) if peer else None
        self.heard: asyncio.Queue[Message | None] = asyncio.Queue()

    def send(self, *messages: Message) -> None:
        for message in messages:
            self.send_text(write(message))

    def send_text(self, text: str) -> None:
        self._protocol.send_text(text.encode())
        self.flush()

    def drop(self) -> None:
        self._writer.transport.abort()

    def flush(self) -> None:
        for data in self._protocol.data_to_send():
            if self._writer.is_closing():
                return
            if data:
                self._writer.write(data)
            else:  # the protocol's word for the end of the connection
                self._writer.close()

    async def wait(self, wanted: Callable[[Message | None], bool]) -> Message | None:
        """The next message that fits; None stands for the stream's end."""
        async with asyncio.timeout(30):
            while not wanted(message := await self.heard.get()):
                pass
        return message


@dataclass
class FakeControlPlane:
    """Answers joins with certificates of `ca`, or with what `refuse` says; hands each stream to `streams`."""

    ca: Ca
    template: dict[str, Any] = field(default_factory=dict)
    refuse: list[tuple[int, bytes]] = field(default_factory=list)
    requests: list[JoinRequest] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    streams: asyncio.Queue[Stream] = field(default_factory=asyncio.Queue)
    discovery: Discovery = Discovery((1,), "test/cp", "0")
    behind: timedelta = timedelta()
    lifetime: timedelta = timedelta(hours=1)
    redirect: str = ""
    port: int = 0
    _tasks: set["asyncio.Task[None]"] = field(default_factory=set)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await self._handle(reader, writer)
        writer.transport.abort()

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        path = head.decode().split(" ")[1]
        self.asked.append(path)
        if path == PATH and self.redirect:
            return await respond(writer, 307, b"", f"Location: {self.redirect}\r\n")
        if path == PATH:
            return await self._stream(head, reader, writer)
        length = next(
            int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
        )
        status, body = self._answer(path, await reader.readexactly(length))
        date = format_datetime(datetime.now(UTC) - self.behind, usegmt=True)
        return await respond(writer, status, body, f"Date: {date}\r\n")

    def _answer(self, path: str, body: bytes) -> tuple[int, bytes]:
        match path:
            case "/v1/discovery":
                return 200, encode(self.discovery).encode()
            case "/v1/challenge":
                return 200, encode(Challenge("ab" * 16, self.discovery.audience, 60)).encode()
            case "/v1/join":
                request = decode(JoinRequest, body)
                self.requests.append(request)
                return self.refuse.pop(0) if self.refuse else (200, encode(self.answer(request)).encode())
        return 404, b"no such page"

    def answer(self, request: JoinRequest) -> JoinResponse:
        import base64

        key = x509.load_der_x509_csr(base64.b64decode(request.csr)).public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        response = JoinResponse(
            namespace="bookinfo", registration="ratings-x", uid="uid-1", node_id="bookinfo/ratings-x",
            control_chain=self.ca.issue(key, "spiffe://test/bookinfo/ratings-x", lifetime=self.lifetime),
            control_roots=self.ca.pem,
            control_plane=CONTROL_PLANE, workload_chain=self.ca.issue(
                key, "spiffe://cluster.local/ns/bookinfo/sa/bookinfo-ratings", lifetime=self.lifetime
            ),
            xds_port=9, expires_in=3600, renew_in=1800,
        )  # fmt: skip
        return replace(response, **self.template)

    async def _stream(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        protocol = ServerProtocol(subprotocols=[SUBPROTOCOL])  # type: ignore[list-item]
        protocol.receive_data(head)
        (request,) = protocol.events_received()
        protocol.send_response(protocol.accept(request))  # type: ignore[arg-type]
        stream = Stream(protocol, writer)
        stream.flush()
        self.streams.put_nowait(stream)
        with suppress(OSError):
            while data := await reader.read(65536):
                protocol.receive_data(data)
                for frame in protocol.events_received():
                    if getattr(frame, "opcode", None) is Opcode.TEXT:
                        stream.heard.put_nowait(read(frame.data))  # type: ignore[union-attr]
                stream.flush()
        stream.heard.put_nowait(None)


@asynccontextmanager
async def control_plane(
    ca: Ca, directory: Path, *, port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[FakeControlPlane]:
    fake = FakeControlPlane(ca)
    connections: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.create_task(fake.handle(reader, writer))
        connections.add(connection)
        connection.add_done_callback(connections.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", port, ssl=tls or ca.server(directory))
    fake.port = server.sockets[0].getsockname()[1]
    try:
        yield fake
    finally:
        server.close()
        for connection in list(connections):
            connection.cancel()
        if connections:
            await asyncio.wait(connections)


def refusal(status: int = 403, retry_after: int = 0, **fields: str) -> tuple[int, bytes]:
    words = {
        "code": "OUT118",
        "reason": "Not authorized by OnboardingPolicy",
        "hint": "apply one",
        "reference": "r1",
        **fields,
    }
    return status, encode(Refusal(**words, retry_after=retry_after)).encode()
