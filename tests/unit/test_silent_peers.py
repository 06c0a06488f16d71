"""WebSocket peers that answer no ping, as one whose host has died: when they are cut off, and when not yet."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from starlette.types import Receive, Scope, Send

from outrig.api.serving import Limits, serve

BOUND = 20.0  # seconds after which a test that waits has failed
EAGER = Limits(ping_interval=0.02, ping_timeout=0.2)
HANDSHAKE = (
    b"GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
    b"sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
FRAME = b"\x81\x81\0\0\0\0a"  # the text "a", masked with zeros
PING = 0x89


class Reader:
    """An application that accepts a WebSocket and reads one message; the rest once it may."""

    def __init__(self) -> None:
        self.may_read, self.heard = asyncio.Event(), asyncio.Queue[str]()

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (event := await receive())["type"] == "websocket.receive":
            self.heard.put_nowait(event["text"])
            await self.may_read.wait()
        self.heard.put_nowait(event["type"])


@asynccontextmanager
async def mute_peer(application: Reader) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A peer whose WebSocket is open and that will never answer a ping."""
    async with asyncio.timeout(BOUND), serve(application, host="127.0.0.1", port=0, limits=EAGER) as serving:
        reader, writer = await asyncio.open_connection("127.0.0.1", serving.port)
        writer.write(HANDSHAKE)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
        yield reader, writer
        writer.transport.abort()


async def pinged(reader: asyncio.StreamReader) -> bool:
    """Whether the next frame is a ping."""
    head = await reader.readexactly(2)
    await reader.readexactly(head[1])
    return head[0] == PING


async def read_for_ever(reader: asyncio.StreamReader) -> None:
    while True:
        await pinged(reader)


async def test_a_peer_that_answers_no_ping_is_cut_off_and_the_application_hears_of_it() -> None:
    application = Reader()
    async with mute_peer(application) as (reader, _):
        assert await pinged(reader)
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await read_for_ever(reader)
        assert await application.heard.get() == "websocket.disconnect"


async def test_a_peer_is_not_to_blame_while_the_application_does_not_read() -> None:
    """Its answer may be waiting behind the message that nobody has taken yet."""
    application = Reader()
    async with mute_peer(application) as (reader, writer):
        writer.write(FRAME + FRAME)
        assert await application.heard.get() == "a"
        for _ in range(3):
            assert await pinged(reader)
        application.may_read.set()
        assert await application.heard.get() == "a"
        assert await application.heard.get() == "websocket.disconnect"
