"""Which proxies a thing concerns: those that import a pattern, those that call a destination."""

from collections import defaultdict
from collections.abc import Hashable, Iterator, Set
from typing import Generic, TypeVar

from outrig.model import Service
from outrig.snapshot import ProxyId

T = TypeVar("T", bound=Hashable)


class Holders(Generic[T]):
    """Proxies by the things they hold."""

    def __init__(self) -> None:
        self._holders: dict[T, set[ProxyId]] = defaultdict(set)

    def move(self, proxy: ProxyId, before: Set[T], after: Set[T]) -> None:
        """A proxy holds other things than before."""
        for thing in after - before:
            self._holders[thing].add(proxy)
        for thing in before - after:
            self._holders[thing].discard(proxy)
            if not self._holders[thing]:
                del self._holders[thing]

    def of(self, thing: T) -> Set[ProxyId]:
        """The proxies that hold it."""
        return self._holders.get(thing, frozenset())


def patterns_of(service: Service) -> Iterator[tuple[str, str]]:
    """Every (namespace, host) pattern of an import that names the service."""
    labels = service.host.split(".")
    hosts = ("*", service.host, *("*." + ".".join(labels[start:]) for start in range(1, len(labels))))
    for namespace in (service.namespace, "*"):
        for host in hosts:
            yield namespace, host
