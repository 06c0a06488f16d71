"""One mesh, indexed: answers as `model.Mesh` does, and knows after each step what the step touched.

A step takes facts away and adds facts. What it touched is settled at its end by comparing before and after, so that a
fact that was replaced by an equal one, or a workload whose health alone changed, touches no more than it must.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from outrig.compile.directory import Directory
from outrig.compile.offers import Offers
from outrig.compile.permissions import Permissions
from outrig.compile.selectors import LabelIndex, SelectorIndex
from outrig.model import (
    Access,
    Fact,
    Group,
    Health,
    Import,
    Labels,
    Offer,
    PeerTls,
    Policy,
    ProxyShape,
    Resolution,
    Selector,
    Service,
    Workload,
    WorkloadId,
)
from outrig.model.conditions import Behind, Having, Who
from outrig.resources import Key

ServiceId = tuple[Key, str]  # a resource may describe several hosts
_Accepted = tuple[tuple[str, ...], bool]  # whom callers accept as a service, and whether some are called in plaintext
_NOBODY = ("",)  # counted among the identities of a service for each workload that has none


def id_of(service: Service) -> ServiceId:
    """What tells a service from all others."""
    return service.origin, service.host


@dataclass(slots=True)
class Touched:
    """What a step touched, settled.

    `own`: workloads whose own settings may differ now. `services`: those that came, went or changed, as they were and
    as they are. `callers`: services that are called in another way now: their accepted identities changed, or the
    names that their callers look up. `endpoints`: services whose endpoints may differ. `trust`: whether the mesh's
    authorities or its trust domain changed.
    """

    own: set[WorkloadId] = field(default_factory=set)
    services: list[Service] = field(default_factory=list)
    callers: set[ServiceId] = field(default_factory=set)
    endpoints: set[ServiceId] = field(default_factory=set)
    trust: bool = False


@dataclass(slots=True)
class _Journal:
    """What things were before the step first touched them."""

    workloads: dict[WorkloadId, Workload | None] = field(default_factory=dict)
    services: dict[ServiceId, Service | None] = field(default_factory=dict)
    accepted: dict[ServiceId, _Accepted] = field(default_factory=dict)
    named: dict[Who, tuple[str, ...]] = field(default_factory=dict)
    chosen: set[WorkloadId] = field(default_factory=set)
    endpoints: set[ServiceId] = field(default_factory=set)


class MeshIndex:
    """The `Surroundings` of every proxy of one mesh."""

    def __init__(self, name: str, directory: Directory) -> None:
        self.name = name
        self.services: dict[ServiceId, Service] = {}
        self.workloads: dict[WorkloadId, Workload] = {}
        self._directory = directory
        self._by_namespace: dict[str, dict[ServiceId, Service]] = defaultdict(dict)
        self._by_host: dict[str, dict[ServiceId, Service]] = defaultdict(dict)
        self._groups: LabelIndex[Group] = LabelIndex()
        self._offers = Offers()
        self._identities: dict[ServiceId, Counter[str]] = {}
        self._selecting: SelectorIndex[ServiceId] = SelectorIndex()
        self._labelled: LabelIndex[WorkloadId] = LabelIndex()
        self._with_members: LabelIndex[ServiceId] = LabelIndex()  # by the labels of their own members
        self._shapes: SelectorIndex[Policy[ProxyShape]] = SelectorIndex()
        self._peer_tls: SelectorIndex[Policy[PeerTls]] = SelectorIndex()
        self._permissions = Permissions()
        self._journal = _Journal()
        self._trust: tuple[str, tuple[str, ...]] = ("", ())  # as of the last step; at first nobody was told anything

    @property
    def domain(self) -> str:
        return self._directory.trust_domain(self.name)

    @property
    def authorities(self) -> tuple[str, ...]:
        return self._directory.authorities(self.name)

    @property
    def trusted(self) -> bool:
        return bool(self.authorities)

    def shapes_for(self, workload: Workload) -> Iterable[Policy[ProxyShape]]:
        return self._shapes.choosing(workload.namespace, workload.labels)

    def tls_for(self, workload: Workload) -> Iterable[Policy[PeerTls]]:
        return self._peer_tls.choosing(workload.namespace, workload.labels)

    def access_for(self, namespace: str, labels: Labels) -> Iterable[Policy[Access]]:
        return self._permissions.choosing(namespace, labels)

    def all_access(self) -> Iterable[Policy[Access]]:
        return self._permissions

    def identities_named(self, who: Who) -> tuple[str, ...]:
        chosen = [Selector(None, who.labels)] if isinstance(who, Having) else self._selectors_of(who)
        meant = {group for selector in chosen for group in self._groups.chosen_by(selector)}
        return tuple(sorted({identity for group in meant for identity in group.identities}))

    def services_for(self, wanted: Import) -> Iterable[Service]:
        if not wanted.host.startswith("*"):
            candidates = self._by_host.get(wanted.host, {})
        elif wanted.namespace == "*":
            candidates = self.services
        else:
            candidates = self._by_namespace.get(wanted.namespace, {})
        return [service for service in candidates.values() if service.named_by(wanted)]

    def identities_of(self, service: Service) -> tuple[str, ...]:
        if service.external or service.accepted:
            return service.accepted
        return tuple(sorted(self._identities.get(id_of(service), Counter()).keys() - set(_NOBODY)))

    def has_plain(self, service: Service) -> bool:
        return not self._identities.get(id_of(service), Counter()).keys().isdisjoint(_NOBODY)

    def workloads_of(self, service: Service) -> list[Workload]:
        chosen = self._labelled.chosen_by(service.selector) if service.selector else ()
        return service.behind(self.workloads[id_] for id_ in chosen)

    def services_of(self, workload: Workload) -> list[Service]:
        choosing = self._selecting.choosing(workload.namespace, workload.labels)
        return [service for service in (self.services[id_] for id_ in choosing) if service.chooses(workload)]

    def offered(self, origin: Key, host: str) -> list[Service]:
        """What is offered of a service now, part by part; none of it is only kept."""
        return self._offers.live((origin, host))

    def add(self, fact: Fact) -> None:
        """Take a fact in. Namespaces and trust are the directory's."""
        match fact:
            case Service():
                self._add_service(fact)
            case Offer():
                self._offers.add(fact)
            case Workload():
                self._add_workload(fact)
            case Group():
                self._note_named(self._permissions.meaning(fact, self._services_of_group(fact)))
                self._groups.add(fact.namespace, fact.labels, fact)
                self._count_group(fact, 1)
            case Policy():
                self._index_of(fact).add(fact.applies_to, fact)
                self._choose(fact)

    def discard(self, fact: Fact) -> None:
        """Forget a fact that was taken in."""
        match fact:
            case Service():
                self._discard_service(fact)
            case Offer():
                self._offers.discard(fact)
            case Workload():
                self._discard_workload(fact)
            case Group():
                self._note_named(self._permissions.meaning(fact, self._services_of_group(fact)))
                self._groups.discard(fact.namespace, fact.labels, fact)
                self._count_group(fact, -1)
            case Policy():
                self._index_of(fact).discard(fact.applies_to, fact)
                self._choose(fact)

    def settle(self) -> Touched:
        """End the step: what it touched."""
        self._settle_offers()
        was, self._journal = self._journal, _Journal()
        moved = {id_ for id_, before in was.workloads.items() if _own(before) != _own(self.workloads.get(id_))}
        touched = Touched(own=moved | was.chosen, endpoints=was.endpoints)
        touched.own.update(self._whom_permissions_now_mean(was.named))
        for id_, before in was.services.items():
            now = self.services.get(id_)
            if before != now:
                touched.services += [service for service in (before, now) if service]
                touched.endpoints.add(id_)
                touched.own |= self._whose_calls_differ(before, now)
        trust, self._trust = self._trust, (self.domain, self.authorities)
        touched.trust = trust != self._trust
        if (trust[0], bool(trust[1])) != (self.domain, self.trusted):
            touched.own |= self.workloads.keys()
        touched.callers = {id_ for id_, before in was.accepted.items() if before != self._accepted(id_)}
        touched.callers |= {id_ for id_ in was.endpoints if self._is_looked_up(id_)}
        return touched

    def _settle_offers(self) -> None:
        """Services follow from offers once a step is whole: what one offers and another ceases to, stays."""
        for id_, now in self._offers.take_changed():
            before = self.services.get(id_)
            if before != now:
                if before:
                    self._discard_service(before)
                if now:
                    self._add_service(now)

    def _whose_calls_differ(self, before: Service | None, now: Service | None) -> set[WorkloadId]:
        """The workloads that a service sends calls to, if it sends them elsewhere than before."""
        if before and now and (before.selector, before.ports) == (now.selector, now.ports):
            return set()
        chosen = (self._labelled.chosen_by(one.selector) for one in (before, now) if one and one.selector)
        return set[WorkloadId]().union(*chosen)

    def _is_looked_up(self, id_: ServiceId) -> bool:
        service = self.services.get(id_)
        return service is not None and service.resolution is not Resolution.TOLD

    def _add_service(self, service: Service) -> None:
        self._note_named(self._permissions.behind(service))
        id_ = id_of(service)
        self._journal.services.setdefault(id_, self.services.get(id_))
        self.services[id_] = self._by_namespace[service.namespace][id_] = service
        self._by_host[service.host][id_] = self._by_host[service.handle][id_] = service
        self._identities[id_] = Counter()
        for member in service.members:
            self._with_members.add(member.namespace, member.labels, id_)
        if service.selector is not None:
            self._selecting.add(service.selector, id_)
            for group in self._groups.possibly_chosen_by(service.selector):
                self._identities[id_].update(group.identities)
        for workload in self.workloads_of(service):
            self._identities[id_].update(workload.identities or _NOBODY)

    def _discard_service(self, service: Service) -> None:
        self._note_named(self._permissions.behind(service))
        id_ = id_of(service)
        self._journal.services.setdefault(id_, self.services.get(id_))
        del self.services[id_], self._identities[id_]
        _drop(self._by_namespace, service.namespace, id_)
        for name in (service.host, service.handle):
            _drop(self._by_host, name, id_)
        for member in service.members:
            self._with_members.discard(member.namespace, member.labels, id_)
        if service.selector is not None:
            self._selecting.discard(service.selector, id_)

    def _add_workload(self, workload: Workload) -> None:
        self._journal.workloads.setdefault(workload.id, self.workloads.get(workload.id))
        self.workloads[workload.id] = workload
        self._labelled.add(workload.namespace, workload.labels, workload.id)
        self._count_workload(workload, 1)

    def _discard_workload(self, workload: Workload) -> None:
        self._journal.workloads.setdefault(workload.id, self.workloads.get(workload.id))
        del self.workloads[workload.id]
        self._labelled.discard(workload.namespace, workload.labels, workload.id)
        self._count_workload(workload, -1)

    def _count_workload(self, workload: Workload, by: int) -> None:
        for id_ in self._selecting.choosing(workload.namespace, workload.labels):
            service = self.services[id_]
            if workload.form in service.forms:
                self._journal.endpoints.add(id_)
                self._count(id_, service.as_seen(workload).identities or _NOBODY, by)

    def _count_group(self, group: Group, by: int) -> None:
        for id_ in self._selecting.possibly_choosing(group.namespace, group.labels):
            self._count(id_, group.identities, by)

    def _count(self, id_: ServiceId, identities: Iterable[str], by: int) -> None:
        counted = self._identities[id_]
        self._journal.accepted.setdefault(id_, self._accepted(id_))
        for identity in identities:
            counted[identity] += by
            if not counted[identity]:
                del counted[identity]

    def _accepted(self, id_: ServiceId) -> _Accepted:
        service = self.services.get(id_)
        return (self.identities_of(service), self.has_plain(service)) if service else ((), False)

    def _services_of_group(self, group: Group) -> list[Service]:
        """The services that choose a group by what it declares."""
        return [self.services[id_] for id_ in self._selecting.choosing(group.namespace, group.labels)]

    def _selectors_of(self, who: Behind) -> list[Selector]:
        there = self._by_namespace.get(who.namespace, {}).values()
        named = (service for service in there if service.origin.name == who.name)
        return [service.selector for service in named if service.selector and not service.external]

    def _note_named(self, some: Iterable[Who]) -> None:
        """Who these are may be about to change."""
        for who in some:
            self._journal.named.setdefault(who, self.identities_named(who))

    def _whom_permissions_now_mean(self, before: dict[Who, tuple[str, ...]]) -> Iterator[WorkloadId]:
        """The workloads whose permissions name somebody who is someone else than before."""
        for who, identities in before.items():
            if identities != self.identities_named(who):
                for policy in self._permissions.naming(who):
                    yield from (self.workloads[id_].whole for id_ in self._labelled.chosen_by(policy.applies_to))

    def _index_of(self, policy: Policy[Any]) -> SelectorIndex[Policy[Any]] | Permissions:
        if isinstance(policy.settings, Access):
            return self._permissions
        return self._shapes if isinstance(policy.settings, ProxyShape) else self._peer_tls

    def _choose(self, policy: Policy[Any]) -> None:
        """A policy came or went. Demands on the transport also show in how the workloads are called."""
        chosen = self._labelled.chosen_by(policy.applies_to)
        self._journal.chosen.update(self.workloads[id_].whole for id_ in chosen)
        if isinstance(policy.settings, PeerTls):
            for workload in (self.workloads[id_] for id_ in chosen):
                self._journal.endpoints.update(self._selecting.choosing(workload.namespace, workload.labels))
            self._journal.endpoints |= self._with_members.chosen_by(policy.applies_to)


def _own(workload: Workload | None) -> Workload | None:
    """The workload as its own proxy sees it: what others make of it does not matter."""
    return workload and replace(workload, health=Health.READY, weight=1, locality=workload.zone, identities=())


def _drop(drawers: dict[str, dict[ServiceId, Service]], drawer: str, id_: ServiceId) -> None:
    drawers[drawer].pop(id_, None)
    if not drawers[drawer]:
        del drawers[drawer]
