"""What a workload demands of callers at the transport."""

from dataclasses import dataclass
from enum import StrEnum


class TlsMode(StrEnum):
    """STRICT: mutual TLS only. PERMISSIVE: mutual TLS and plaintext. DISABLE: plaintext only."""

    STRICT = "STRICT"
    PERMISSIVE = "PERMISSIVE"
    DISABLE = "DISABLE"


@dataclass(frozen=True, slots=True)
class PeerTls:
    """The mode for all ports (None: falls through to the next lower policy), and for single ports."""

    mode: TlsMode | None = None
    ports: tuple[tuple[int, TlsMode], ...] = ()
