"""Waiting between tries, jittered. Randomness comes from `random`, so only the shell may import this."""

import random
from collections.abc import Iterator


def jittered_backoff(*, first: float, ceiling: float) -> Iterator[float]:
    """Seconds to wait before each new try: doubling from `first` to `ceiling`, each drawn from its upper half."""
    bound = first
    while True:
        yield random.uniform(bound / 2, bound)  # noqa: S311 - spreads load, guards nothing
        bound = min(bound * 2, ceiling)
