"""The gRPC health check, `grpc.health.v1.Health/Check`: one call over HTTP/2 without TLS.

In: where, and the service to ask for. Out: what is wrong, in words; nothing if the answer is SERVING. The two
messages are a few bytes, so they are read and written here: a string in field 1, a number in field 1.
Sources: gRPC, "Health Checking Protocol" and "gRPC over HTTP2"; Protocol Buffers, "Encoding".
"""

import asyncio
from dataclasses import dataclass, field

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.exceptions import ProtocolError

_MOST = 64 * 1024  # bytes that an answer may take, frames included
_PATH = "/grpc.health.v1.Health/Check"
_STATUS = ("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")
_SERVING = 1
_VARINT_1, _TEXT_1 = 0x08, 0x0A  # the tags of field 1: a number, a text


@dataclass(slots=True)
class _Answer:
    """What has come so far of the one stream."""

    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    ended: bool = False


async def check(host: str, port: int, service: str) -> str:
    """What is wrong; empty if it serves. Takes as long as the server likes. Raises OSError."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        return _judge(await _call(reader, writer, f"{host}:{port}", request_of(service)))
    except ProtocolError as error:
        return f"does not speak HTTP/2: {' '.join(str(error).split())[:100] or type(error).__name__}"
    finally:
        writer.transport.abort()


def request_of(service: str) -> bytes:
    """A gRPC message with a HealthCheckRequest."""
    name = service.encode()
    message = bytes([_TEXT_1]) + _varint(len(name)) + name if name else b""
    return b"\0" + len(message).to_bytes(4) + message


def status_of(body: bytes) -> int | None:
    """The status in a gRPC message with a HealthCheckResponse; None for anything else."""
    message = body[5:]
    if len(body) < 5 or body[0] or int.from_bytes(body[1:5]) != len(message):
        return None
    if not message:
        return 0  # a field that is left out is zero
    return message[1] if len(message) == 2 and message[0] == _VARINT_1 and message[1] < 0x80 else None


async def _call(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, authority: str, message: bytes) -> _Answer:
    connection = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
    connection.initiate_connection()
    stream = connection.get_next_available_stream_id()
    connection.send_headers(stream, _headers(authority))
    connection.send_data(stream, message, end_stream=True)
    answer, taken = _Answer(), 0
    while not answer.ended:
        writer.write(connection.data_to_send())
        data = await reader.read(_MOST)
        taken += len(data)
        if not data or taken > _MOST:
            raise OSError("the answer is too long" if data else "the connection ended before an answer")
        for event in connection.receive_data(data):
            _take(event, answer)
    return answer


def _headers(authority: str) -> list[tuple[str, str]]:
    return [
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", authority),
        (":path", _PATH),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        ("user-agent", "outrig-probe"),
    ]


def _take(event: Event, answer: _Answer) -> None:
    match event:
        case ResponseReceived() | TrailersReceived():
            answer.headers |= {str(name): str(value) for name, value in event.headers or ()}
        case DataReceived():
            answer.body += event.data or b""
        case StreamEnded():
            answer.ended = True
        case StreamReset() | ConnectionTerminated():
            raise OSError(f"the server ended the call with HTTP/2 error {event.error_code}")


def _judge(answer: _Answer) -> str:
    if (status := answer.headers.get(":status")) != "200":
        return f"HTTP status {status}"
    if (code := answer.headers.get("grpc-status", "0")) != "0":
        said = " ".join(answer.headers.get("grpc-message", "").split())[:100]
        return f"gRPC status {code}{': ' if said else ''}{said}"
    serving = status_of(answer.body)
    if serving == _SERVING:
        return ""
    known = serving is not None and serving < len(_STATUS)
    return _STATUS[serving] if known and serving is not None else "not a health answer"


def _varint(number: int) -> bytes:
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + _varint(rest) if rest else bytes([low])
