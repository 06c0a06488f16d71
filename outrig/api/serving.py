"""Serves an ASGI application on a TCP port, plain or over TLS, inside an event loop that others share.

In: the application, an address, certificate files. Out: a `Serving` that knows its ports. The application finds the
verified client certificate in `scope["extensions"]["tls"]["client_cert_chain"]` (the ASGI TLS extension) and, in
`scope["state"]["stopping"]`, an event that endless responses watch to end in time; `scope["state"]["abort"]()` drops
the connection with all that its peer has not taken.

Built on uvicorn's protocols without uvicorn's `Server`, which takes over signals, exits the process when a port is
taken and wakes up ten times a second.
"""

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from typing import Any, Final, cast

import h11
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

from outrig.errors import OutrigError

BACKLOG = 1024
FRAME_BYTES = 64 * 1024
REST_BYTES = 16 * 1024 * 1024
SILENT_SECONDS = 30
"""After which a peer that says nothing is asked whether it is still there: by TCP itself, three times, 10 s apart."""
STALLED_SECONDS = 60
"""After which a connection is given up whose peer takes nothing of what was sent."""
UNSENT_BYTES = 16 * 1024
"""What may wait for a peer that does not read, here and in the kernel each, before whoever writes has to wait."""


class CannotServe(OutrigError):
    """The address is taken or not ours, or a certificate file cannot be used."""

    code = "OUT401"


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM files. `client_ca`: the roots whose client certificates are accepted; without it none is asked for.

    `at_any_time`: also those that have ended, or not begun; whoever answers refuses them, and can say why.
    """

    chain: Path
    key: Path
    client_ca: Path | None = None
    at_any_time: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds a connection may take: for the TLS handshake, for a request's headers, idle, and to finish at the end.

    A WebSocket's peer is pinged `ping_interval` after its last answer, and cut off if it does not answer within
    `ping_timeout`; so a peer that vanished without a word is noticed after both at most.
    """

    handshake: float = 10.0
    headers: float = 10.0
    idle: float = 75.0
    grace: float = 5.0
    ping_interval: float = 5.0
    ping_timeout: float = 5.0


NO_CHECK_TIME: Final = 0x200000
"""OpenSSL's X509_V_FLAG_NO_CHECK_TIME, which `ssl.VerifyFlags` has no name for."""


def tls_context(tls: Tls) -> ssl.SSLContext:
    """A server context: TLS 1.2 or newer, client certificates optional but verified, no session resumption.

    A resumed session is not verified again, so tickets are off. Raises CannotServe naming the file.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sslobject_class = _Handshake
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.num_tickets = 0
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(tls.chain, tls.key)
        if tls.client_ca is not None:
            context.verify_mode = ssl.CERT_OPTIONAL
            context.load_verify_locations(tls.client_ca)
            context.verify_flags |= NO_CHECK_TIME if tls.at_any_time else 0
    except (OSError, ssl.SSLError) as error:
        raise CannotServe(f"{tls.chain}, {tls.key}, {tls.client_ca}", f"cannot be used: {error}") from error
    return context


class _Handshake(ssl.SSLObject):
    """A connection whose peer is told that its certificate is refused: clients repeat what ends without a word.

    asyncio sends what a handshake has to say where it waits for more, and nothing where it fails: so it fails at what
    comes next, at the latest when its time is over.
    """

    _refused: ssl.SSLCertVerificationError | None = None

    def do_handshake(self) -> None:
        """As the original. Raises SSLError."""
        if self._refused is not None:
            raise self._refused
        try:
            super().do_handshake()
        except ssl.SSLCertVerificationError as error:
            self._refused = error
            raise ssl.SSLWantReadError from error


class Serving:
    """A running server. `addresses` are the bound (host, port) pairs, `port` the first one's port."""

    def __init__(self, app: ASGIApp, *, tls: Tls | None, limits: Limits) -> None:
        self._tls, self._limits = tls, limits
        self._stopping = asyncio.Event()
        self._state = _Connections(limits.headers)
        self._config = _config(app, limits)
        self._sockets: list[socket.socket] = []
        self._listeners: list[asyncio.Server] = []

    @property
    def addresses(self) -> tuple[tuple[str, int], ...]:
        """Where it listens."""
        return tuple(sock.getsockname()[:2] for sock in self._sockets)

    @property
    def port(self) -> int:
        """The port of the first address."""
        return self.addresses[0][1]

    async def reload(self) -> None:
        """Read the certificate files again, for new connections. Raises CannotServe and goes on with the old ones."""
        context = tls_context(self._tls) if self._tls else None
        outgoing, self._listeners = self._listeners, [await self._listen(sock, context) for sock in self._sockets]
        for listener in outgoing:
            listener.close()

    async def _open(self, host: str, port: int) -> None:
        context = tls_context(self._tls) if self._tls else None
        self._sockets = await _bind(host, port)
        self._listeners = [await self._listen(sock, context) for sock in self._sockets]

    async def _listen(self, sock: socket.socket, context: ssl.SSLContext | None) -> asyncio.Server:
        """Accept from a duplicate of the socket: closing that listener later loses no waiting connection."""
        timeout = self._limits.handshake if context else None
        loop = asyncio.get_running_loop()
        return await loop.create_server(
            self._protocol, sock=sock.dup(), ssl=context, backlog=BACKLOG, ssl_handshake_timeout=timeout
        )

    def _protocol(self) -> asyncio.Protocol:
        state = {"stopping": self._stopping}
        return _Http(config=self._config, server_state=cast("ServerState", self._state), app_state=state)

    async def _close(self) -> None:
        """Accept no more, let what runs finish within the grace, then end the rest."""
        for listener in self._listeners:
            listener.close()
        for sock in self._sockets:
            sock.close()
        self._stopping.set()
        for connection in list(self._state.connections):
            if not isinstance(connection, _WebSocket):  # those say goodbye themselves: they have been told
                connection.shutdown()
        if running := set(self._state.tasks):
            await asyncio.wait(running, timeout=self._limits.grace)
        await _cancel(set(self._state.tasks))
        for connection in list(self._state.connections):
            with contextlib.suppress(AttributeError):  # Python 3.11.2 cannot abort TLS that was closed twice
                connection.transport.abort()


@contextlib.asynccontextmanager
async def serve(
    app: ASGIApp, *, host: str, port: int, tls: Tls | None = None, limits: Limits | None = None
) -> AsyncIterator[Serving]:
    """Serve while the block runs; port 0 takes a free one. Raises CannotServe before anything is accepted."""
    serving = Serving(app, tls=tls, limits=limits or Limits())
    try:
        await serving._open(host, port)
        yield serving
    finally:
        await serving._close()


@dataclass(slots=True)
class _Connections:
    """What uvicorn's protocols expect of their server: they add themselves and their tasks here."""

    header_seconds: float
    total_requests: int = 0
    connections: set[Any] = field(default_factory=set)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def default_headers(self) -> list[tuple[bytes, bytes]]:
        """Headers of every response. Agents read their clock's error from the date."""
        return [(b"date", formatdate(usegmt=True).encode())]


class _Http(H11Protocol):
    """HTTP/1.1 with the TLS extension in the scope and a time limit on each request's headers."""

    _deadline: asyncio.TimerHandle | None = None
    _rest = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=UNSENT_BYTES)
        self.app_state = {**self.app_state, "abort": transport.abort}
        _give_up_in_time(transport.get_extra_info("socket"))
        self.app = cast("Any", _with_tls(cast("ASGIApp", self.app), transport))
        self._expect_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._deadline is None and self.conn.their_state is h11.IDLE:
            self._expect_headers()
        super().data_received(data)
        self._bound_rest(len(data))
        if self.conn.their_state is not h11.IDLE:
            self._cancel_deadline()

    def _bound_rest(self, received: int) -> None:
        """A body that is still coming after its answer is read, so that the client gets to see it, but not for ever."""
        if self.cycle is None or not self.cycle.response_complete or self.conn.their_state is not h11.SEND_BODY:
            self._rest = 0
            return
        self._rest += received
        if self._rest > REST_BYTES:
            self.transport.abort()

    def _expect_headers(self) -> None:
        seconds = cast("_Connections", self.server_state).header_seconds
        self._deadline = self.loop.call_later(seconds, self.transport.abort)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class _WebSocket(WebSocketsSansIOProtocol):
    """A WebSocket whose scope carries the TLS extension too, and whose silent peer is cut off without waiting."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.app = cast("Any", _with_tls(cast("ASGIApp", self.app), transport))

    async def send(self, message: Any) -> None:
        if self.close_sent and self.handshake_complete:  # a ping was not answered; uvicorn would call it our mistake
            raise ClientDisconnected
        await super().send(message)
        if message["type"] == "websocket.http.response.body":
            self.handshake_complete = True  # refused in full; uvicorn would log an error for each

    def send_receive_event_to_app(self) -> None:
        """Text that is not UTF-8 reaches the application as bytes; uvicorn would log a traceback for each."""
        if self.curr_msg_data_type == "text" and not _is_utf8(b"".join(self.frames)):
            self.curr_msg_data_type = "bytes"
        super().send_receive_event_to_app()

    def handle_parser_exception(self) -> None:
        if self.conn.close_sent is None:  # a bad frame before the handshake was answered: there is nothing to close
            self.transport.abort()
        else:
            super().handle_parser_exception()

    def keepalive_timeout(self) -> None:
        """Close without a farewell: over TLS that would wait half a minute for an answer that does not come."""
        if self.read_paused:  # the application has not taken the last message yet, so an answer would not be seen
            self.schedule_ping()
            return
        super().keepalive_timeout()
        self.transport.abort()


def _give_up_in_time(connection: socket.socket) -> None:
    """A watch whose client is gone without a word, or that reads no more, ends without anything being sent for that."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        (socket.TCP_KEEPIDLE, SILENT_SECONDS),
        (socket.TCP_KEEPINTVL, 10),
        (socket.TCP_KEEPCNT, 3),
        (socket.TCP_USER_TIMEOUT, STALLED_SECONDS * 1000),
        (socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES),
    ):
        connection.setsockopt(socket.IPPROTO_TCP, option, value)


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _config(app: ASGIApp, limits: Limits) -> Config:
    config = Config(
        cast("Any", app),
        http=_Http,
        ws=_WebSocket,
        lifespan="off",
        log_config=None,
        access_log=False,
        ws_max_size=FRAME_BYTES,
        ws_ping_interval=limits.ping_interval,
        ws_ping_timeout=limits.ping_timeout,
        ws_per_message_deflate=False,  # compression keeps hundreds of kilobytes for every open connection
        proxy_headers=False,
        interface="asgi3",
        timeout_keep_alive=int(limits.idle),
    )
    config.load()
    return config


def _with_tls(app: ASGIApp, transport: asyncio.BaseTransport) -> ASGIApp:
    """The application, told the verified client certificate. https://asgi.readthedocs.io/en/latest/specs/tls.html"""
    peer = transport.get_extra_info("ssl_object")
    if peer is None:
        return app
    certificate = peer.getpeercert(True)
    chain = [ssl.DER_cert_to_PEM_cert(certificate)] if certificate else []
    extension = {
        "server_cert": None,
        "client_cert_chain": chain,
        "client_cert_name": None,
        "client_cert_error": None,
        "tls_version": {"TLSv1.2": 0x0303, "TLSv1.3": 0x0304}.get(peer.version()),
        "cipher_suite": None,
    }

    async def with_extension(scope: Scope, receive: Receive, send: Send) -> None:
        scope["extensions"] = {**scope.get("extensions", {}), "tls": extension}
        await app(scope, receive, send)

    return with_extension


async def _bind(host: str, port: int) -> list[socket.socket]:
    """Sockets for each address of the host. With port 0 all get the port that the first was given."""
    bound: list[socket.socket] = []
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        for family, _, _, _, address in dict.fromkeys(found):
            at = (address[0], port or (bound[0].getsockname()[1] if bound else 0))
            bound.append(socket.create_server(at, family=family, backlog=BACKLOG))
    except OSError as error:
        for sock in bound:
            sock.close()
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)  # < 0: a name's lookup
        raise CannotServe(f"{host}:{port}", f"cannot listen there: {reason}") from error
    for sock in bound:
        sock.setblocking(False)
        # Connections inherit it. asyncio does not see to it here, and a head and a body are two writes: without it the
        # second waits for the client's delayed acknowledgement, 40 ms.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return bound


async def _cancel(tasks: set[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
