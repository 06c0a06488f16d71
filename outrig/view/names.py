"""Under which names each imported service is called on one listener."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from outrig.model import Service
from outrig.view.imports import Imported

_DEFAULT_PORT: Final = 80  # of http URLs


@dataclass(frozen=True, slots=True)
class Taken:
    """A name that two services claim: it leads to the first."""

    name: str
    first: Service
    second: Service


def claim_names(
    found: Sequence[Imported], home: str, *, any_port: bool = False
) -> tuple[list[tuple[str, ...]], list[Taken]]:
    """The names of each service port, in the order of `found`, and the claims that came too late.

    No service loses its own host to another's short name; otherwise who comes first keeps a name. `any_port`: names
    carry the port; without one port 80 is meant, as in a URL.
    """
    owner: dict[str, int] = {}
    late = []
    for names in (_hosts, _names, _local_names):
        for position, one in enumerate(found):
            plain = names(one.service, home)
            for name in _with_port(plain, one.port.number) if any_port else plain:
                first = owner.setdefault(name, position)
                if first != position:
                    late.append(Taken(name, found[first].service, one.service))
    claimed: list[list[str]] = [[] for _ in found]
    for name, position in owner.items():
        claimed[position].append(name)
    return [tuple(names) for names in claimed], late


def _hosts(service: Service, home: str) -> Iterator[str]:  # noqa: ARG001 - like its siblings
    yield _as_domain(service.host)


def _names(service: Service, home: str) -> Iterator[str]:  # noqa: ARG001 - like its siblings
    return map(_as_domain, service.names)


def _local_names(service: Service, home: str) -> Iterator[str]:
    return map(_as_domain, service.local_names if service.namespace == home else ())


def _with_port(names: Iterator[str], port: int) -> Iterator[str]:
    for name in names:
        yield f"{name}:{port}"
        if port == _DEFAULT_PORT:
            yield name


def _as_domain(name: str) -> str:
    """As Envoy compares it: in lower case, an IPv6 address in brackets."""
    name = name.lower()
    return f"[{name}]" if ":" in name and not name.startswith("[") else name
