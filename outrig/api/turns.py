"""Long work in the event loop, a little at a time: whoever waits for the loop has a turn in between."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

A = TypeVar("A")
B = TypeVar("B")
_AT_ONCE: Final = 100


async def in_turns(make: Callable[[A], B], items: Sequence[A]) -> list[B]:
    """What `make` makes of each item, in their order."""
    made: list[B] = []
    for start in range(0, len(items), _AT_ONCE):
        made += map(make, items[start : start + _AT_ONCE])
        await asyncio.sleep(0)
    return made
