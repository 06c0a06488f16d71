"""How dialects say what is wrong: the codes of their findings, and the place that a finding speaks of."""

from dataclasses import dataclass
from typing import Final

from outrig.errors import Finding, Severity
from outrig.resources import Key

NOT_SUPPORTED: Final = "OUT301"  # refused: ignoring it would break what the author relies on
NOT_HONOURED: Final = "OUT302"  # accepted, but has no effect yet
INVALID: Final = "OUT303"
MISSING: Final = "OUT304"
DUPLICATE: Final = "OUT305"
BIND_CONFLICT: Final = "OUT306"
RESERVED_PORT: Final = "OUT307"
UNREACHABLE: Final = "OUT308"
ASSUMED: Final = "OUT309"
NO_PASSTHROUGH: Final = "OUT310"
SELECTS_NOTHING: Final = "OUT311"
SELECTS_ALL: Final = "OUT312"
EXPOSED: Final = "OUT313"
BAD_NAME: Final = "OUT314"
RIVAL: Final = "OUT315"
NOT_ALLOWED: Final = "OUT316"
DEPRECATED: Final = "OUT318"


@dataclass(frozen=True, slots=True)
class Place:
    """A field of a resource. Findings are made here, so that each has its resource and path."""

    origin: Key
    path: str = "spec"

    def __truediv__(self, field: str) -> "Place":
        """The field below this one: `place / "port"`."""
        return Place(self.origin, f"{self.path}.{field}")

    def __getitem__(self, index: int | str) -> "Place":
        """The element of this list, or the entry of this map."""
        return Place(self.origin, f"{self.path}[{index}]")

    def error(self, code: str, problem: str, hint: str = "") -> Finding:
        """A finding that refuses the resource."""
        return Finding(code, self.origin, self.path, problem, hint)

    def warning(self, code: str, problem: str, hint: str = "") -> Finding:
        """A finding that its author is told of."""
        return Finding(code, self.origin, self.path, problem, hint, Severity.WARNING)
