"""TLS serving: who the application is told is calling, new certificates while running, and clients that dawdle."""

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from starlette.types import Receive, Scope, Send
from websockets.asyncio.client import connect

from outrig.api import serving as serving_module
from outrig.api.serving import SILENT_SECONDS, STALLED_SECONDS, CannotServe, Limits, Serving, Tls, serve
from outrig.ca.authorities import Authorities, KeyPair, open_authorities, utc_now
from outrig.store.memory import MemoryStore


async def whoami(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the subject of the client certificate that the scope has."""
    chain = scope["extensions"]["tls"]["client_cert_chain"] if "tls" in scope.get("extensions", {}) else None
    names = chain and [x509.load_pem_x509_certificate(pem.encode()).subject.rfc4514_string() for pem in chain]
    told = json.dumps(names)
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": told})
        await send({"type": "websocket.close"})
        return
    if scope["path"] == "/slow":
        await asyncio.Event().wait()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(told))]})
    await send({"type": "http.response.body", "body": told.encode()})


class Files:
    """Certificates in files."""

    def __init__(self, home: Path, authorities: Authorities) -> None:
        self.home, self.authorities = home, authorities
        self.tls = Tls(home / "chain.pem", home / "key.pem", home / "clients.pem")
        self.renew()
        (home / "clients.pem").write_text(authorities.clients.pem)

    def renew(self) -> None:
        self._write(self.tls.chain, self.tls.key, self.authorities.issue_server(["127.0.0.1"]))

    def client(self, *, name: str = "", authorities: Authorities | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context(cadata=self.authorities.control_roots)
        context.check_hostname = False
        if name:
            pair = (authorities or self.authorities).issue_client(name, group="g", lifetime=timedelta(hours=1))
            self._write(self.home / "c.pem", self.home / "c.key", pair)
            context.load_cert_chain(self.home / "c.pem", self.home / "c.key")
        return context

    @staticmethod
    def _write(chain: Path, key: Path, pair: KeyPair) -> None:
        chain.write_text(pair.certificate.chain)
        key.write_text(pair.key)


@pytest.fixture
async def files(tmp_path: Path) -> Files:
    yesterday = await open_authorities(MemoryStore(), clock=lambda: datetime.now(UTC) - timedelta(days=1))
    return Files(tmp_path, replace(yesterday, clock=utc_now))


async def rest(reader: asyncio.StreamReader) -> bytes:
    """What still comes before the connection ends, whichever way it ends."""
    async with asyncio.timeout(20):
        try:
            return await reader.read()
        except ConnectionError:
            return b""


@asynccontextmanager
async def connected(serving: Serving, context: ssl.SSLContext) -> AsyncIterator["Peer"]:
    reader, writer = await asyncio.open_connection("127.0.0.1", serving.port, ssl=context)
    try:
        yield Peer(reader, writer)
    finally:
        writer.transport.abort()


class Peer:
    """A raw connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def ask(self) -> list[str] | None:
        self.writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        async with asyncio.timeout(20):
            head = await self.reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            found: list[str] | None = json.loads(await self.reader.readexactly(length))
        return found

    @property
    def server_certificate(self) -> bytes:
        certificate: bytes = self.writer.get_extra_info("ssl_object").getpeercert(True)
        return certificate


async def test_the_application_is_told_the_verified_client_certificate(files: Files) -> None:
    async with serve(whoami, host="127.0.0.1", port=0, tls=files.tls) as serving:
        async with connected(serving, files.client(name="alice")) as peer:
            assert await peer.ask() == ["CN=alice,O=g"] or await peer.ask() == ["O=g,CN=alice"]
        async with connected(serving, files.client()) as peer:
            assert await peer.ask() == []


async def test_a_websocket_is_told_it_too(files: Files) -> None:
    async with (
        serve(whoami, host="127.0.0.1", port=0, tls=files.tls) as serving,
        connect(f"wss://127.0.0.1:{serving.port}/", ssl=files.client(name="alice")) as socket,
    ):
        assert "CN=alice" in str(await socket.recv())


async def test_a_certificate_of_a_foreign_authority_is_turned_away(files: Files) -> None:
    foreign = await open_authorities(MemoryStore())
    async with serve(whoami, host="127.0.0.1", port=0, tls=files.tls) as serving:
        with pytest.raises(ssl.SSLError, match="unknown ca"):
            async with connected(serving, files.client(name="mallory", authorities=foreign)) as peer:
                await peer.ask()


@pytest.mark.parametrize("begun", [timedelta(hours=-2), timedelta(hours=2)])
async def test_a_certificate_out_of_its_time_is_turned_away_unless_the_application_judges(
    files: Files, begun: timedelta
) -> None:
    then = replace(files.authorities, clock=lambda: datetime.now(UTC) + begun)
    context = files.client(name="alice", authorities=then)
    async with serve(whoami, host="127.0.0.1", port=0, tls=files.tls) as serving:
        with pytest.raises(ssl.SSLError, match=r"certificate expired|bad certificate"):
            async with connected(serving, context) as peer:
                await peer.ask()
    judged = replace(files.tls, at_any_time=True)
    async with serve(whoami, host="127.0.0.1", port=0, tls=judged) as serving, connected(serving, context) as peer:
        assert "CN=alice" in str(await peer.ask())


async def test_who_speaks_no_tls_is_cut_off_at_once(files: Files) -> None:
    limits = Limits(handshake=3600)
    async with serve(whoami, host="127.0.0.1", port=0, tls=files.tls, limits=limits) as serving:
        reader, writer = await asyncio.open_connection("127.0.0.1", serving.port)
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        assert await rest(reader) == b""
        writer.close()


@pytest.mark.parametrize(("more", "patience"), [(b"x" * 100, 3600), (b"", 0.2)])
async def test_who_stays_after_a_refused_handshake_is_cut_off(files: Files, more: bytes, patience: float) -> None:
    foreign = await open_authorities(MemoryStore())
    context = files.client(name="mallory", authorities=foreign)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing)
    limits = Limits(handshake=patience)
    async with serve(whoami, host="127.0.0.1", port=0, tls=files.tls, limits=limits) as serving, asyncio.timeout(20):
        reader, writer = await asyncio.open_connection("127.0.0.1", serving.port)
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                writer.write(outgoing.read())
                incoming.write(await reader.read(65536))
        writer.write(outgoing.read())
        assert await reader.read(65536), "the alert"
        writer.write(more)
        assert await rest(reader) == b""
        writer.close()


async def test_without_tls_the_scope_tells_of_none() -> None:
    async with serve(whoami, host="127.0.0.1", port=0) as serving:
        reader, writer = await asyncio.open_connection("127.0.0.1", serving.port)
        assert await Peer(reader, writer).ask() is None
        writer.close()


async def test_no_session_can_be_resumed(files: Files) -> None:
    context = files.client(name="alice")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with serve(whoami, host="127.0.0.1", port=0, tls=files.tls) as serving:
        async with connected(serving, context) as peer:
            session = peer.writer.get_extra_info("ssl_object").session
        assert session is None or not session.has_ticket


async def test_a_new_certificate_serves_new_connections_and_leaves_old_ones(files: Files) -> None:
    context = files.client()
    async with (
        serve(whoami, host="127.0.0.1", port=0, tls=files.tls) as serving,
        connected(serving, context) as old,
    ):
        port = serving.port
        files.renew()
        await serving.reload()
        async with connected(serving, context) as new:
            assert new.server_certificate != old.server_certificate
            assert await new.ask() == await old.ask() == []
        assert serving.port == port


async def test_client_roots_are_reloaded_and_the_old_ones_forgotten(files: Files) -> None:
    other = await open_authorities(MemoryStore())
    assert files.tls.client_ca is not None
    async with serve(whoami, host="127.0.0.1", port=0, tls=files.tls) as serving:
        files.tls.client_ca.write_text(other.clients.pem)
        await serving.reload()
        async with connected(serving, files.client(name="bob", authorities=other)) as peer:
            assert "bob" in str(await peer.ask())
        with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
            async with connected(serving, files.client(name="alice")) as peer:
                await peer.ask()


async def test_a_broken_certificate_file_changes_nothing(files: Files) -> None:
    async with serve(whoami, host="127.0.0.1", port=0, tls=files.tls) as serving:
        files.tls.key.write_text("not a key")
        with pytest.raises(CannotServe, match=r"key\.pem"):
            await serving.reload()
        async with connected(serving, files.client()) as peer:
            assert await peer.ask() == []


async def test_a_client_that_never_finishes_its_headers_is_dropped() -> None:
    async with serve(whoami, host="127.0.0.1", port=0, limits=Limits(headers=0.2)) as serving:
        for sent in (b"", b"GET / HTTP/1.1\r\nhost: x\r\n"):
            reader, writer = await asyncio.open_connection("127.0.0.1", serving.port)
            writer.write(sent)
            assert await rest(reader) == b""
            writer.close()


async def test_a_client_that_never_finishes_its_handshake_is_dropped(files: Files) -> None:
    async with serve(whoami, host="127.0.0.1", port=0, tls=files.tls, limits=Limits(handshake=0.2)) as serving:
        reader, writer = await asyncio.open_connection("127.0.0.1", serving.port)
        assert await rest(reader) == b""
        writer.close()


async def test_headers_without_end_are_refused() -> None:
    async with serve(whoami, host="127.0.0.1", port=0) as serving:
        reader, writer = await asyncio.open_connection("127.0.0.1", serving.port)
        writer.write(b"GET / HTTP/1.1\r\nx: " + b"a" * 200_000)
        async with asyncio.timeout(20):
            assert b" 400 " in await reader.readline()
        writer.close()


async def test_several_requests_share_a_connection_and_many_servers_a_loop(files: Files) -> None:
    async with (
        serve(whoami, host="127.0.0.1", port=0, tls=files.tls) as one,
        serve(whoami, host="127.0.0.1", port=0, tls=files.tls) as other,
    ):
        assert one.port != other.port
        for serving in (one, other):
            async with connected(serving, files.client(name="a")) as peer:
                assert await peer.ask() == await peer.ask()


async def test_a_taken_port_is_an_error_that_names_it() -> None:
    async with serve(whoami, host="127.0.0.1", port=0) as serving:
        with pytest.raises(CannotServe, match=str(serving.port)):
            async with serve(whoami, host="127.0.0.1", port=serving.port):
                pass


async def test_stopping_frees_the_port_and_does_not_wait_for_ever() -> None:
    async with serve(whoami, host="127.0.0.1", port=0, limits=Limits(grace=0.1)) as serving:
        port = serving.port
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n")
        await writer.drain()
    with pytest.raises(ConnectionError):
        await asyncio.open_connection("127.0.0.1", port)
    assert b"200" not in await rest(reader)
    writer.close()


async def test_idle_connections_cost_no_tasks_and_are_asked_whether_they_are_there() -> None:
    async with serve(whoami, host="127.0.0.1", port=0) as serving:
        before = len(asyncio.all_tasks())
        peers = [await asyncio.open_connection("127.0.0.1", serving.port) for _ in range(200)]
        while len(serving._state.connections) < len(peers):
            await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == before
        for connection in serving._state.connections:
            accepted = connection.transport.get_extra_info("socket")
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == SILENT_SECONDS
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == STALLED_SECONDS * 1000
        for _, writer in peers:
            writer.transport.abort()
        while serving._state.connections:
            await asyncio.sleep(0)


@pytest.mark.slow
async def test_who_reads_nothing_of_an_answer_loses_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    size = 20 * 1024 * 1024

    async def large(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % size)]})
        await send({"type": "http.response.body", "body": bytes(size)})

    monkeypatch.setattr(serving_module, "STALLED_SECONDS", 1)
    async with serve(large, host="127.0.0.1", port=0) as serving:
        with socket.create_connection(("127.0.0.1", serving.port)) as peer:
            peer.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            async with asyncio.timeout(30):
                while not serving._state.connections:
                    await asyncio.sleep(0.01)
                while serving._state.connections:
                    await asyncio.sleep(0.01)
