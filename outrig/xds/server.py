"""The gRPC server of delta ADS: mutual TLS, one conversation a stream, nothing but `DeltaAggregatedResources`.

In: a feed of snapshots and marks, credentials, and `identify`, which judges a client certificate. Refused: callers
without a certificate of ours (by TLS), with a session that `identify` refuses, or with a node id that is not their own.

A stream ends when its certificate does and when `end` is called. An Envoy reopens a stream on the same connection,
so its bootstrap allows one request a connection, and every stream is identified anew: an old connection gains nothing.
"""

import asyncio
import errno
import os
import socket
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import grpc
import grpc.aio
import structlog

from outrig.errors import OutrigError
from outrig.kit.aio import jittered_backoff
from outrig.snapshot import ProxyId, Snapshot
from outrig.xds.conversation import Conversation
from outrig.xds.credentials import Credentials
from outrig.xds.frames import Frame, FrameError, read_request, write_response
from outrig.xds.mailbox import Mailbox, Progress
from outrig.xds.session import Identify, Refused, Session
from outrig.xds.subscription import Response

LAST_WRITE = 5.0  # seconds a client has for the message under way when its stream is ended
SHOWN = 1000  # characters of what a client says that are quoted to it and in the log
SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"

_log = structlog.get_logger(__name__)


class CannotListen(OutrigError):
    """The xDS port cannot be bound."""

    code = "OUT701"


class Feed(Protocol):
    """Where snapshots come from. All of it is synchronous: what is read between two awaits belongs together."""

    @property
    def stamp(self) -> int:
        """The number of the state that snapshots show now; it never falls."""
        ...

    def subscribed(self, proxy: ProxyId) -> AbstractContextManager[Mailbox]:
        """A mailbox that is marked with whatever changes for this proxy."""
        ...

    def snapshot(self, proxy: ProxyId) -> Snapshot | None:
        """What the proxy should have; None: not known (yet), which is not the same as nothing."""
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client may take. Sizes in bytes, times in seconds."""

    message: int = 4 * 1024 * 1024
    """The largest request."""
    names: int = 100_000
    """How many resource names one stream may make the server remember."""
    streams: int = 4
    """Streams of one proxy at once; a new one ends the oldest, which is most likely dead."""
    first_message: float = 15.0
    """How long a stream may stay silent before it says who it is."""
    keepalive: float = 30.0
    """Between pings to a silent client."""
    keepalive_timeout: float = 10.0
    """How long a ping may stay unanswered."""
    stop: float = 1.0
    """How long streams get to end when the server stops."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """`streams` open now, `responses` sent since the start."""

    streams: int
    responses: int


class _Ended(Exception):
    def __init__(self, code: grpc.StatusCode, reason: str) -> None:
        self.code, self.reason = code, reason
        super().__init__(reason)


class XdsServer:
    """Serves a feed to proxies. `run` until cancelled; `wait_listening` tells the port (useful with port 0)."""

    def __init__(
        self,
        feed: Feed,
        credentials: Credentials,
        *,
        identify: Identify,
        address: str = "0.0.0.0:0",
        limits: Limits = Limits(),
    ) -> None:
        self._feed, self._credentials, self._identify = feed, credentials, identify
        self._address, self._limits = address, limits
        self._endings: dict[ProxyId, list[asyncio.Future[_Ended]]] = defaultdict(list)
        self._listening = asyncio.Event()
        self._port = self._responses = 0

    async def wait_listening(self) -> int:
        """The bound port, once there is one."""
        await self._listening.wait()
        return self._port

    def end(self, proxy: ProxyId, reason: str) -> None:
        """End the streams of a proxy that was revoked, banned or is gone. Whether it may come back is `identify`'s."""
        for ending in self._endings.get(proxy, ()):
            _end(ending, grpc.StatusCode.PERMISSION_DENIED, reason)

    def statistics(self) -> Statistics:
        """What the server has done so far."""
        return Statistics(sum(len(endings) for endings in self._endings.values()), self._responses)

    def _sent(self) -> None:
        self._responses += 1

    async def run(self) -> None:
        """Serve until cancelled. Raises CannotListen."""
        server = grpc.aio.server(options=_options(self._limits))
        handler = grpc.stream_stream_rpc_method_handler(self._serve)
        methods = {"DeltaAggregatedResources": handler}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))
        _require_bindable(self._address)
        try:
            self._port = server.add_secure_port(self._address, self._credentials.for_server())
        except RuntimeError as error:
            raise CannotListen(self._address, "cannot listen there", "is another control plane running?") from error
        await server.start()
        self._listening.set()
        try:
            await asyncio.Event().wait()  # cancelling gRPC's own wait would make `stop` do nothing
        finally:
            await server.stop(self._limits.stop)

    async def _serve(self, _requests: object, context: Any) -> None:
        try:
            session = await self._admit(context)
            await self._converse(context, session)
        except _Ended as ended:
            if ended.code != grpc.StatusCode.OK:
                await context.abort(ended.code, ended.reason)

    async def _admit(self, context: Any) -> Session:
        certificate = context.auth_context().get("x509_pem_cert", [b""])[0].decode()
        try:
            session = await self._identify(certificate)
        except OutrigError as error:  # the store is away, say
            _log.warning("xds stream not served now", peer=context.peer(), reason=str(error))
            raise _Ended(grpc.StatusCode.UNAVAILABLE, "the control plane cannot serve this now") from None
        if isinstance(session, Refused):
            _log.warning("xds stream refused", peer=context.peer(), reason=session.reason)
            raise _Ended(grpc.StatusCode.PERMISSION_DENIED, session.reason)
        return session

    async def _converse(self, context: Any, session: Session) -> None:
        with self._open(session) as ending:
            first = await self._first_frame(context)
            if first.node != session.proxy:
                reason = f"the certificate is of {session.proxy!r}, it cannot speak for node {first.node[:SHOWN]!r}"
                _log.warning("xds stream refused", peer=context.peer(), reason=reason)
                raise _Ended(grpc.StatusCode.PERMISSION_DENIED, reason)
            with self._feed.subscribed(session.proxy) as mailbox:
                stream = _Stream(context, self._feed, proxy=session.proxy, mailbox=mailbox, sent=self._sent)
                await stream.run(first, limit=self._limits.names, end=_wait_end(session, ending))

    async def _first_frame(self, context: Any) -> Frame:
        try:
            async with asyncio.timeout(self._limits.first_message):
                return await _read(context)
        except TimeoutError:
            raise _Ended(grpc.StatusCode.DEADLINE_EXCEEDED, "the stream stayed silent") from None

    @contextmanager
    def _open(self, session: Session) -> Iterator[asyncio.Future[_Ended]]:
        endings = self._endings[session.proxy]
        if len(endings) >= self._limits.streams:
            _end(endings[0], grpc.StatusCode.RESOURCE_EXHAUSTED, "this proxy opened too many streams; the oldest ends")
        ending: asyncio.Future[_Ended] = asyncio.get_running_loop().create_future()
        endings.append(ending)
        try:
            yield ending
        finally:
            endings.remove(ending)
            if not endings:
                self._endings.pop(session.proxy, None)


class _Stream:
    """One admitted stream: a reader that feeds the conversation, a writer that says what is due."""

    def __init__(self, context: Any, feed: Feed, *, proxy: ProxyId, mailbox: Mailbox, sent: Callable[[], None]) -> None:
        self._context, self._feed, self._proxy, self._mailbox = context, feed, proxy, mailbox
        self._count_response = sent
        self._conversation = Conversation()
        mailbox.tallies = self._conversation.tallies
        self._writing: asyncio.Future[None] | None = None
        self._retry: asyncio.TimerHandle | None = None
        self._waits = _waits()
        self._log = _log.bind(proxy=proxy, peer=context.peer())

    async def run(self, first: Frame, *, limit: int, end: Any) -> None:
        """Until the client leaves or `end` raises. Raises _Ended."""
        self._log.info("xds stream opened", held=len(first.request.versions))
        ended = _Ended(grpc.StatusCode.OK, "")
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(end)
                tasks.create_task(self._speak())
                tasks.create_task(self._listen(first, limit))
        except* _Ended as group:
            ended = next(each for each in group.exceptions if isinstance(each, _Ended))
        finally:
            if self._retry is not None:
                self._retry.cancel()
            self._log.info("xds stream closed", reason=ended.reason)
        if self._writing is not None:
            await asyncio.wait([self._writing], timeout=LAST_WRITE)
        raise ended

    async def _listen(self, frame: Frame, limit: int) -> None:
        while True:
            self._hear(frame, limit)
            frame = await _read(self._context)

    def _hear(self, frame: Frame, limit: int) -> None:
        request = frame.request
        if request.error is not None:
            reason = request.error[:SHOWN]
            self._log.warning("proxy refused configuration", type=request.type_url[:SHOWN], reason=reason)
        if not self._conversation.receive(request):
            self._log.warning("proxy asked for a type that is not served", type=request.type_url[:SHOWN])
        if self._conversation.size > limit:
            raise _Ended(grpc.StatusCode.RESOURCE_EXHAUSTED, f"more than {limit} resource names")
        self._mailbox.wake()

    async def _speak(self) -> None:
        while True:
            await self._mailbox.wait_awake()
            while (response := self._next()) is not None:
                await self._write(write_response(response))

    async def _write(self, message: bytes) -> None:
        """A write that has begun goes on even if the stream is ended: gRPC takes no status before it is done."""
        self._writing = asyncio.ensure_future(self._context.write(message))
        self._writing.add_done_callback(_look_at)
        await asyncio.shield(self._writing)
        self._count_response()

    def _next(self) -> Response | None:
        """What to say now, from the newest state; if there is nothing, tells how far the client has come."""
        conversation, stamp = self._conversation, self._feed.stamp
        conversation.mark(self._mailbox.take())
        snapshot = self._feed.snapshot(self._proxy)
        if snapshot is None:  # nobody must wait for a proxy that has no configuration
            self._mailbox.report(Progress(stamp))
            return None
        response = conversation.next(snapshot, stamp)
        if response is None:
            rejections = conversation.rejections
            before = self._mailbox.progress
            # Looking at every name is not worth it for a client that was settled, and refused and refuses nothing.
            calm = before.settled and not before.rejections and not rejections
            settled = calm or conversation.is_quiet(snapshot)
            self._mailbox.report(Progress(conversation.accepted, rejections, settled))
            self._plan_retry()
        return response

    def _plan_retry(self) -> None:
        """A client whose listener is refused may never ask for that listener's routes, so this waits for no rest."""
        if self._conversation.is_blocked and self._retry is None:
            self._retry = asyncio.get_running_loop().call_later(next(self._waits), self._try_again)
        elif self._mailbox.progress.settled and not self._conversation.is_blocked:
            self._waits = _waits()

    def _try_again(self) -> None:
        self._retry = None
        self._conversation.retry()
        self._mailbox.wake()


def _waits() -> Iterator[float]:
    """Seconds before a listener whose address was taken is sent again, each time."""
    return jittered_backoff(first=1.0, ceiling=30.0)


async def _wait_end(session: Session, ending: "asyncio.Future[_Ended]") -> None:
    try:
        async with asyncio.timeout((session.not_after - datetime.now(UTC)).total_seconds()):
            raise await ending
    except TimeoutError:
        raise _Ended(grpc.StatusCode.UNAUTHENTICATED, "the client certificate has expired") from None


async def _read(context: Any) -> Frame:
    data = await context.read()
    if data is grpc.aio.EOF:
        raise _Ended(grpc.StatusCode.OK, "")
    try:
        return read_request(data)
    except FrameError as error:
        raise _Ended(grpc.StatusCode.INVALID_ARGUMENT, str(error)) from None


def _look_at(writing: "asyncio.Future[None]") -> None:
    """A client that goes away in the middle of a message is no error that somebody forgot."""
    if not writing.cancelled():
        writing.exception()


def _end(ending: "asyncio.Future[_Ended]", code: grpc.StatusCode, reason: str) -> None:
    if not ending.done():
        ending.set_result(_Ended(code, reason))


def _require_bindable(address: str) -> None:
    """Say why an address cannot be had: gRPC does not, and writes a line of its own to standard error."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    try:
        socket.create_server((host, int(port)), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)  # < 0: a name's lookup
        hint = "is another control plane running?" if taken else ""
        raise CannotListen(address, f"cannot listen there: {reason}", hint) from None


def _options(limits: Limits) -> list[tuple[str, int]]:
    return [
        ("grpc.so_reuseport", 0),  # a second server on the port is an error, not a rival
        ("grpc.max_receive_message_length", limits.message),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_concurrent_streams", limits.streams),
        ("grpc.keepalive_time_ms", int(limits.keepalive * 1000)),
        ("grpc.keepalive_timeout_ms", int(limits.keepalive_timeout * 1000)),
        # Sidecars ping too, while nothing is sent; gRPC's default takes more than one in 5 minutes for an attack.
        ("grpc.http2.min_ping_interval_without_data_ms", 1000),
    ]
