"""Which addresses of a task are taken, so that a conflict is found here and not by Envoy on some machine."""

from collections.abc import Set
from dataclasses import dataclass
from typing import Final

from outrig.model import Address

WILDCARDS: Final = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 - compared, not bound
ELSEWHERE: Final = "elsewhere"


@dataclass(frozen=True, slots=True)
class Reservation:
    """An address that is taken, and by what."""

    host: str
    port: int
    holder: str


def spoken(address: Address) -> str:
    """An address as people write it; with port 0 it is a unix socket."""
    host = f"[{address.host}]" if ":" in address.host else address.host
    return f"{host}:{address.port}" if address.port else address.host


class Binds:
    """The addresses taken so far."""

    def __init__(self, taken: Set[Reservation] = frozenset()) -> None:
        self._on_port: dict[int, list[Reservation]] = {}
        for one in sorted(taken, key=lambda one: (one.port, one.host, one.holder)):
            self._on_port.setdefault(one.port, []).append(one)

    def take(self, address: Address, holder: str) -> str | None:
        """Take an address; if it is taken already, gives by what and takes nothing."""
        taken = self.holder(address)
        if taken is None:
            self._on_port.setdefault(address.port, []).append(Reservation(address.host, address.port, holder))
        return taken

    def holder(self, address: Address) -> str | None:
        """What has the address. A wildcard address has that port on every address."""
        wide = address.host in WILDCARDS
        on_port = self._on_port.get(address.port, ())
        return next((one.holder for one in on_port if wide or one.host in WILDCARDS or one.host == address.host), None)

    def seen_from(self, hosts: Set[str]) -> frozenset[Reservation]:
        """What is taken, as far as it matters to listeners on these hosts: other hosts are all `ELSEWHERE`."""
        known = hosts | WILDCARDS
        return frozenset(
            Reservation(one.host if one.host in known else ELSEWHERE, one.port, one.holder)
            for on_port in self._on_port.values()
            for one in on_port
        )
