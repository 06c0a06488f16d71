"""One HTTP request, one answer, one connection: over TCP, TLS or a unix socket, without proxies or redirects.

The answer is read whole, up to a bound, and taken apart by the standard library. Environment variables such as
`http_proxy` play no part: credentials and proofs pass here. Raises `OSError` (with `ssl.SSLError`,
`TimeoutError`, `socket.gaierror` among its kinds).
"""

import asyncio
import io
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from typing import cast

NEXT_ADDRESS = 0.25
"""Seconds until the next address of a name is tried beside one that has not answered: RFC 8305, section 5.

The address of a replica that has gone answers nothing at all, and resolvers may list it first every time."""

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked. `host`: the Host header. `timeout`: seconds for all of it. `most`: bytes accepted as an answer."""

    method: str
    host: str
    target: str
    body: bytes = b""
    timeout: float = 10.0
    most: int = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `headers` by lower-case name."""

    status: int
    headers: Mapping[str, str]
    body: bytes


async def ask_tcp(request: Request, host: str, port: int) -> Answer:
    """Ask in plain HTTP."""
    async with asyncio.timeout(request.timeout):
        return await _ask(request, await asyncio.open_connection(host, port))


async def ask_tls(request: Request, host: str, port: int, *, tls: ssl.SSLContext, name: str) -> Answer:
    """Ask over TLS. `name`: what the server's certificate must carry."""
    async with asyncio.timeout(request.timeout):
        connection = asyncio.open_connection(
            host, port, ssl=tls, server_hostname=name, happy_eyeballs_delay=NEXT_ADDRESS
        )
        return await _ask(request, await connection)


async def ask_unix(request: Request, path: str) -> Answer:
    """Ask over a unix socket."""
    async with asyncio.timeout(request.timeout):
        return await _ask(request, await asyncio.open_unix_connection(path))


async def _ask(request: Request, streams: Streams) -> Answer:
    reader, writer = streams
    try:
        writer.write(_written(request))
        return _answer(request.method, await _read(reader, request.most))
    finally:
        writer.transport.abort()  # the answer is whole: a slow goodbye is not worth waiting for


def _written(request: Request) -> bytes:
    head = [
        f"{request.method} {request.target} HTTP/1.1",
        f"Host: {request.host}",
        "Connection: close",
        "Accept: application/json",
        f"Content-Length: {len(request.body)}",
    ]
    if request.body:
        head.append("Content-Type: application/json")
    return "\r\n".join([*head, "", ""]).encode() + request.body


async def _read(reader: asyncio.StreamReader, most: int) -> bytes:
    taken = bytearray()
    while part := await reader.read(65536):
        taken += part
        if len(taken) > most:
            raise OSError(f"the answer is longer than {most} bytes")
    return bytes(taken)


def _answer(method: str, taken: bytes) -> Answer:
    response = HTTPResponse(cast("socket.socket", _Taken(taken)), method=method)
    try:
        response.begin()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
    except (HTTPException, ValueError) as error:
        raise OSError(f"not an HTTP answer: {error!r}") from None
    finally:
        response.close()


class _Taken:
    """Bytes already read, as the one thing `HTTPResponse` asks of a socket."""

    def __init__(self, taken: bytes) -> None:
        self._taken = taken

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self._taken)
