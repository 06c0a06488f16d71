"""ClusterRoleBinding: who has a ClusterRole everywhere."""

from typing import Final

from outrig.dialects.rbac.binding import binding

CLUSTER_ROLE_BINDING: Final = binding("ClusterRoleBinding", "ClusterRole", namespaced=False)
