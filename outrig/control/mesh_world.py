"""One mesh as its proxies should see it. What the world does, for one mesh: see `world`.

A proxy has an inward side of its own and shares its outward side (`sides`), load assignments and trust bundle.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, replace
from itertools import chain
from typing import Final

from outrig.compile import MeshIndex, ServiceId, Touched
from outrig.control.calls import Party, Wanted, wanted_from
from outrig.control.sides import NO_SIDE, Side, Sides
from outrig.envoy import RENDERED, Encodings, encode_assignment, encode_trust, render_inward
from outrig.errors import Finding
from outrig.model import Workload, WorkloadId
from outrig.snapshot import ENDPOINTS, SECRET, Encoded, ProxyId, Snapshot, TypeUrl
from outrig.view import Assignment, Destination, Inward, Outlook, all_findings, assignment_of, called, inward_of


class Marks:
    """What a step changed, as it is found.

    `dirty`: the names that differ, by proxy and type; `doubtful`: proxies whose findings differ; `left`: what proxies
    had that left a mesh.
    """

    def __init__(self) -> None:
        self.dirty: dict[ProxyId, dict[TypeUrl, set[str]]] = {}
        self.doubtful: set[ProxyId] = set()
        self.left: dict[ProxyId, Snapshot] = {}

    def add(self, proxy: ProxyId, type_url: TypeUrl, names: Collection[str]) -> None:
        """These names differ for a proxy."""
        if names:
            self.dirty.setdefault(proxy, {}).setdefault(type_url, set()).update(names)


@dataclass(frozen=True, slots=True)
class _Proxy:
    """What a proxy has of its own, rendered for a trust domain, and the zone it is in."""

    inward: Inward
    domain: str
    rendered: Snapshot
    zone: str

    @property
    def party(self) -> Party | None:
        """Those with whom it shares all the rest; None if it calls nobody."""
        return Party(self.inward.outlook, self.zone) if self.inward.outlook else None


_NOBODY: Final = _Proxy(Inward(), "", NO_SIDE.rendered, "")


class MeshWorld:
    """The proxies of one mesh and what they share. Counters: `views` decided, `renders`, `assignments` gathered."""

    def __init__(self, index: MeshIndex, encodings: Encodings) -> None:
        self.views = self.assignments = self._renders = 0
        self._index = index
        self._encodings = encodings
        self._proxies: dict[ProxyId, _Proxy] = {}
        self._sides = Sides(index, encodings)
        self._assigned: dict[Wanted, Encoded] = {}
        self._rerouted: dict[ProxyId, dict[str, Encoded]] = {}
        self._trust: dict[str, Encoded] = {}

    @property
    def outlooks(self) -> int:
        """How many outward sides were decided."""
        return self._sides.decided

    @property
    def renders(self) -> int:
        """How many sides were rendered, inward and outward."""
        return self._renders + self._sides.renders

    @property
    def proxies(self) -> Collection[ProxyId]:
        """The proxies of the mesh."""
        return self._proxies.keys()

    def findings(self, proxy: ProxyId) -> tuple[Finding, ...]:
        """What is doubtful about a proxy of this mesh."""
        return _findings(*self._has(proxy))

    def snapshot(self, proxy: ProxyId) -> Snapshot:
        """What a proxy of this mesh should have."""
        return self._snapshot(*self._has(proxy))

    def _snapshot(self, own: _Proxy, side: Side) -> Snapshot:
        return {
            **{type_url: _Joined(own.rendered[type_url], side.rendered[type_url]) for type_url in RENDERED},
            ENDPOINTS: _Assignments(side.calls, own.zone, self._assigned),
            SECRET: self._trust,
        }

    def follow(self, touched: Touched, marks: Marks) -> None:
        """Bring what a step touched up to date, and mark what differs."""
        own = {proxy: self._has(proxy) for proxy in map(ProxyId, touched.own)}
        for outlook, before, after in self._sides.refresh(touched):
            self._mark_members(outlook, before, after, marks=marks, but=own.keys())
        for proxy, had in own.items():
            self._decide(proxy)
            self._mark_own(proxy, had, marks)
        self._assign_all(touched.endpoints, marks)
        self._mark_rerouted(marks)
        came = {proxy for proxy, (was, _) in own.items() if was is _NOBODY and proxy in self._proxies}
        if touched.trust:
            self._renew_trust(marks, but=came)
        for proxy in came:
            marks.add(proxy, SECRET, self._trust)

    def _has(self, proxy: ProxyId) -> tuple[_Proxy, Side]:
        own = self._proxies.get(proxy, _NOBODY)
        return own, self._sides.get(own.inward.outlook)

    def _decide(self, proxy: ProxyId) -> None:
        before = self._proxies.get(proxy, _NOBODY)
        workload = self._index.workloads.get(WorkloadId(proxy))
        if workload is not None and workload.proxied:
            self._proxies[proxy] = self._inward(workload, before)
        else:
            self._proxies.pop(proxy, None)
        self._sides.move(proxy, before.party, self._proxies.get(proxy, _NOBODY).party)

    def _inward(self, workload: Workload, before: _Proxy) -> _Proxy:
        self.views += 1
        inward, domain = inward_of(workload, self._index), self._index.domain
        was = before.inward
        if (inward.inbound, inward.guards, domain) == (was.inbound, was.guards, before.domain):
            return replace(before, inward=inward, zone=workload.zone)
        self._renders += 1
        rendered = render_inward(self._index.name, domain, inward, encodings=self._encodings)
        return _Proxy(inward, domain, rendered, workload.zone)

    def _mark_members(self, outlook: Outlook, before: Side, after: Side, *, marks: Marks, but: Set[ProxyId]) -> None:
        differences = {url: differing(before.rendered[url], after.rendered[url]) for url in RENDERED}
        differences[ENDPOINTS] = before.calls.keys() ^ after.calls.keys()
        rerouted = _rerouted(before.calls, after.calls, moved=False)
        for proxy in self._sides.calls.members(outlook) - but:
            self._keep(proxy, before.calls, self._proxies[proxy].zone, names=rerouted)
            if before.outward.findings != after.outward.findings:
                marks.doubtful.add(proxy)
            for type_url, names in differences.items():
                marks.add(proxy, type_url, names)

    def _mark_own(self, proxy: ProxyId, had: tuple[_Proxy, Side], marks: Marks) -> None:
        (was, side), (now, new_side) = had, self._has(proxy)
        for type_url in RENDERED:
            marks.add(proxy, type_url, differing(was.rendered[type_url], now.rendered[type_url]))
            marks.add(proxy, type_url, differing(side.rendered[type_url], new_side.rendered[type_url]))
        marks.add(proxy, ENDPOINTS, side.calls.keys() ^ new_side.calls.keys())
        rerouted = _rerouted(side.calls, new_side.calls, moved=was.zone != now.zone)
        self._keep(proxy, side.calls, was.zone, names=rerouted)
        if _findings(was, side) != _findings(now, new_side):
            marks.doubtful.add(proxy)
        if was is not _NOBODY and now is _NOBODY:
            marks.add(proxy, SECRET, self._trust)
            left = self._snapshot(*had)
            marks.left[proxy] = {**left, ENDPOINTS: dict(left[ENDPOINTS])}

    def _keep(self, proxy: ProxyId, calls: Mapping[str, Destination], zone: str, *, names: Iterable[str]) -> None:
        """These names stand for other load assignments now: keep those that the proxy had, to compare."""
        for name in names:
            had = self._assigned[wanted_from(zone, calls[name])]
            self._rerouted.setdefault(proxy, {})[name] = had

    def _mark_rerouted(self, marks: Marks) -> None:
        rerouted, self._rerouted = self._rerouted, {}
        for proxy, had in rerouted.items():
            own, side = self._has(proxy)
            now = _Assignments(side.calls, own.zone, self._assigned)
            marks.add(proxy, ENDPOINTS, [name for name, before in had.items() if now[name] != before])

    def _assign_all(self, services: Set[ServiceId], marks: Marks) -> None:
        calls = self._sides.calls
        touched = calls.wanted_of(services)
        for wanted in touched | calls.take_moved():
            if not calls.is_wanted(wanted):
                self._assigned.pop(wanted, None)
            elif wanted in touched or wanted not in self._assigned:
                self._assign(wanted, marks)

    def _assign(self, wanted: Wanted, marks: Marks) -> None:
        self.assignments += 1
        name, before = wanted.destination.name, self._assigned.get(wanted)
        self._assigned[wanted] = encode_assignment(self._gather(wanted), self._encodings)
        if before is not None and self._assigned[wanted] is not before:
            for proxy in self._sides.calls.callers(wanted):
                if name not in self._rerouted.get(proxy, ()):
                    marks.add(proxy, ENDPOINTS, [name])

    def _gather(self, wanted: Wanted) -> Assignment:
        destination, service = wanted.destination, self._index.services[wanted.service]
        port = next(port for port in service.ports if port.number == destination.port)
        workloads = called(destination, service, self._index)
        return assignment_of(destination.name, port, workloads=workloads, mesh=self._index, near=wanted.zone)

    def _renew_trust(self, marks: Marks, *, but: Set[ProxyId]) -> None:
        authorities = self._index.authorities
        encoded = encode_trust(self._index.name, authorities, self._encodings) if authorities else None
        before, self._trust = self._trust, {encoded.name: encoded} if encoded else {}
        for proxy in self._proxies.keys() - but:
            marks.add(proxy, SECRET, differing(before, self._trust))


class _Assignments(Mapping[str, Encoded]):
    """The load assignments of a proxy in that zone, in what all proxies share: always the newest."""

    def __init__(self, calls: Mapping[str, Destination], zone: str, assigned: Mapping[Wanted, Encoded]) -> None:
        self._calls, self._zone, self._assigned = calls, zone, assigned

    def __getitem__(self, name: str) -> Encoded:
        return self._assigned[wanted_from(self._zone, self._calls[name])]

    def __iter__(self) -> Iterator[str]:
        return iter(self._calls)

    def __len__(self) -> int:
        return len(self._calls)


class _Joined(Mapping[str, Encoded]):
    """The resources of both sides of a proxy; no name is on both."""

    def __init__(self, inward: Mapping[str, Encoded], outward: Mapping[str, Encoded]) -> None:
        self._inward, self._outward = inward, outward

    def __getitem__(self, name: str) -> Encoded:
        return self._inward[name] if name in self._inward else self._outward[name]

    def __iter__(self) -> Iterator[str]:
        return chain(self._outward, self._inward)

    def __len__(self) -> int:
        return len(self._inward) + len(self._outward)


def _rerouted(before: Mapping[str, Destination], after: Mapping[str, Destination], *, moved: bool) -> list[str]:
    """The names that stand for another load assignment now. `moved`: whether the caller is in another zone."""
    if before is after and not moved:
        return []
    common = before.keys() & after.keys()
    return [name for name in common if before[name] != after[name] or (moved and after[name].near)]


def _findings(own: _Proxy, side: Side) -> tuple[Finding, ...]:
    return all_findings(own.inward, side.outward)


def differing(before: Mapping[str, object], after: Mapping[str, object]) -> set[str]:
    """The names that are not the same in both."""
    if before is after or not before:
        return set() if before is after else set(after)
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
