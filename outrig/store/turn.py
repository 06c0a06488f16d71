"""One writer at a time within a process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any


class Turn:
    """A lock that a task cannot wait for while it holds it: that mistake raises instead of hanging for ever."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._holder: asyncio.Task[Any] | None = None

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        """Wait for the turn and hold it. Raises RuntimeError if this task holds it already."""
        task = asyncio.current_task()
        if task is not None and task is self._holder:
            raise RuntimeError("this task has a store transaction open already: use that one")
        async with self._lock:
            self._holder = task
            try:
                yield
            finally:
                self._holder = None
