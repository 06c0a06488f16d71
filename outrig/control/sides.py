"""The outward sides of one mesh: each is decided and rendered once for all proxies that have the same outlook."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from outrig.compile import MeshIndex, ServiceId, Touched
from outrig.control.calls import Calls, Party
from outrig.control.holders import Holders
from outrig.envoy import RENDERED, Encodings, render_outward
from outrig.model import Service
from outrig.snapshot import ProxyId, Snapshot
from outrig.view import Destination, Outlook, Outward, outward_of


@dataclass(frozen=True, slots=True)
class Side:
    """An outward side as it is now. `calls`: its destinations by the names of their load assignments; those that a
    proxy looks up itself have none."""

    outward: Outward
    rendered: Snapshot
    calls: Mapping[str, Destination]


NO_SIDE: Final = Side(Outward(), {type_url: {} for type_url in RENDERED}, {})


class Sides:
    """The outward sides that proxies have. `calls`: what they call. Counters: `decided`, `renders`."""

    def __init__(self, index: MeshIndex, encodings: Encodings) -> None:
        self.decided = self.renders = 0
        self.calls = Calls()
        self._index = index
        self._encodings = encodings
        self._sides: dict[Outlook, Side] = {}
        self._importing: Holders[tuple[str, str], Outlook] = Holders()
        self._calling: Holders[ServiceId, Outlook] = Holders()

    def get(self, outlook: Outlook | None) -> Side:
        """The side of an outlook that some proxy has; an empty one for None."""
        return self._sides[outlook] if outlook else NO_SIDE

    def move(self, proxy: ProxyId, before: Party | None, after: Party | None) -> None:
        """A proxy is of another party than before. A new outlook is decided, one that nobody has is forgotten."""
        if before == after:
            return
        is_new = after is not None and after not in self.calls.parties(after.outlook)
        if after and after.outlook not in self._sides:
            self._put(after.outlook, self._decide(after.outlook, NO_SIDE))
        self.calls.move(proxy, before, after)
        if after and is_new:
            self.calls.want(after, {}, self._sides[after.outlook].calls)
        if before and before not in self.calls.parties(before.outlook):
            self.calls.want(before, self._sides[before.outlook].calls, {})
        if before and not self.calls.parties(before.outlook):
            self._put(before.outlook, NO_SIDE)
            del self._sides[before.outlook]

    def refresh(self, touched: Touched) -> Iterator[tuple[Outlook, Side, Side]]:
        """Decide anew what a step touched; gives each outlook with its side before and after."""
        for outlook in self._touched(touched):
            before = self._sides[outlook]
            after = self._decide(outlook, before)
            self._put(outlook, after)
            yield outlook, before, after

    def _touched(self, touched: Touched) -> set[Outlook]:
        looking = (self._importing.of(pattern) for service in touched.services for pattern in patterns_of(service))
        calling = (self._calling.of(service) for service in touched.callers)
        return set[Outlook]().union(*looking, *calling)

    def _decide(self, outlook: Outlook, before: Side) -> Side:
        self.decided += 1
        outward = outward_of(outlook, self._index)
        if outward == before.outward and before is not NO_SIDE:
            return replace(before, outward=outward)
        self.renders += 1
        told = (upstream.destination for upstream in outward.upstreams if upstream.lookup is None)
        calls = {destination.name: destination for destination in told}
        return Side(outward, render_outward(self._index.name, outward, self._encodings), calls)

    def _put(self, outlook: Outlook, side: Side) -> None:
        before = self._sides.get(outlook, NO_SIDE)
        self._importing.move(outlook, before.outward.imports, side.outward.imports)
        if side.calls is not before.calls:
            self._calling.move(outlook, _services(before), _services(side))
            gone, new = _only_in(before.calls, side.calls), _only_in(side.calls, before.calls)
            for party in self.calls.parties(outlook):
                self.calls.want(party, gone, new)
        self._sides[outlook] = side


def _only_in(these: Mapping[str, Destination], others: Mapping[str, Destination]) -> dict[str, Destination]:
    return {name: destination for name, destination in these.items() if others.get(name) != destination}


def _services(side: Side) -> set[ServiceId]:
    called = (upstream.destination for upstream in side.outward.upstreams)
    return {(destination.service, destination.host) for destination in called}


def patterns_of(service: Service) -> Iterator[tuple[str, str]]:
    """Every (namespace, host) pattern of an import that names the service."""
    labels = service.host.split(".")
    hosts = ("*", service.host, service.handle, *("*." + ".".join(labels[start:]) for start in range(1, len(labels))))
    for namespace in (service.namespace, "*"):
        for host in hosts:
            yield namespace, host
