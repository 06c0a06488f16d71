"""What may be asked about access: `kubectl auth can-i`, `auth can-i --list` and `auth whoami`, and the same of others.

In: what all requests pass, the caller, the review as sent. Out: the review with its answer. Anybody who is known may
ask about themselves; about others only who may create `subjectaccessreviews`. Refuses (400, 422) what asks nothing.
https://kubernetes.io/docs/reference/access-authn-authz/authorization/#checking-api-access
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from outrig.api.access.gate import Gate
from outrig.api.access.grants import Granted
from outrig.api.access.rules import Attributes
from outrig.api.callers import Caller
from outrig.api.kube.catalog import Address, api_version
from outrig.api.kube.statuses import Subject, invalid
from outrig.api.refusals import Cause, bad_request

AUTHORIZATION: Final = "authorization.k8s.io"
AUTHENTICATION: Final = "authentication.k8s.io"
GROUPS: Final = (AUTHORIZATION, AUTHENTICATION)

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Asking:
    """Who asks, where and what. `namespace`: of the URL."""

    gate: Gate
    caller: Caller
    namespace: str
    spec: Json


def review(gate: Gate, caller: Caller, address: Address, *, sent: Json) -> dict[str, Any]:
    """The answered review, by whoever may ask it. Raises ApiError."""
    kind, answer = _KINDS[address.plural]
    version = api_version(address.group, address.version)
    if (sent.get("apiVersion") or version, sent.get("kind") or kind) != (version, kind):
        raise bad_request(f'this URL takes apiVersion "{version}", kind "{kind}"')
    spec = _mapping(sent.get("spec"))
    status = answer(Asking(gate, caller, address.namespace, spec))
    answered = {"kind": kind, "apiVersion": version, "metadata": {"creationTimestamp": None}, "status": status}
    return answered if kind == "SelfSubjectReview" else {**answered, "spec": spec}


def is_review(address: Address) -> bool:
    """Whether a path takes reviews."""
    versions = {AUTHORIZATION: ("v1",), AUTHENTICATION: ("v1", "v1beta1")}.get(address.group, ())
    whole = not address.name and address.version in versions and address.plural in _KINDS
    is_local, is_about_self = address.plural == "localsubjectaccessreviews", address.plural == "selfsubjectreviews"
    return whole and bool(address.namespace) is is_local and is_about_self is (address.group == AUTHENTICATION)


def _whoami(asking: Asking) -> Json:
    return {"userInfo": {"username": asking.caller.name, "groups": list(asking.caller.groups)}}


def _self_access(asking: Asking) -> Json:
    return _decided(asking.gate, asking.caller, asking.spec)


def _access(asking: Asking) -> Json:
    spec = asking.spec
    user, groups = spec.get("user") or "", spec.get("groups") or []
    if not isinstance(user, str) or not isinstance(groups, list) or not all(isinstance(one, str) for one in groups):
        raise bad_request("spec.user is a text, spec.groups a list of texts")
    if not user and not groups:
        why = 'at least one of user or group must be specified: Invalid value: ""'
        raise _wrong("SubjectAccessReview", "spec.user", why)
    return _decided(asking.gate, Caller(user, tuple(groups)), spec)


def _local_access(asking: Asking) -> Json:
    if _mapping(asking.spec.get("resourceAttributes")).get("namespace", "") != asking.namespace:
        why = f'Invalid value: must be "{asking.namespace}", the namespace of the request'
        raise _wrong("LocalSubjectAccessReview", "spec.resourceAttributes.namespace", why)
    return _access(asking)


def _rules(asking: Asking) -> Json:
    namespace = asking.spec.get("namespace")
    if not isinstance(namespace, str) or not namespace:
        raise bad_request("no namespace on request")
    held = list(asking.gate.grants.held_by(asking.caller, namespace))
    return {
        "resourceRules": [_resource_rule(granted) for granted in held if granted.rule.resources],
        "nonResourceRules": [_path_rule(granted) for granted in held if granted.rule.paths],
        "incomplete": False,
    }


_KINDS: Final[Mapping[str, tuple[str, Callable[[Asking], Json]]]] = {
    "selfsubjectreviews": ("SelfSubjectReview", _whoami),
    "selfsubjectaccessreviews": ("SelfSubjectAccessReview", _self_access),
    "selfsubjectrulesreviews": ("SelfSubjectRulesReview", _rules),
    "subjectaccessreviews": ("SubjectAccessReview", _access),
    "localsubjectaccessreviews": ("LocalSubjectAccessReview", _local_access),
}


def _decided(gate: Gate, caller: Caller, spec: Json) -> Json:
    resource, path = _mapping(spec.get("resourceAttributes")), _mapping(spec.get("nonResourceAttributes"))
    if bool(resource) is bool(path):
        raise bad_request("exactly one of nonResourceAttributes or resourceAttributes must be specified")
    decision = gate.allows(caller, _attributes_of_path(path) if path else _attributes(resource))
    return {"allowed": decision.allowed, **({"reason": decision.reason} if decision.reason else {})}


def _attributes(written: Json) -> Attributes:
    namespace = _text(written, "namespace")
    name, resource = _text(written, "name"), _text(written, "resource")
    within = namespace or (name if (_text(written, "group"), resource) == ("", "namespaces") else "")
    return Attributes(
        _text(written, "verb"),
        group=_text(written, "group"),
        resource=resource,
        subresource=_text(written, "subresource"),
        namespace=within,
        name=name,
    )


def _attributes_of_path(written: Json) -> Attributes:
    return Attributes(_text(written, "verb"), path=_text(written, "path") or "/")


def _resource_rule(granted: Granted) -> Json:
    rule = granted.rule
    parts = {"verbs": rule.verbs, "apiGroups": rule.groups, "resources": rule.resources, "resourceNames": rule.names}
    return {name: list(texts) for name, texts in parts.items() if texts}


def _path_rule(granted: Granted) -> Json:
    return {"verbs": list(granted.rule.verbs), "nonResourceURLs": list(granted.rule.paths)}


def _wrong(kind: str, field: str, why: str) -> Exception:
    return invalid(Subject(AUTHORIZATION, f"{kind.lower()}s", kind), [Cause(field, why)])


def _mapping(value: Any) -> Json:
    return value if isinstance(value, Mapping) else {}


def _text(written: Json, field: str) -> str:
    value = written.get(field) or ""
    if not isinstance(value, str):
        raise bad_request(f"{field} must be text")
    return value
