"""The agents' stream: a WebSocket at `wire.stream.PATH`, mutual TLS by control identity.

In: frames of agents, messages of the registry. Refused, with a reason that the caller gets and the log shows: callers
without a certificate of ours or with another subprotocol (before the stream opens), frames that are not exactly the
protocol, frames that are too large, agents that do not say hello or report too often (code 1008 or 1009). A caller
whose registration is gone is let in to be told `rejoin`. The stream ends with its certificate.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol, TypeVar

import structlog
from starlette.responses import PlainTextResponse
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from outrig.admission.rate import Buckets
from outrig.errors import OutrigError
from outrig.wire.codec import WireError
from outrig.wire.stream import PATH, SUBPROTOCOL, Ban, Bye, Hello, Message, Rejoin, Report, read, write
from outrig.xds.session import Identify, Refused, Session

NORMAL, VIOLATION, TOO_BIG, TRY_LATER = 1000, 1008, 1009, 1013
_REASON = 120  # bytes of a close reason; RFC 6455 leaves 123

M = TypeVar("M", bound=Message)

_log = structlog.get_logger(__name__)


class Connection(Protocol):
    """What the registry knows of one stream."""

    async def report(self, report: Report) -> None:
        """The agent says how its workload is. Raises WireError for a state there is not."""
        ...

    async def next_message(self) -> Message:
        """The next message to send, in order."""
        ...

    def goodbye(self, reason: str) -> None:
        """This control plane stops."""
        ...


class Agents(Protocol):
    """The registry of connected agents."""

    def attended(self, session: Session) -> AbstractAsyncContextManager[Connection]:
        """The agent's stream is open while the block runs."""
        ...


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """`frame` in bytes; `hello`: seconds an agent may stay silent at first; `retry`: seconds it is told to wait.

    `reports` may come at once, and `report_rate` a second lastingly; each can cost a write.
    """

    frame: int = 16 * 1024
    hello: float = 10.0
    retry: int = 2
    reports: int = 20
    report_rate: float = 2.0


class _Ended(Exception):
    def __init__(self, code: int, reason: str = "") -> None:
        self.code, self.reason = code, reason
        super().__init__(reason)


class AgentStream:
    """Serves agent streams. Mount `route()`."""

    def __init__(
        self,
        agents: Agents,
        identify: Identify,
        *,
        limits: StreamLimits = StreamLimits(),
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._agents, self._identify, self._limits, self._now = agents, identify, limits, now

    def route(self) -> WebSocketRoute:
        """Where agents connect."""
        return WebSocketRoute(PATH, self.serve)

    async def serve(self, websocket: WebSocket) -> None:
        """One stream, from its handshake to its end."""
        log = _log.bind(peer=websocket.client.host if websocket.client else "")
        try:
            session = await self._admit(websocket)
            log = log.bind(registration=str(session.registration))
            await self._converse(websocket, session)
        except _Ended as ended:
            log.info("agent stream closed", code=ended.code, reason=ended.reason)
            await _close(websocket, ended)
        except WebSocketDisconnect as gone:
            log.info("agent stream closed", code=gone.code, reason="the agent went away")
        except OutrigError as error:  # the store is away, say
            log.warning("agent stream closed", reason=str(error))
            await _close(websocket, _Ended(TRY_LATER, "the control plane cannot serve this now"))

    async def _admit(self, websocket: WebSocket) -> Session:
        """Open the stream for a caller that may have it."""
        if SUBPROTOCOL not in websocket.scope.get("subprotocols", ()):
            raise _Ended(400, f"this stream speaks {SUBPROTOCOL} only")
        chain = websocket.scope.get("extensions", {}).get("tls", {}).get("client_cert_chain", ())
        if not chain:
            raise _Ended(401, "a client certificate is needed: the control identity")
        session = await self._identify(chain[0])
        if isinstance(session, Refused) and not session.rejoin:
            raise _Ended(403, session.reason)
        await websocket.accept(subprotocol=SUBPROTOCOL)
        if isinstance(session, Refused):
            await websocket.send_text(write(Rejoin(session.reason)))
            raise _Ended(VIOLATION, session.reason)
        return session

    async def _converse(self, websocket: WebSocket, session: Session) -> None:
        hello = await self._hello(websocket)
        if hello.uid != session.uid:
            raise _Ended(VIOLATION, "hello names another registration than the client certificate")
        async with self._agents.attended(session) as connection:
            await self._talk(websocket, session, connection)

    async def _hello(self, websocket: WebSocket) -> Hello:
        try:
            async with asyncio.timeout(self._limits.hello):
                return await self._receive(websocket, Hello)
        except TimeoutError:
            raise _Ended(VIOLATION, "no hello") from None

    async def _talk(self, websocket: WebSocket, session: Session, connection: Connection) -> None:
        stopping: asyncio.Event = websocket.scope.get("state", {}).get("stopping") or asyncio.Event()
        ended = _Ended(NORMAL)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._listen(websocket, connection))
                tasks.create_task(_speak(websocket, connection))
                tasks.create_task(self._expire(websocket, session))
                tasks.create_task(_say_goodbye(stopping, connection))
        except* _Ended as group:
            ended = next(each for each in group.exceptions if isinstance(each, _Ended))
        except* WebSocketDisconnect:
            ended = _Ended(NORMAL, "the agent went away")
        except* OutrigError as group:
            raise next(each for each in group.exceptions if isinstance(each, OutrigError)) from None
        finally:
            if stopping.is_set():  # the stream may have ended before the goodbye was said
                connection.goodbye("the control plane is restarting")
        raise ended

    async def _listen(self, websocket: WebSocket, connection: Connection) -> None:
        allowance = Buckets(self._limits.report_rate, self._limits.reports)
        while True:
            report = await self._receive(websocket, Report)
            if allowance.take("", time.monotonic()) > 0:
                raise _Ended(VIOLATION, "too many reports")
            try:
                await connection.report(report)
            except WireError as error:
                raise _Ended(VIOLATION, str(error)) from None

    async def _receive(self, websocket: WebSocket, kind: type[M]) -> M:
        event = await websocket.receive()
        if event["type"] == "websocket.disconnect":
            raise _Ended(event.get("code", NORMAL), event.get("reason") or "the agent closed the stream")
        frame = event.get("text")
        if frame is None:
            raise _Ended(VIOLATION, "frames are text")
        if len(frame) > self._limits.frame:
            raise _Ended(TOO_BIG, f"a frame has at most {self._limits.frame} bytes")
        try:
            message = read(frame)
        except WireError as error:
            raise _Ended(VIOLATION, str(error)) from None
        if not isinstance(message, kind):
            raise _Ended(VIOLATION, f"expected {kind.__name__.lower()}, got {type(message).__name__.lower()}")
        return message

    async def _expire(self, websocket: WebSocket, session: Session) -> None:
        await asyncio.sleep((session.not_after - self._now()).total_seconds())
        reason = "the client certificate has expired"
        await websocket.send_text(write(Bye(reason, retry_after=self._limits.retry)))
        raise _Ended(VIOLATION, reason)


async def _speak(websocket: WebSocket, connection: Connection) -> None:
    while True:
        message = await connection.next_message()
        await websocket.send_text(write(message))
        if isinstance(message, Bye | Ban):
            raise _Ended(NORMAL, message.reason)


async def _say_goodbye(stopping: asyncio.Event, connection: Connection) -> None:
    await stopping.wait()
    connection.goodbye("the control plane is restarting")


async def _close(websocket: WebSocket, ended: _Ended) -> None:
    """Before the stream is open an answer is an HTTP response; afterwards a close frame, if the peer is still there."""
    if (
        websocket.client_state is WebSocketState.DISCONNECTED
        or websocket.application_state is WebSocketState.DISCONNECTED
    ):
        return
    if websocket.application_state is WebSocketState.CONNECTING:
        status = ended.code if ended.code < NORMAL else 503
        await websocket.send_denial_response(PlainTextResponse(ended.reason, status_code=status))
    else:
        reason = ended.reason.encode()[:_REASON].decode(errors="ignore")
        with suppress(WebSocketDisconnect):  # gone meanwhile
            await websocket.close(ended.code if ended.code >= NORMAL else VIOLATION, reason)
