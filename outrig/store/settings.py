"""How a PostgreSQL database is reached. Knows no environment: the server reads that and fills this in."""

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

FEWEST_CONNECTIONS = 3
"""One that listens, one that writes, one that reads."""


class TlsMode(StrEnum):
    """How the connection is protected; the words are Kuma's."""

    DISABLE = "disable"
    """Plain text."""
    VERIFY_NONE = "verifyNone"
    """Encrypted, to whoever answers."""
    VERIFY_CA = "verifyCa"
    """Encrypted, to a server whose certificate the CA signed, whatever its name."""
    VERIFY_FULL = "verifyFull"
    """Encrypted, to a server whose certificate the CA signed for this host."""


@dataclass(frozen=True, slots=True)
class PostgresSettings:
    """A database, and who we are to it."""

    host: str = "127.0.0.1"
    """Name, address, or the directory of a unix socket."""
    port: int = 5432
    user: str = "outrig"
    password: str = field(default="", repr=False)
    database: str = "outrig"
    tls_mode: TlsMode = TlsMode.DISABLE
    tls_ca: Path | None = None
    """PEM file of the roots that may have signed the server's certificate; None: those of the system."""
    tls_cert: Path | None = None
    """PEM file of our own certificate, where the server asks for one; `tls_key` is its key."""
    tls_key: Path | None = None
    max_connections: int = 10
    """At most so many at a time, opened as they are needed; at least `FEWEST_CONNECTIONS`. A process that does one
    thing at a time gains nothing by more, and all replicas share what the server allows."""
    connection_timeout: float = 5.0
    """Seconds until a connection that is not there yet counts as failed."""

    @property
    def place(self) -> str:
        """The database in words, for messages: no password in it."""
        return f"postgres {self.user}@{self.host}:{self.port}/{self.database}"
