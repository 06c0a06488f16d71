"""A service: a host that callers know, its ports, and the workloads behind it."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from outrig.model.labels import Selector
from outrig.model.protocol import Protocol
from outrig.model.proxy import Import
from outrig.model.workload import AddressForm, Workload
from outrig.resources import Key


@dataclass(frozen=True, slots=True)
class ServicePort:
    """A port of a service. `target` is the workload's port: a number, or the name of one of its named ports.

    `mixed`: it is called by bytes, since not all behind it take requests; some take nothing else.
    """

    number: int
    name: str
    protocol: Protocol
    target: int | str
    mixed: bool = False


class Resolution(StrEnum):
    """How callers learn the addresses behind a service.

    TOLD: from the control plane, as endpoints. Otherwise each caller's proxy looks host names up itself: under DNS all
    addresses of each name are endpoints, under DNS_ROUND_ROBIN a new connection takes the first that was answered.
    """

    TOLD = "told"
    DNS = "dns"
    DNS_ROUND_ROBIN = "dns-round-robin"


@dataclass(frozen=True, slots=True)
class Service:
    """A service of one namespace.

    `names` are the other names under which every caller knows it (`ratings.bookinfo`, `ratings.bookinfo.svc`, its
    addresses); `local_names` only callers of its own namespace (`ratings`). `exported_to` holds namespaces, or `*`.

    Behind it are its own `members`, and the workloads that `selector` chooses (None: none) whose address has one of
    the `forms`. `external`: they are no part of the mesh and are called without its TLS. `accepted`: whom callers
    accept as this service; empty: the identities of those behind it. `near_first`: callers use endpoints of their own
    zone as long as there are any, then those of their region.
    """

    origin: Key
    namespace: str
    host: str
    ports: tuple[ServicePort, ...]
    selector: Selector | None
    names: tuple[str, ...] = ()
    local_names: tuple[str, ...] = ()
    exported_to: tuple[str, ...] = ("*",)
    members: tuple[Workload, ...] = ()
    forms: frozenset[AddressForm] = frozenset({AddressForm.IP})
    resolution: Resolution = Resolution.TOLD
    external: bool = False
    accepted: tuple[str, ...] = ()
    near_first: bool = False

    @property
    def handle(self) -> str:
        """How imports name all hosts of its resource: by what no host can be."""
        return f"@{self.origin.name}"

    def named_by(self, wanted: Import) -> bool:
        """Whether an import names it, by host or handle."""
        return wanted.fits(self.namespace, self.handle if wanted.host.startswith("@") else self.host)

    def behind(self, chosen: Iterable[Workload]) -> list[Workload]:
        """All that is behind it, as its callers see it, given what its selector chooses."""
        fitting = (workload for workload in chosen if workload.form in self.forms)
        return [self.as_seen(workload) for workload in (*self.members, *fitting)]

    def chooses(self, workload: Workload) -> bool:
        """Whether its selector chooses a workload that can be behind it."""
        chosen = self.selector is not None and self.selector.matches(workload.namespace, workload.labels)
        return chosen and workload.form in self.forms

    def as_seen(self, workload: Workload) -> Workload:
        """A workload as callers of this service see it: if the service is external, without identity."""
        return replace(workload, identities=()) if self.external else workload
