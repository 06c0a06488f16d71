"""The mesh as the core sees it: frozen, neutral data. No Istio word, no Kuma word, no I/O.

Dialects turn each resource into *facts* (`Fact`); `compile` gathers facts into a `Mesh`. A fact carries its
`origin`, so that every finding and dump can name the user's resource.
"""

from outrig.model.access import Access, Action, Regime, Rule
from outrig.model.facts import Fact, Group, Namespace, Offer, Trust
from outrig.model.labels import Labels, Selector, labels_of
from outrig.model.mesh import Mesh, Surroundings
from outrig.model.policy import Policy
from outrig.model.pool import UNBOUNDED, ConnectionPool, Keepalive
from outrig.model.protocol import Protocol
from outrig.model.proxy import (
    AGENT_PORT,
    SOCKET,
    Address,
    Egress,
    Import,
    Ingress,
    OutboundPolicy,
    OwnPort,
    Pipe,
    ProxyShape,
    Sole,
    Target,
)
from outrig.model.service import Resolution, Service, ServicePort
from outrig.model.tls import PeerTls, TlsMode
from outrig.model.workload import AddressForm, Health, Workload, WorkloadId

__all__ = [
    "AGENT_PORT",
    "SOCKET",
    "UNBOUNDED",
    "Access",
    "Action",
    "Address",
    "AddressForm",
    "ConnectionPool",
    "Egress",
    "Fact",
    "Group",
    "Health",
    "Import",
    "Ingress",
    "Keepalive",
    "Labels",
    "Mesh",
    "Namespace",
    "Offer",
    "OutboundPolicy",
    "OwnPort",
    "PeerTls",
    "Pipe",
    "Policy",
    "Protocol",
    "ProxyShape",
    "Regime",
    "Resolution",
    "Rule",
    "Selector",
    "Service",
    "ServicePort",
    "Sole",
    "Surroundings",
    "Target",
    "TlsMode",
    "Trust",
    "Workload",
    "WorkloadId",
    "labels_of",
]
