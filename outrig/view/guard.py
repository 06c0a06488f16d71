"""What passes at a port, decided."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from outrig.model import Rule


class Traffic(StrEnum):
    """What a port is asked for: requests, or connections that carry bytes."""

    REQUESTS = "http"
    BYTES = "tcp"


@dataclass(frozen=True, slots=True)
class Gate:
    """What passes: what nothing of `denied` holds of, and something of `allowed` does (None: all the rest)."""

    denied: tuple[Rule, ...] = ()
    allowed: tuple[Rule, ...] | None = None


@dataclass(frozen=True, slots=True)
class Guard:
    """What passes at a port, and what would if all that is only rehearsed were meant; None: the same."""

    port: int
    traffic: Traffic
    gate: Gate
    rehearsed: Gate | None = None


OPEN: Final = Gate()
