"""Port 9902, for the container's health check: `/ready` and `/healthy`, on loopback only.

`/ready` is 200 when the workload may take calls, else 503; `/healthy` is 200 while the agent lives. The body is one
line that says how things are. `ask` is the other end, for images without curl.
"""

import asyncio
import http.client
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from outrig.agent.problems import InvalidConfiguration
from outrig.agent.status import Status
from outrig.wire.stream import State

_PATIENCE = 5.0  # seconds for a request to arrive


@asynccontextmanager
async def serving(status: Status, port: int) -> AsyncIterator[int]:
    """Serve while inside; gives the port in use. Raises InvalidConfiguration if it is taken."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            async with asyncio.timeout(_PATIENCE):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(_answer(head, status))
                await writer.drain()
        writer.close()

    try:
        server = await asyncio.start_server(answer, "127.0.0.1", port, limit=8192)
    except OSError as error:
        hint = "OUTRIG_READINESS_PORT chooses another"
        raise InvalidConfiguration(f"port {port}", f"cannot be used for readiness: {error.strerror}", hint) from None
    async with server:
        yield server.sockets[0].getsockname()[1]


def ask(port: int) -> tuple[bool, str]:
    """Whether an agent on this machine says it is ready, and what it says."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/ready")
        answer = connection.getresponse()
        return answer.status == 200, answer.read(4096).decode(errors="replace").strip()
    except (OSError, http.client.HTTPException) as error:
        return False, f"no agent answers on 127.0.0.1:{port}: {error}"
    finally:
        connection.close()


def _answer(head: bytes, status: Status) -> bytes:
    method, _, rest = head.partition(b" ")
    path = rest.partition(b" ")[0].partition(b"?")[0]
    if method not in (b"GET", b"HEAD"):
        return _response("405 Method Not Allowed", "only GET", body=True)
    if path == b"/healthy":
        return _response("200 OK", "alive", body=method == b"GET")
    if path != b"/ready":
        return _response("404 Not Found", "there are /ready and /healthy", body=method == b"GET")
    ready = status.verdict.state is State.READY
    return _response("200 OK" if ready else "503 Service Unavailable", str(status.verdict), body=method == b"GET")


def _response(status: str, line: str, *, body: bool) -> bytes:
    text = f"{line}\n".encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {len(text)}\r\n"
    return head.encode() + b"Connection: close\r\n\r\n" + (text if body else b"")
