"""The outward sides of one mesh: each is decided and rendered once for all proxies that have the same outlook."""

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, replace
from typing import Final

from outrig.compile import MeshIndex, ServiceId, Touched
from outrig.control.holders import Holders
from outrig.envoy import RENDERED, Encodings, render_outward
from outrig.model import Service
from outrig.snapshot import ProxyId, Snapshot
from outrig.view import Destination, Hop, Outlook, Outward, outward_of


@dataclass(frozen=True, slots=True)
class Side:
    """An outward side as it is now. `calls`: its destinations by the names of their load assignments."""

    outward: Outward
    rendered: Snapshot
    calls: Mapping[str, Destination]


NO_SIDE: Final = Side(Outward(), {type_url: {} for type_url in RENDERED}, {})


class Sides:
    """The outward sides that proxies have. Counters: `decided`, `renders`."""

    def __init__(self, index: MeshIndex, encodings: Encodings) -> None:
        self.decided = self.renders = 0
        self._index = index
        self._encodings = encodings
        self._sides: dict[Outlook, Side] = {}
        self._members: Holders[Outlook, ProxyId] = Holders()
        self._importing: Holders[tuple[str, str], Outlook] = Holders()
        self._calling: Holders[Destination, Outlook] = Holders()
        self._moved: set[Destination] = set()

    def get(self, outlook: Outlook | None) -> Side:
        """The side of an outlook that some proxy has; an empty one for None."""
        return self._sides[outlook] if outlook else NO_SIDE

    def members(self, outlook: Outlook) -> Set[ProxyId]:
        """The proxies that have an outlook."""
        return self._members.of(outlook)

    def callers(self, destination: Destination) -> Iterator[ProxyId]:
        """The proxies that call a destination."""
        for outlook in self._calling.of(destination):
            yield from self._members.of(outlook)

    def is_called(self, destination: Destination) -> bool:
        """Whether any proxy calls a destination."""
        return bool(self._calling.of(destination))

    def take_moved(self) -> set[Destination]:
        """The destinations that some side began or ceased to call since this was asked last."""
        moved, self._moved = self._moved, set()
        return moved

    def move(self, proxy: ProxyId, before: Outlook | None, after: Outlook | None) -> None:
        """A proxy has another outlook than before. One that is new is decided, one that nobody has is forgotten."""
        if before == after:
            return
        self._members.move(proxy, {before} if before else set(), {after} if after else set())
        if after and after not in self._sides:
            self._put(after, self._decide(after, NO_SIDE))
        if before and not self._members.of(before):
            self._put(before, NO_SIDE)
            del self._sides[before]

    def refresh(self, touched: Touched) -> Iterator[tuple[Outlook, Side, Side]]:
        """Decide anew what a step touched; gives each outlook with its side before and after."""
        for outlook in self._touched(touched):
            before = self._sides[outlook]
            after = self._decide(outlook, before)
            self._put(outlook, after)
            yield outlook, before, after

    def _touched(self, touched: Touched) -> set[Outlook]:
        looking = (self._importing.of(pattern) for service in touched.services for pattern in patterns_of(service))
        calling = (self._calling.of(destination) for destination in destinations(self._index, touched.callers))
        return set[Outlook]().union(*looking, *calling)

    def _decide(self, outlook: Outlook, before: Side) -> Side:
        self.decided += 1
        outward = outward_of(outlook, self._index)
        if outward == before.outward and before is not NO_SIDE:
            return replace(before, outward=outward)
        self.renders += 1
        calls = {upstream.destination.name: upstream.destination for upstream in outward.upstreams}
        return Side(outward, render_outward(self._index.name, outward, self._encodings), calls)

    def _put(self, outlook: Outlook, side: Side) -> None:
        before = self._sides.get(outlook, NO_SIDE)
        self._importing.move(outlook, before.outward.imports, side.outward.imports)
        if side.calls is not before.calls:
            was, now = set(before.calls.values()), set(side.calls.values())
            self._calling.move(outlook, was, now)
            self._moved |= was ^ now
        self._sides[outlook] = side


def destinations(index: MeshIndex, services: Iterable[ServiceId]) -> Iterator[Destination]:
    """The destinations that these services have now, in every way they could be called."""
    for id_ in services:
        service = index.services.get(id_)
        for port in service.ports if service else ():
            yield from (Destination(*id_, port.number, hop) for hop in Hop)


def patterns_of(service: Service) -> Iterator[tuple[str, str]]:
    """Every (namespace, host) pattern of an import that names the service."""
    labels = service.host.split(".")
    hosts = ("*", service.host, *("*." + ".".join(labels[start:]) for start in range(1, len(labels))))
    for namespace in (service.namespace, "*"):
        for host in hosts:
            yield namespace, host
