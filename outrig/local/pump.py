"""A port of a task on the host's loopback: the listener was bound in the host, the connections are made in here.

A socket belongs to the network namespace it was created in, so a listener inherited from outside is reachable from
outside, while what this process connects to is the task's own 127.0.0.1.
"""

import asyncio
import contextlib
import os
import socket

_CHUNK = 1 << 16


async def serve_published(listener: int, port: int) -> None:
    """Pass every connection on `listener` (a descriptor, left open) to 127.0.0.1:`port`. Runs until cancelled."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            writer.transport.abort()
            return
        await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))

    accepting = socket.socket(fileno=os.dup(listener))
    accepting.setblocking(False)
    server = await asyncio.start_server(serve, sock=accepting)
    async with server:
        await server.serve_forever()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One direction, to its end: the other may go on. A broken connection breaks both."""
    try:
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
    except OSError:
        with contextlib.suppress(OSError):
            writer.transport.abort()
