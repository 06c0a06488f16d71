"""The mesh as the core sees it: frozen, neutral data. No Istio word, no Kuma word, no I/O.

Dialects turn each resource into *facts* (`Fact`); `compile` gathers facts into a `Mesh`. A fact carries its
`origin`, so that every finding and dump can name the user's resource.
"""

from outrig.model.facts import Fact, Group, Namespace, Trust
from outrig.model.labels import Labels, Selector, labels_of
from outrig.model.mesh import Mesh, Surroundings
from outrig.model.policy import Policy
from outrig.model.protocol import Protocol
from outrig.model.proxy import Address, Egress, Import, Ingress, OutboundPolicy, Pipe, ProxyShape, Target
from outrig.model.service import Service, ServicePort
from outrig.model.tls import PeerTls, TlsMode
from outrig.model.workload import Health, Workload, WorkloadId

__all__ = [
    "Address",
    "Egress",
    "Fact",
    "Group",
    "Health",
    "Import",
    "Ingress",
    "Labels",
    "Mesh",
    "Namespace",
    "OutboundPolicy",
    "PeerTls",
    "Pipe",
    "Policy",
    "Protocol",
    "ProxyShape",
    "Selector",
    "Service",
    "ServicePort",
    "Surroundings",
    "Target",
    "TlsMode",
    "Trust",
    "Workload",
    "WorkloadId",
    "labels_of",
]
