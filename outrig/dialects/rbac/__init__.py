"""Kubernetes' access control (rbac.authorization.k8s.io/v1): roles, and who has them. They say nothing to a proxy."""

from typing import Final

from outrig.dialects.kind import Kind
from outrig.dialects.rbac.binding import GROUP
from outrig.dialects.rbac.cluster_role import CLUSTER_ROLE
from outrig.dialects.rbac.cluster_role_binding import CLUSTER_ROLE_BINDING
from outrig.dialects.rbac.role import ROLE
from outrig.dialects.rbac.role_binding import ROLE_BINDING

KINDS: Final[tuple[Kind, ...]] = (ROLE, CLUSTER_ROLE, ROLE_BINDING, CLUSTER_ROLE_BINDING)

__all__ = ["CLUSTER_ROLE", "CLUSTER_ROLE_BINDING", "GROUP", "KINDS", "ROLE", "ROLE_BINDING"]
