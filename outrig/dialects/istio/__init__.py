"""Istio's kinds: who may become a workload, what its proxy listens on, what it demands of callers, who may call."""

from typing import Final

from outrig.dialects.istio.authorization_policy import AUTHORIZATION_POLICY
from outrig.dialects.istio.peer_authentication import PEER_AUTHENTICATION
from outrig.dialects.istio.service_entry import SERVICE_ENTRY
from outrig.dialects.istio.sidecar import SIDECAR
from outrig.dialects.istio.workload_entry import WORKLOAD_ENTRY
from outrig.dialects.istio.workload_group import WORKLOAD_GROUP
from outrig.dialects.kind import Kind

KINDS: Final[tuple[Kind, ...]] = (
    WORKLOAD_GROUP,
    WORKLOAD_ENTRY,
    SERVICE_ENTRY,
    SIDECAR,
    PEER_AUTHENTICATION,
    AUTHORIZATION_POLICY,
)

__all__ = [
    "AUTHORIZATION_POLICY",
    "KINDS",
    "PEER_AUTHENTICATION",
    "SERVICE_ENTRY",
    "SIDECAR",
    "WORKLOAD_ENTRY",
    "WORKLOAD_GROUP",
]
