"""Agreement with the applications of this task on who goes first: they end after the drain, and Envoy after them.

In: connections of `outrig app-entrypoint`, one for each application that it runs. Such a connection is open as long as
the application lives; the answer on it is that the workload has drained. Applications started without it are not known
here, and nobody waits for them.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

_log = logging.getLogger(__name__)


class Applications:
    """The applications that wait for the drain. `on_stop` is called when one of them was told to stop."""

    def __init__(self, on_stop: Callable[[], None] = lambda: None) -> None:
        self.on_stop = on_stop
        self._waiting = 0
        self._drained, self._gone = asyncio.Event(), asyncio.Event()
        self._gone.set()

    @property
    def waiting(self) -> int:
        """How many there are."""
        return self._waiting

    async def attend(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answer: bytes) -> None:
        """Stay with one application: `answer` once drained, then until it has ended."""
        self._waiting += 1
        self._gone.clear()
        talk = asyncio.create_task(self._answer(writer, answer))
        try:
            while await reader.read(1024):
                pass
        finally:
            talk.cancel()
            self._waiting -= 1
            if not self._waiting:
                self._gone.set()

    async def end(self, bound: float) -> None:
        """Have them end, now that the workload has drained; wait for that `bound` seconds at most."""
        self._drained.set()
        try:
            async with asyncio.timeout(bound):
                await self._gone.wait()
        except TimeoutError:
            _log.warning("%d of this task's applications have not ended in time; Envoy ends before them", self._waiting)

    async def _answer(self, writer: asyncio.StreamWriter, answer: bytes) -> None:
        await self._drained.wait()
        with suppress(OSError):
            writer.write(answer)
            await writer.drain()
