"""The roles and bindings that every control plane has. They are part of the program: shown, and never changed.

`view` reads, `edit` writes too, `admin` gives and takes roles in its namespace besides: they gather what is labelled
for them, as in Kubernetes, so roles that somebody makes can add to them. As there, `edit` and `admin` have no right to
the namespace itself, and say of nothing what was observed of it. `cluster-admin` may do everything. Secrets of Kuma,
certificates of users and what is not of a kind are for `cluster-admin` alone, but for the pages about the meshes, which
`view` reads. They grow with the kinds that are served.
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
AGGREGATE_TO: Final = "rbac.authorization.k8s.io/aggregate-to-"
_AGGREGATE: Final = "system:aggregate-to-"
_READ: Final = ("get", "list", "watch")
_WRITE: Final = ("create", "delete", "deletecollection", "patch", "update")
_SECRET: Final = ("secrets", "global-secrets")
_PAGES: Final = ("/config", "/global-insight", "/mesh-insights", "/mesh-insights/*", "/outrig/v1/why")
_PUBLIC: Final = (
    "/", "/_resources", "/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/openapi", "/openapi/*",
    "/policies", "/readyz", "/version", "/version/", "/who-am-i",
)  # fmt: skip

Rules = list[dict[str, Any]]


def _shown() -> dict[str, list[str]]:
    """The resources of the mesh by group, those that Kuma's API knows and refuses included."""
    found: dict[str, list[str]] = {}
    for kind in (*core.KINDS, *istio.KINDS, *onboarding.KINDS, *kuma.KINDS):
        names = [kind.plural, *([f"{kind.plural}/status"] if kind.has_status else [])]
        found.setdefault(kind.group, []).extend(names)
    found["kuma.io"].extend(kind.plural for kind in kuma.REFUSED)
    return {group: sorted({name for name in names if name not in _SECRET}) for group, names in found.items()}


def _written() -> dict[str, list[str]]:
    """Those that belong to who works in a namespace: neither the namespace, which fences him in, nor any status."""
    fence = (core.NAMESPACE.group, core.NAMESPACE.plural)
    return {
        group: [name for name in names if "/" not in name and (group, name) != fence]
        for group, names in _shown().items()
    }


def _rules(verbs: Iterable[str], *, on: Mapping[str, Iterable[str]]) -> Rules:
    return [{"verbs": list(verbs), "apiGroups": [group], "resources": list(names)} for group, names in on.items()]


def _view() -> Rules:
    return [*_rules(_READ, on=_shown()), {"verbs": ["get"], "nonResourceURLs": list(_PAGES)}]


def _edit() -> Rules:
    return _rules(_WRITE, on=_written())


def _admin() -> Rules:
    giving = _rules((*_READ, *_WRITE), on={rbac.GROUP: [rbac.ROLE_BINDING.plural, rbac.ROLE.plural]})
    return [*giving, *_rules(["create"], on={"authorization.k8s.io": ["localsubjectaccessreviews"]})]


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
        f"{_AGGREGATE}admin": _admin(),
        f"{_AGGREGATE}edit": _edit(),
        f"{_AGGREGATE}view": _view(),
        "system:basic-user": _asking(),
        "system:discovery": [{"verbs": ["get"], "nonResourceURLs": list(_PUBLIC)}],
    }
)
_GATHERING: Final = ("admin", "edit", "view")
"""Each gathers what is labelled for it; `admin` has so all of `edit`, and `edit` all of `view`."""

_GROUPS: Final = MappingProxyType(
    {
        CLUSTER_ADMIN: (MASTERS, ADMINS, MESH_ADMINS),
        "view": (VIEWERS, AUTHENTICATED),
        "system:basic-user": (SIGNED_IN,),
        "system:discovery": (SIGNED_IN, UNKNOWN),
    }
)


def _made(kind: str, name: str, body: dict[str, Any], *, gathered_by: str = "") -> Resource:
    key = Key(rbac.GROUP, kind, "", "", name)
    uid = str(uuid5(NAMESPACE_URL, f"outrig:{kind}/{name}"))
    labels = {LABEL: "rbac-defaults", **({AGGREGATE_TO + gathered_by: "true"} if gathered_by else {})}
    return Resource(key, body=body, labels=labels, uid=uid, generation=1, revision=1)


def _role(name: str, rules: Rules) -> Resource:
    gathered_by = name.removeprefix(_AGGREGATE) if name.startswith(_AGGREGATE) else ""
    return _made(rbac.CLUSTER_ROLE.name, name, {"rules": rules}, gathered_by=gathered_by)


def _gathering(name: str, *, gathered_by: str) -> Resource:
    selector = {"matchLabels": {AGGREGATE_TO + name: "true"}}
    body = {"aggregationRule": {"clusterRoleSelectors": [selector]}}
    return _made(rbac.CLUSTER_ROLE.name, name, body, gathered_by=gathered_by)


def _binding(name: str, groups: Iterable[str]) -> Resource:
    subjects = [{"kind": "Group", "apiGroup": rbac.GROUP, "name": group} for group in groups]
    role = {"apiGroup": rbac.GROUP, "kind": rbac.CLUSTER_ROLE.name, "name": name}
    return _made(rbac.CLUSTER_ROLE_BINDING.name, name, {"subjects": subjects, "roleRef": role})


def _all() -> Iterable[Resource]:
    yield from (_role(name, rules) for name, rules in _ROLES.items())
    for above, name in zip(("", *_GATHERING), _GATHERING, strict=False):
        yield _gathering(name, gathered_by=above)
    yield from (_binding(name, groups) for name, groups in _GROUPS.items())


BUILT_IN: Final[Mapping[Key, Resource]] = MappingProxyType({resource.key: resource for resource in _all()})
