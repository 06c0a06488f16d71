"""How much one caller may have going at once: so many reads and so many writes, and the rest come back in a second.

In: callers whose requests begin and end. Out: nothing, or an ApiError (429) in Kubernetes' words; kubectl and other
clients repeat such requests by themselves. Watches are not counted: an idle one costs next to nothing.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from outrig.api.refusals import ApiError


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one caller, at once."""

    reads: int = 200
    writes: int = 100


@dataclass(frozen=True, slots=True)
class Traffic:
    """What goes on now."""

    limits: Limits = Limits()
    _going: Counter[tuple[str, bool]] = field(default_factory=Counter)

    @contextmanager
    def taken(self, name: str, *, writing: bool) -> Iterator[None]:
        """A request of that caller goes on during the block. Raises ApiError where it has too many already."""
        slot = (name, writing)
        if self._going[slot] >= (self.limits.writes if writing else self.limits.reads):
            raise ApiError(
                "TooManyRequests", "Too many requests, please try again later.", details={"retryAfterSeconds": 1}
            )
        self._going[slot] += 1
        try:
            yield
        finally:
            self._going[slot] -= 1
            if not self._going[slot]:
                del self._going[slot]
