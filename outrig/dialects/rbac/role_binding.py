"""RoleBinding: who has a role in its namespace."""

from typing import Final

from outrig.dialects.kind import Kind
from outrig.dialects.rbac.binding import COLUMNS, GROUP, SET_ONCE, VERSIONS, BindingBody, binding_findings, defaulted

ROLE_BINDING: Final = Kind(
    group=GROUP,
    name="RoleBinding",
    plural="rolebindings",
    versions=VERSIONS,
    schema=BindingBody,
    has_status=False,
    strategic_merge=True,
    created_by_update=True,
    set_once=SET_ONCE,
    columns=COLUMNS,
    default=defaulted,
    findings=lambda resource: binding_findings(resource, "Role", "ClusterRole"),
)
