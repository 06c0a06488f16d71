"""Port 9902, for the container's health check: `/ready` and `/healthy`, on loopback only.

`/ready` is 200 when the workload may take calls, else 503; `/healthy` is 200 while the agent lives. The body is one
line that says how things are, also why the last join or renewal failed. The other end, for images without curl, is
`health_check`. `/drained` answers once the workload has drained, `POST /drain` has it do so: both are for
`outrig app-entrypoint`.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from types import MappingProxyType
from typing import Final

from outrig.agent.leaving import Applications
from outrig.agent.problems import InvalidConfiguration
from outrig.agent.status import Status
from outrig.wire.stream import State

_PATIENCE = 5.0  # seconds for a request to arrive
PLAIN: Final = MappingProxyType({state: str(state) for state in State})
KUMA: Final = MappingProxyType(
    dict.fromkeys(State, "NOT_READY") | {State.READY: "READY", State.DRAINING: "TERMINATING"}
)
"""The state's word in an answer; kuma-dp has words of its own."""


@asynccontextmanager
async def serving(
    status: Status, port: int, applications: Applications, words: Mapping[State, str] = PLAIN
) -> AsyncIterator[int]:
    """Serve while inside; gives the port in use. Raises InvalidConfiguration if it is taken."""
    drained = _response("200 OK", "drained", body=True)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            async with asyncio.timeout(_PATIENCE):
                head = await reader.readuntil(b"\r\n\r\n")
            if head.startswith(b"GET /drained "):
                await applications.attend(reader, writer, answer=drained)
            elif head.startswith(b"POST /drain "):
                writer.write(_response("202 Accepted", "draining", body=True))
                applications.on_stop()
            else:
                writer.write(_answer(head, status, words))
        writer.close()

    try:
        server = await asyncio.start_server(answer, "127.0.0.1", port, limit=8192)
    except OSError as error:
        hint = "OUTRIG_READINESS_PORT, or KUMA_READINESS_PORT, chooses another"
        raise InvalidConfiguration(f"port {port}", f"cannot be used for readiness: {error.strerror}", hint) from None
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()  # without waiting: an application's connection may be open still


def _answer(head: bytes, status: Status, words: Mapping[State, str]) -> bytes:
    method, _, rest = head.partition(b" ")
    path = rest.partition(b" ")[0].partition(b"?")[0]
    if method not in (b"GET", b"HEAD"):
        return _response("405 Method Not Allowed", "only GET", body=True)
    if path == b"/healthy":
        return _response("200 OK", "alive", body=method == b"GET")
    if path != b"/ready":
        return _response("404 Not Found", "there are /ready and /healthy", body=method == b"GET")
    state, said = status.verdict.state, f": {status.line}" if status.line else ""
    code = "200 OK" if state is State.READY else "503 Service Unavailable"
    return _response(code, words[state] + said, body=method == b"GET")


def _response(status: str, line: str, *, body: bool) -> bytes:
    text = f"{line}\n".encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {len(text)}\r\n"
    return head.encode() + b"Connection: close\r\n\r\n" + (text if body else b"")
