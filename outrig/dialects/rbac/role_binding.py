"""RoleBinding: who has a role in its namespace."""

from typing import Final

from outrig.dialects.rbac.binding import binding

ROLE_BINDING: Final = binding("RoleBinding", "Role", "ClusterRole", namespaced=True)
