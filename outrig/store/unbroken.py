"""Work that a cancellation may delay but not tear apart."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


async def uninterrupted(work: Awaitable[T]) -> T:
    """Run it to its end and give its result or error; a cancellation that arrives meanwhile is raised afterwards.

    A database driver that is cancelled within a statement leaves a connection in an unknown state, and a commit
    that is cancelled may or may not have happened. Statements are short, so the wait is.
    """
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is None:
        return task.result()
    if not task.cancelled():
        task.exception()  # looked at, so that asyncio does not report it as forgotten
    raise cancelled
