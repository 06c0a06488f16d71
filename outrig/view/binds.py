"""Which addresses of a task are taken, so that a conflict is found here and not by Envoy on some machine."""

from outrig.model import Address

_ANY = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 - compared, not bound


class Binds:
    """The addresses taken so far, and by what."""

    def __init__(self) -> None:
        self._taken: dict[int, dict[str, str]] = {}

    def take(self, address: Address, holder: str) -> str | None:
        """Take an address; if it is taken already, gives by what and takes nothing."""
        taken = self.holder(address)
        if taken is None:
            self._taken.setdefault(address.port, {})[address.host] = holder
        return taken

    def holder(self, address: Address) -> str | None:
        """What has the address. A wildcard address has that port on every address."""
        on_port = self._taken.get(address.port, {})
        wide = address.host in _ANY
        return next((by for host, by in on_port.items() if wide or host in _ANY or host == address.host), None)
