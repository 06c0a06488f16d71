"""Async pieces that the shell is built of: bursts from a queue, jittered backoff, bounded waits.

Nothing here knows what it carries. Randomness and time come from the event loop and `random`, so only
the shell may import this.
"""

import asyncio
import random
from collections.abc import Iterator
from typing import TypeVar

T = TypeVar("T")


async def take_all(queue: asyncio.Queue[T]) -> list[T]:
    """Wait for one item, then take whatever else is already there: a lone item never waits for more."""
    taken = [await queue.get()]
    while not queue.empty():
        taken.append(queue.get_nowait())
    return taken


def jittered_backoff(*, first: float, ceiling: float) -> Iterator[float]:
    """Seconds to wait before each new try: doubling from `first` to `ceiling`, each drawn from its upper half."""
    bound = first
    while True:
        yield random.uniform(bound / 2, bound)  # noqa: S311 - spreads load, guards nothing
        bound = min(bound * 2, ceiling)
