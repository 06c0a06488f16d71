"""A whole mesh as frozen data, and the questions `view` asks of one.

`Mesh` answers them by looking at everything: plain, and what the index of `compile` is measured against.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from outrig.model.access import Access
from outrig.model.conditions import Behind, Having, Who
from outrig.model.facts import Group
from outrig.model.labels import Labels, Selector
from outrig.model.policy import Policy
from outrig.model.proxy import Import, ProxyShape
from outrig.model.service import Service
from outrig.model.tls import PeerTls
from outrig.model.workload import Workload


class Surroundings(Protocol):
    """What deciding the configuration of one proxy needs to know of its mesh. Order of answers means nothing."""

    @property
    def name(self) -> str:
        """The mesh's name."""
        ...

    @property
    def domain(self) -> str:
        """Its trust domain."""
        ...

    @property
    def trusted(self) -> bool:
        """Whether there is an authority by which members can know each other."""
        ...

    def shapes_for(self, workload: Workload) -> Iterable[Policy[ProxyShape]]:
        """The proxy shapes that choose the workload."""
        ...

    def tls_for(self, workload: Workload) -> Iterable[Policy[PeerTls]]:
        """The transport demands that choose the workload."""
        ...

    def access_for(self, namespace: str, labels: Labels) -> Iterable[Policy[Access]]:
        """The permissions that choose what has that namespace and those labels."""
        ...

    def all_access(self) -> Iterable[Policy[Access]]:
        """All permissions, whomever they choose."""
        ...

    def identities_named(self, who: Who) -> tuple[str, ...]:
        """The identities of whom a permission means, sorted: those of the groups that declare what it takes."""
        ...

    def services_for(self, wanted: Import) -> Iterable[Service]:
        """The services an import names; `exclude` does not matter here."""
        ...

    def identities_of(self, service: Service) -> tuple[str, ...]:
        """Whom callers accept as this service, sorted: the identities of the groups that could be behind it, and
        of the workloads that are. None for an external service."""
        ...

    def has_plain(self, service: Service) -> bool:
        """Whether some workload behind the service has no identity, and is therefore called without TLS."""
        ...

    def workloads_of(self, service: Service) -> Iterable[Workload]:
        """The workloads behind a service."""
        ...

    def services_of(self, workload: Workload) -> Iterable[Service]:
        """The services that choose a workload."""
        ...


@dataclass(frozen=True, slots=True)
class Mesh:
    """One mesh: everything its members are told."""

    name: str
    domain: str
    authorities: tuple[str, ...] = ()
    services: tuple[Service, ...] = ()
    groups: tuple[Group, ...] = ()
    workloads: tuple[Workload, ...] = ()
    shapes: tuple[Policy[ProxyShape], ...] = ()
    peer_tls: tuple[Policy[PeerTls], ...] = ()
    access: tuple[Policy[Access], ...] = ()

    @property
    def trusted(self) -> bool:
        return bool(self.authorities)

    def shapes_for(self, workload: Workload) -> Iterable[Policy[ProxyShape]]:
        return [policy for policy in self.shapes if policy.applies_to.matches(workload.namespace, workload.labels)]

    def tls_for(self, workload: Workload) -> Iterable[Policy[PeerTls]]:
        return [policy for policy in self.peer_tls if policy.applies_to.matches(workload.namespace, workload.labels)]

    def access_for(self, namespace: str, labels: Labels) -> Iterable[Policy[Access]]:
        return [policy for policy in self.access if policy.applies_to.matches(namespace, labels)]

    def all_access(self) -> Iterable[Policy[Access]]:
        return self.access

    def identities_named(self, who: Who) -> tuple[str, ...]:
        chosen = [Selector(None, who.labels)] if isinstance(who, Having) else self._selectors_of(who)
        meant = (g for g in self.groups if any(one.matches(g.namespace, g.labels) for one in chosen))
        return tuple(sorted({identity for group in meant for identity in group.identities}))

    def _selectors_of(self, who: Behind) -> list[Selector]:
        named = (one for one in self.services if (one.namespace, one.origin.name) == (who.namespace, who.name))
        return [service.selector for service in named if service.selector and not service.external]

    def services_for(self, wanted: Import) -> Iterable[Service]:
        return [service for service in self.services if service.named_by(wanted)]

    def identities_of(self, service: Service) -> tuple[str, ...]:
        if service.external or service.accepted:
            return service.accepted
        chosen = service.selector
        groups = (g.identities for g in self.groups if chosen and chosen.could_match(g.namespace, g.labels))
        present = (workload.identities for workload in self.workloads_of(service))
        return tuple(sorted({identity for some in (*groups, *present) for identity in some}))

    def has_plain(self, service: Service) -> bool:
        return not all(workload.identities for workload in self.workloads_of(service))

    def workloads_of(self, service: Service) -> list[Workload]:
        chosen = service.selector
        return service.behind(w for w in self.workloads if chosen and chosen.matches(w.namespace, w.labels))

    def services_of(self, workload: Workload) -> list[Service]:
        return [service for service in self.services if service.chooses(workload)]
