"""How many connections and requests an application is given, and how long a connection lasts."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final


@dataclass(frozen=True, slots=True)
class Keepalive:
    """How dead connections are found: seconds of silence, seconds between probes, probes. None: the system's."""

    after: int | None = None
    interval: int | None = None
    probes: int | None = None


@dataclass(frozen=True, slots=True)
class ConnectionPool:
    """Bounds on what an application is given. None: no bound, or for a time the proxy's own.

    `pending`: requests that wait for a connection; `requests`: those under way; `retries`: those of them that are
    second tries; `streams`: requests at once on one HTTP/2 connection. `idle`: of bytes, zero for never;
    `idle_http`: of connections without a request.
    """

    connections: int | None = None
    pending: int | None = None
    requests: int | None = None
    retries: int | None = None
    requests_per_connection: int | None = None
    streams: int | None = None
    connect_timeout: timedelta | None = None
    idle: timedelta | None = None
    idle_http: timedelta | None = None
    lifetime: timedelta | None = None
    keepalive: Keepalive | None = None


UNBOUNDED: Final = ConnectionPool()
