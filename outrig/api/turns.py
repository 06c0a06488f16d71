"""Long work, a little at a time: whoever waits for the event loop has a turn in between."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Final, ParamSpec, TypeVar

A = TypeVar("A")
B = TypeVar("B")
P = ParamSpec("P")
_AT_ONCE: Final = 100


async def in_turns(make: Callable[[A], B], items: Sequence[A]) -> list[B]:
    """What `make` makes of each item, in their order."""
    made: list[B] = []
    for start in range(0, len(items), _AT_ONCE):
        made += map(make, items[start : start + _AT_ONCE])
        await asyncio.sleep(0)
    return made


async def aside(make: Callable[P, B], *args: P.args, **kwargs: P.kwargs) -> B:
    """What `make` makes, in a thread: the interpreter takes it from there every few milliseconds if the loop wants it.

    `make` is a pure function that takes as long as what somebody sends is large. One of them runs at a time: the loop
    would wait for each of several threads.
    """
    return await asyncio.get_running_loop().run_in_executor(_worker(), partial(make, *args, **kwargs))


@cache
def _worker() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="aside")
