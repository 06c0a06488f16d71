"""One mesh as its proxies should see it. What the world does, for one mesh: see `world`."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from outrig.compile import MeshIndex, Touched
from outrig.control.holders import Holders, patterns_of
from outrig.envoy import RENDERED, Encodings, encode_assignment, encode_trust, render
from outrig.model import Workload, WorkloadId
from outrig.resources import Key
from outrig.snapshot import ENDPOINTS, SECRET, Encoded, ProxyId, Snapshot, TypeUrl
from outrig.view import Assignment, Destination, ProxyView, assignment_of, view_of


class Marks:
    """The names that differ, by proxy and type, as they are found; and what proxies had that left a mesh."""

    def __init__(self) -> None:
        self.dirty: dict[ProxyId, dict[TypeUrl, set[str]]] = {}
        self.left: dict[ProxyId, Snapshot] = {}

    def add(self, proxy: ProxyId, type_url: TypeUrl, names: Collection[str]) -> None:
        """These names differ for a proxy."""
        if names:
            self.dirty.setdefault(proxy, {}).setdefault(type_url, set()).update(names)


@dataclass(frozen=True, slots=True)
class _Proxy:
    """What a proxy has of its own. `calls`: its destinations by the names of their load assignments."""

    view: ProxyView
    rendered: Snapshot
    calls: Mapping[str, Destination]


class MeshWorld:
    """The proxies of one mesh and what they share. Counters: `views` decided, `renders`, `assignments` gathered."""

    def __init__(self, index: MeshIndex, encodings: Encodings) -> None:
        self.proxies: dict[ProxyId, _Proxy] = {}
        self.views = self.renders = self.assignments = 0
        self._index = index
        self._encodings = encodings
        self._importing: Holders[tuple[str, str]] = Holders()
        self._calling: Holders[Destination] = Holders()
        self._assigned: dict[Destination, Encoded] = {}
        self._trust: dict[str, Encoded] = {}

    def snapshot(self, proxy: ProxyId) -> Snapshot:
        """What a proxy of this mesh should have."""
        found = self.proxies[proxy]
        return {**found.rendered, ENDPOINTS: _Shared(found.calls, self._assigned), SECRET: self._trust}

    def follow(self, touched: Touched, marks: Marks) -> None:
        """Bring what a step touched up to date, and mark what differs."""
        wanted = {found for proxy in self._affected(touched) for found in self._update(proxy, marks)}
        wanted.update(self._destinations(touched.endpoints))
        for destination in wanted:
            self._assign(destination, marks)
        if touched.trust:
            self._renew_trust(marks)

    def _affected(self, touched: Touched) -> set[ProxyId]:
        own = {ProxyId(workload) for workload in touched.own}
        looking = (self._importing.of(pattern) for service in touched.services for pattern in patterns_of(service))
        calling = (self._calling.of(destination) for destination in self._destinations(touched.callers))
        return own.union(*looking, *calling)

    def _destinations(self, services: Iterable[tuple[Key, str]]) -> Iterator[Destination]:
        for id_ in services:
            service = self._index.services.get(id_)
            for port in service.ports if service else ():
                yield Destination(*id_, port.number)

    def _update(self, proxy: ProxyId, marks: Marks) -> set[Destination]:
        """Decide a proxy's view anew; render it if it differs. Gives the destinations that nobody called before."""
        before = self.proxies.get(proxy, _NOTHING)
        workload = self._index.workloads.get(WorkloadId(proxy))
        if workload is None or not workload.proxied:
            after = _NOTHING
            if before is not _NOTHING:
                marks.left[proxy] = {type_url: dict(some) for type_url, some in self.snapshot(proxy).items()}
                del self.proxies[proxy]
        else:
            after = self.proxies[proxy] = self._decide(workload, before)
        if (before is _NOTHING) != (after is _NOTHING):
            marks.add(proxy, SECRET, self._trust)
        self._importing.move(proxy, before.view.imports, after.view.imports)
        for type_url in RENDERED:
            marks.add(proxy, type_url, differing(before.rendered[type_url], after.rendered[type_url]))
        marks.add(proxy, ENDPOINTS, differing(before.calls, after.calls))
        return self._call(proxy, set(before.calls.values()), set(after.calls.values()))

    def _decide(self, workload: Workload, before: _Proxy) -> _Proxy:
        self.views += 1
        view = view_of(workload, self._index)
        if view == before.view:
            return replace(before, view=view)
        self.renders += 1
        calls = {upstream.destination.name: upstream.destination for upstream in view.upstreams}
        return _Proxy(view, render(view, self._encodings), calls)

    def _call(self, proxy: ProxyId, before: set[Destination], after: set[Destination]) -> set[Destination]:
        """A proxy calls other destinations than before; what nobody calls is forgotten."""
        self._calling.move(proxy, before, after)
        for destination in before - after:
            if not self._calling.of(destination):
                self._assigned.pop(destination, None)
        return {destination for destination in after - before if destination not in self._assigned}

    def _assign(self, destination: Destination, marks: Marks) -> None:
        callers = self._calling.of(destination)
        if not callers:
            return
        self.assignments += 1
        encoded = encode_assignment(self._gather(destination), self._encodings)
        if encoded is not self._assigned.get(destination):
            self._assigned[destination] = encoded
            for proxy in callers:
                marks.add(proxy, ENDPOINTS, [destination.name])

    def _gather(self, destination: Destination) -> Assignment:
        service = self._index.services[destination.service, destination.host]
        port = next(port for port in service.ports if port.number == destination.port)
        return assignment_of(destination.name, port, self._index.workloads_of(service), self._index)

    def _renew_trust(self, marks: Marks) -> None:
        authorities = self._index.authorities
        encoded = encode_trust(self._index.name, authorities, self._encodings) if authorities else None
        before, self._trust = self._trust, {encoded.name: encoded} if encoded else {}
        for proxy in self.proxies:
            marks.add(proxy, SECRET, differing(before, self._trust))


class _Shared(Mapping[str, Encoded]):
    """The load assignments of one proxy, in what all proxies share: always the newest."""

    def __init__(self, calls: Mapping[str, Destination], assigned: Mapping[Destination, Encoded]) -> None:
        self._calls, self._assigned = calls, assigned

    def __getitem__(self, name: str) -> Encoded:
        return self._assigned[self._calls[name]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._calls)

    def __len__(self) -> int:
        return len(self._calls)


def differing(before: Mapping[str, object], after: Mapping[str, object]) -> set[str]:
    """The names that are not the same in both."""
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


_NOTHING: Final = _Proxy(ProxyView("", ""), {type_url: {} for type_url in RENDERED}, {})
