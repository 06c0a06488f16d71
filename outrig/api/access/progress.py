"""How far what is known here has come: who writes can wait until that counts.

In: revisions as they become known. Out: waits. Where nothing is followed, nobody waits.
"""

import asyncio
from contextlib import suppress
from typing import Final

PATIENCE: Final = 2.0
"""Seconds: while the store is away nothing comes, and what was written counts later."""


class Progress:
    """The revision up to which everything is known."""

    def __init__(self) -> None:
        self._revision: int | None = None
        self._moved = asyncio.Condition()

    async def advance(self, revision: int) -> None:
        """Everything up to that revision is known now."""
        async with self._moved:
            self._revision = revision
            self._moved.notify_all()

    async def begun(self) -> None:
        """Return when what was there at the start is known."""
        async with self._moved:
            await self._moved.wait_for(lambda: self._revision is not None)

    async def reached(self, revision: int) -> None:
        """Return when that revision is known; at the latest after PATIENCE."""
        if self._revision is None:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE), self._moved:
                await self._moved.wait_for(lambda: (self._revision or 0) >= revision)
