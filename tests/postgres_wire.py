"""The wire between a store and its PostgreSQL server, in the hands of a test: it can be cut, held, or made deaf.

It speaks the server's protocol (plain text) just far enough to know where messages begin:
https://www.postgresql.org/docs/current/protocol-message-formats.html
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial

NOTIFICATION = b"A"
COMMAND_COMPLETE = b"C"
QUERY = b"Q"


class Wire:
    """Connections to one server. `deaf` drops every notification on its way; `swallowed` counts them."""

    def __init__(self, server_port: int) -> None:
        self.deaf = False
        self.swallowed = 0
        self.cut_commit = ""
        """`before`: the next commit does not arrive; `after`: it does, but its answer does not come back."""
        self._open = asyncio.Event()
        self._open.set()
        self._server_port = server_port
        self._listener: asyncio.Server | None = None
        self._ends: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    async def open(self) -> None:
        """Let connections through, on the same port as before."""
        self._open.set()
        if self._listener is None:
            self._listener = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
            self.port = self._listener.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Cut every connection and refuse new ones."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        self.cut()

    def cut(self) -> None:
        """Cut every connection."""
        for end in self._ends:
            end.transport.abort()

    def hold(self) -> None:
        """From now on nothing arrives, in either direction, and nobody is told."""
        self._open.clear()

    async def ended(self) -> None:
        """Cut, and wait until nothing is left."""
        self._open.set()
        await self.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._carry(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._server_port)
        ends = {writer, far_writer}
        self._ends |= ends
        session = _Session()
        try:
            length = await reader.readexactly(4)
            far_writer.write(length + await reader.readexactly(int.from_bytes(length) - 4))
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, far_writer, partial(self._from_client, session)))
                group.create_task(self._pump(far_reader, writer, partial(self._from_server, session)))
        except* (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._ends -= ends
            for end in ends:
                end.transport.abort()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, passes: Callable[[bytes, bytes], bool]
    ) -> None:
        while True:
            head = await reader.readexactly(5)
            body = await reader.readexactly(int.from_bytes(head[1:]) - 4)
            await self._open.wait()
            if passes(head[:1], body):
                writer.write(head + body)
                await writer.drain()

    def _from_client(self, session: "_Session", kind: bytes, body: bytes) -> bool:
        if kind == QUERY and body.startswith(b"BEGIN"):
            session.writes = b"READ ONLY" not in body
        if kind == QUERY and body.startswith(b"COMMIT") and session.writes and self.cut_commit:
            session.committing = self.cut_commit == "after"
            self.cut_commit = ""
            if not session.committing:
                raise ConnectionResetError
        return True

    def _from_server(self, session: "_Session", kind: bytes, _body: bytes) -> bool:
        if kind == COMMAND_COMPLETE and session.committing:
            raise ConnectionResetError
        if kind == NOTIFICATION and self.deaf:
            self.swallowed += 1
            return False
        return True


@dataclass
class _Session:
    """What has passed on one connection."""

    writes: bool = False
    committing: bool = False


@asynccontextmanager
async def wire_to(server_port: int) -> AsyncIterator[Wire]:
    """An open wire, for as long as the context lasts."""
    wire = Wire(server_port)
    await wire.open()
    try:
        yield wire
    finally:
        with suppress(OSError):
            await wire.ended()
