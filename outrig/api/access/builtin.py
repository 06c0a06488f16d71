"""The roles and bindings that every control plane has. They are part of the program: shown, and never changed.

`view` reads, `edit` writes too, `admin` gives and takes roles in its namespace besides; `cluster-admin` may do
everything. Secrets of Kuma, certificates of users and what is not of a kind are for `cluster-admin` alone, but for the
pages about the meshes, which `view` reads. They grow with the kinds that are served.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from outrig.api.callers import ADMINS, AUTHENTICATED, MASTERS, MESH_ADMINS, SIGNED_IN, UNKNOWN, VIEWERS
from outrig.dialects import core, istio, kuma, onboarding, rbac
from outrig.resources import Key, Resource

LABEL: Final = "kubernetes.io/bootstrapping"
CLUSTER_ADMIN: Final = "cluster-admin"
_READ: Final = ("get", "list", "watch")
_WRITE: Final = ("create", "delete", "deletecollection", "patch", "update")
_SECRET: Final = ("secrets", "global-secrets")
_PAGES: Final = ("/config", "/global-insight", "/mesh-insights", "/mesh-insights/*", "/outrig/v1/why")
_PUBLIC: Final = (
    "/", "/_resources", "/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/openapi", "/openapi/*",
    "/policies", "/readyz", "/version", "/version/", "/who-am-i",
)  # fmt: skip

Rules = list[dict[str, Any]]


def _plurals() -> dict[str, list[str]]:
    """The resources of the mesh by group, those that Kuma's API knows and refuses included."""
    found: dict[str, list[str]] = {}
    for kind in (*core.KINDS, *istio.KINDS, *onboarding.KINDS, *kuma.KINDS):
        names = [kind.plural, *([f"{kind.plural}/status"] if kind.has_status else [])]
        found.setdefault(kind.group, []).extend(names)
    found["kuma.io"].extend(kind.plural for kind in kuma.REFUSED)
    return {group: sorted({name for name in names if name not in _SECRET}) for group, names in found.items()}


def _rules(verbs: Iterable[str], *, on: Mapping[str, Iterable[str]]) -> Rules:
    return [{"verbs": list(verbs), "apiGroups": [group], "resources": list(names)} for group, names in on.items()]


def _view() -> Rules:
    return [*_rules(_READ, on=_plurals()), {"verbs": ["get"], "nonResourceURLs": list(_PAGES)}]


def _edit() -> Rules:
    return [*_view(), *_rules(_WRITE, on=_plurals())]


def _admin() -> Rules:
    giving = {rbac.GROUP: [rbac.ROLE_BINDING.plural, rbac.ROLE.plural]}
    return [*_edit(), *_rules((*_READ, *_WRITE), on=giving)]


def _everything() -> Rules:
    return [
        {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]},
        {"verbs": ["*"], "nonResourceURLs": ["*"]},
    ]


def _asking() -> Rules:
    reviews = {
        "authorization.k8s.io": ["selfsubjectaccessreviews", "selfsubjectrulesreviews"],
        "authentication.k8s.io": ["selfsubjectreviews"],
    }
    return _rules(["create"], on=reviews)


_ROLES: Final = MappingProxyType(
    {
        CLUSTER_ADMIN: _everything(),
        "admin": _admin(),
        "edit": _edit(),
        "view": _view(),
        "system:basic-user": _asking(),
        "system:discovery": [{"verbs": ["get", "head"], "nonResourceURLs": list(_PUBLIC)}],
    }
)
_GROUPS: Final = MappingProxyType(
    {
        CLUSTER_ADMIN: (MASTERS, ADMINS, MESH_ADMINS),
        "view": (VIEWERS, AUTHENTICATED),
        "system:basic-user": (SIGNED_IN,),
        "system:discovery": (SIGNED_IN, UNKNOWN),
    }
)


def _made(kind: str, name: str, body: dict[str, Any]) -> Resource:
    key = Key(rbac.GROUP, kind, "", "", name)
    uid = str(uuid5(NAMESPACE_URL, f"outrig:{kind}/{name}"))
    return Resource(key, body=body, labels={LABEL: "rbac-defaults"}, uid=uid, generation=1, revision=1)


def _binding(name: str, groups: Iterable[str]) -> Resource:
    subjects = [{"kind": "Group", "apiGroup": rbac.GROUP, "name": group} for group in groups]
    role = {"apiGroup": rbac.GROUP, "kind": rbac.CLUSTER_ROLE.name, "name": name}
    return _made(rbac.CLUSTER_ROLE_BINDING.name, name, {"subjects": subjects, "roleRef": role})


def _all() -> Iterable[Resource]:
    yield from (_made(rbac.CLUSTER_ROLE.name, name, {"rules": rules}) for name, rules in _ROLES.items())
    yield from (_binding(name, groups) for name, groups in _GROUPS.items())


BUILT_IN: Final[Mapping[Key, Resource]] = MappingProxyType({resource.key: resource for resource in _all()})
