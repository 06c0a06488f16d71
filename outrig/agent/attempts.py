"""One try of a readiness probe: an HTTP request, a connection, a command, a gRPC health check.

In: the method and the seconds it has. Out: what is wrong, in words; nothing if the application is healthy. Whatever
answers is bounded in size and time and believed in one thing only: whether it is healthy. As in Kubernetes: 200 to 399
is healthy, redirects are not followed, certificates are not verified.
"""

import asyncio
import os
import re
import ssl
from contextlib import suppress
from urllib.parse import quote

from outrig import __version__
from outrig.agent import commands
from outrig.agent.control_plane import one_line
from outrig.wire.probe import Exec, Grpc, HttpGet, Method, TcpSocket

HERE = "127.0.0.1"  # where applications listen
_MOST = 16 * 1024  # bytes of a response's head
_GOODBYE = 0.1  # seconds to take what follows a head, so that the application sees an orderly end
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5]\d\d)\b")

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def attempt(method: Method, seconds: float) -> str:
    """What is wrong with the application; empty if it is healthy."""
    try:
        if isinstance(method, Exec):
            problem = await commands.run(method.command, seconds)
        else:
            async with asyncio.timeout(seconds):
                problem = await _ask(method)
    except TimeoutError:
        problem = f"no answer within {seconds:g} s"
    except asyncio.IncompleteReadError:
        problem = "the connection ended before an answer"
    except OSError as error:
        problem = _words(error)
    except ValueError as error:  # text that no request can carry, no resolver takes, or no header should hold
        problem = str(error)
    return one_line(f"{describe(method)}: {problem}") if problem else ""


def _words(error: OSError) -> str:
    """asyncio puts addresses in place of a refusal's own words."""
    plain = os.strerror(error.errno) if isinstance(error, ConnectionError) and error.errno else error.strerror
    return plain or str(error) or type(error).__name__


def describe(method: Method) -> str:
    """The method in words."""
    match method:
        case HttpGet():
            return f"GET {'https' if method.tls else 'http'}://{_authority(method)}{_path(method)}"
        case TcpSocket():
            return f"connection to {_authority(method)}"
        case Exec():
            return f"command {method.command[0]}"
        case Grpc():
            return f"gRPC health of {method.service or 'the server'} on {HERE}:{method.port}"


async def _ask(method: HttpGet | TcpSocket | Grpc) -> str:
    if isinstance(method, Grpc):
        from outrig.agent.grpc_health import check  # h2 costs memory that only this method is worth

        return await check(HERE, method.port, method.service)
    tls = _trusting() if isinstance(method, HttpGet) and method.tls else None
    streams = await _connect(method, tls)
    try:
        return await _http(method, streams) if isinstance(method, HttpGet) else ""
    finally:
        streams[1].transport.abort()


async def _connect(method: HttpGet | TcpSocket, tls: ssl.SSLContext | None) -> Streams:
    return await asyncio.open_connection(method.host or HERE, method.port, ssl=tls, limit=_MOST)


async def _http(method: HttpGet, streams: Streams) -> str:
    reader, writer = streams
    writer.write(_request(method))
    status = 100
    while status < 200:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            return f"the head of the answer is longer than {_MOST} bytes"
        found = _STATUS.match(head)
        if not found:
            return "not an HTTP answer"
        status = int(found[1])
    with suppress(TimeoutError, OSError):
        async with asyncio.timeout(_GOODBYE):
            await reader.read(_MOST)
    return "" if status < 400 else f"status {status}"


def _request(method: HttpGet) -> bytes:
    headers = {
        "host": ("Host", _authority(method)),
        "user-agent": ("User-Agent", f"outrig-probe/{__version__}"),
        "accept": ("Accept", "*/*"),
    }
    headers |= {header.name.lower(): (header.name, header.value) for header in method.headers}
    headers["connection"] = ("Connection", "close")
    lines = [f"GET {_path(method)} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.values())]
    return "\r\n".join([*lines, "", ""]).encode()


def _path(method: HttpGet) -> str:
    return quote("/" + method.path.removeprefix("/"), safe="/?&=%:;@!$'()*+,~-._", errors="replace")


def _authority(method: HttpGet | TcpSocket) -> str:
    host = method.host or HERE
    return f"[{host}]:{method.port}" if ":" in host else f"{host}:{method.port}"


def _trusting() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
