"""Kubernetes' own kinds, as far as a mesh without Kubernetes needs them; and AUTHORITY, which nobody is served."""

from typing import Final

from outrig.dialects.core.authority import AUTHORITY
from outrig.dialects.core.event import EVENT
from outrig.dialects.core.namespace import NAMESPACE
from outrig.dialects.core.service import SERVICE
from outrig.dialects.core.service_account import SERVICE_ACCOUNT
from outrig.dialects.kind import Kind

KINDS: Final[tuple[Kind, ...]] = (NAMESPACE, SERVICE_ACCOUNT, SERVICE, EVENT)

__all__ = ["AUTHORITY", "EVENT", "KINDS", "NAMESPACE", "SERVICE", "SERVICE_ACCOUNT"]
