"""Listening sockets that a resource asks for, and which of them cannot be open at the same time.

What Envoy would only find when it binds, the author is told when the resource is applied.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from outrig.dialects import syntax
from outrig.dialects.findings import Place

WILDCARDS: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - to be recognised, not to be bound


@dataclass(frozen=True, slots=True)
class Socket:
    """A listening socket and the field that asks for it. With port 0 `host` is a unix socket."""

    place: Place
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}" if self.port else self.host

    def clashes(self, other: "Socket") -> bool:
        """Whether only one of the two can be open."""
        if self.port != other.port:
            return False
        hosts = {syntax.canonical_ip(self.host), syntax.canonical_ip(other.host)}
        return len(hosts) == 1 or bool(hosts & WILDCARDS)


class Taken:
    """Sockets that are open already. Asking costs the same however many there are."""

    def __init__(self, sockets: Iterable[Socket] = ()) -> None:
        self._by_port: dict[int, dict[str, Socket]] = {}
        for socket in sockets:
            self.take(socket)

    def take(self, socket: Socket) -> Socket | None:
        """Open a socket; gives the one that is in its way, if there is one."""
        holder = self.holder(socket)
        if holder is None:
            self._by_port.setdefault(socket.port, {})[syntax.canonical_ip(socket.host)] = socket
        return holder

    def holder(self, socket: Socket) -> Socket | None:
        """What is in the way of a socket. A wildcard address has its port on every address."""
        there, host = self._by_port.get(socket.port, {}), syntax.canonical_ip(socket.host)
        if host in WILDCARDS:
            return next(iter(there.values()), None)
        return there.get(host) or next((there[wide] for wide in WILDCARDS if wide in there), None)
