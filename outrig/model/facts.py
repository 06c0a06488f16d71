"""What resources say, one by one: the input of `compile`."""

from dataclasses import dataclass

from outrig.model.access import Access
from outrig.model.labels import Labels
from outrig.model.policy import Policy
from outrig.model.proxy import ProxyShape
from outrig.model.service import Service
from outrig.model.tls import PeerTls
from outrig.model.workload import Workload
from outrig.resources import Key


@dataclass(frozen=True, slots=True)
class Namespace:
    """A namespace belongs to exactly one mesh."""

    origin: Key
    name: str
    mesh: str


@dataclass(frozen=True, slots=True)
class Trust:
    """The trust domain of a mesh, and the certificates (PEM) of the authorities its members accept."""

    origin: Key
    mesh: str
    domain: str
    authorities: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """Workloads yet to come: what labels they will at least have, and which identities.

    Callers decide from groups, not from the workloads present, whom they accept as a peer, so that a workload that
    joins changes no cluster. `identities` are SPIFFE URIs.
    """

    origin: Key
    namespace: str
    labels: Labels
    identities: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Offer:
    """A workload's part of a service that exists as long as somebody offers it.

    `service` is as this one offers it, with its own ports. Those of one `origin` and `host` are one service. `kept`:
    it was offered once, and counts as long as nobody else offers that service.
    """

    origin: Key
    service: Service
    kept: bool = False


Fact = Namespace | Trust | Service | Offer | Group | Workload | Policy[ProxyShape] | Policy[PeerTls] | Policy[Access]
