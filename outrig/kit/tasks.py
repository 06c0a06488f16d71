"""Loops that run as long as a block does. If one fails, the block is cancelled: nothing is half-alive."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

Loop = Coroutine[Any, Any, None]


@asynccontextmanager
async def running(*loops: Loop) -> AsyncIterator[None]:
    """Run the loops during the block; at its end they are cancelled, the last one first, each awaited."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(loop) for loop in loops]
        yield
        for task in reversed(tasks):
            task.cancel()
            await asyncio.wait([task])
