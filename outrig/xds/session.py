"""Who may hold a stream. Built by whoever checks certificates; used by the xDS server and the agents' stream."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from outrig.resources import Key
from outrig.snapshot import ProxyId


@dataclass(frozen=True, slots=True)
class Session:
    """A caller that proved a control identity. `uid`: of the `registration` it names.

    `proxy` is the only node id that it may speak for; nothing of it is valid from `not_after` on.
    """

    proxy: ProxyId
    registration: Key
    uid: str
    not_after: datetime


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a caller may not; told to the caller and logged. `rejoin`: joining again would help."""

    reason: str
    rejoin: bool = False


# From the client certificate (PEM), which the TLS layer has verified. Asked at the start of *every* stream, since a
# connection outlives what was true when it was made: expiry, revocation and bans are judged here.
Identify = Callable[[str], Awaitable[Session | Refused]]
