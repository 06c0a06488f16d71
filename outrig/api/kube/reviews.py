"""What callers ask about themselves: `kubectl auth can-i` and `kubectl auth whoami`.

In: the caller, the review as sent. Out: the review with its answer. Anybody with a name may ask.
"""

from collections.abc import Mapping
from typing import Any

from outrig.api.callers import Caller, Role
from outrig.api.kube.access import may

PATHS = {
    "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews": "SelfSubjectAccessReview",
    "/apis/authentication.k8s.io/v1/selfsubjectreviews": "SelfSubjectReview",
}


def review(caller: Caller, kind: str, sent: Mapping[str, Any]) -> dict[str, Any]:
    """The answered review of one of the two kinds."""
    if kind == "SelfSubjectReview":
        user = {"username": caller.name, "groups": list(caller.groups)}
        return _answered("authentication.k8s.io/v1", kind, {"userInfo": user}, {})
    spec = _mapping(sent.get("spec"))
    allowed = _is_allowed(caller, _mapping(spec.get("resourceAttributes")), _mapping(spec.get("nonResourceAttributes")))
    return _answered("authorization.k8s.io/v1", kind, {"allowed": allowed}, spec)


def _is_allowed(caller: Caller, resource: Mapping[str, Any], path: Mapping[str, Any]) -> bool:
    if path:
        return caller.role is Role.ADMIN or path.get("verb") == "get"
    return may(caller, str(resource.get("verb", "")))


def _answered(version: str, kind: str, status: Mapping[str, Any], spec: Mapping[str, Any]) -> dict[str, Any]:
    metadata = {"creationTimestamp": None}
    return {"kind": kind, "apiVersion": version, "metadata": metadata, "spec": spec, "status": status}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
