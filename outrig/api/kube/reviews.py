"""What may be asked about access: `kubectl auth can-i`, `auth can-i --list` and `auth whoami`, and the same of others.

In: what all requests pass, the caller, the review as sent. Out: the review with its answer. Anybody who is known may
ask about themselves; about others only who may create `subjectaccessreviews`. Refuses (400, 422) what asks nothing, or
cannot be read.
https://kubernetes.io/docs/reference/access-authn-authz/authorization/#checking-api-access
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from outrig.api.access.gate import Gate
from outrig.api.access.grants import Granted
from outrig.api.access.rules import Attributes
from outrig.api.callers import Caller
from outrig.api.kube.bodies import without_nulls
from outrig.api.kube.catalog import Address, Target, api_version
from outrig.api.kube.review_kinds import AUTHENTICATION, AUTHORIZATION, REVIEWS
from outrig.api.kube.statuses import Subject, invalid
from outrig.api.kube.validation import Strictness, UnknownFields
from outrig.api.refusals import Cause, bad_request
from outrig.api.turns import aside
from outrig.dialects.causes import check_body

Json = Mapping[str, Any]
_ENVELOPE: Final = frozenset({"apiVersion", "kind", "metadata"})


@dataclass(frozen=True, slots=True)
class Answered:
    """A review with its answer, and what whoever asked should hear."""

    document: dict[str, Any]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Asking:
    """Who asks, where and what. `namespace`: of the URL."""

    gate: Gate
    caller: Caller
    namespace: str
    spec: Json


async def review(gate: Gate, caller: Caller, address: Address, *, sent: Json, strictness: Strictness) -> Answered:
    """The answered review, by whoever may ask it. Raises ApiError."""
    kind = next(kind for kind in REVIEWS if kind.plural == address.plural)
    version = api_version(address.group, address.version)
    if (sent.get("apiVersion") or version, sent.get("kind") or kind.name) != (version, kind.name):
        raise bad_request(f'this URL takes apiVersion "{version}", kind "{kind.name}"')
    said = without_nulls({part: sent[part] for part in sent if part not in _ENVELOPE})
    checked = await aside(check_body, said, kind.schema)
    unknown = tuple(map(str, checked.unknown))
    if unknown and strictness is Strictness.STRICT:
        raise UnknownFields(unknown, Target(kind, address.version))
    if checked.wrong:
        raise bad_request(f"{kind.name}: {'; '.join(map(str, checked.wrong))}")
    spec = _mapping(checked.body.get("spec"))
    status = _ANSWERS[kind.plural](Asking(gate, caller, address.namespace, spec))
    answered = {"kind": kind.name, "apiVersion": version, "metadata": {}, "status": status}
    asked = {"spec": spec} if "spec" in kind.schema.model_fields else {}
    return Answered({**answered, **asked}, unknown if strictness is Strictness.WARN else ())


def is_review(address: Address) -> bool:
    """Whether a path takes reviews."""
    versions = {AUTHORIZATION: ("v1",), AUTHENTICATION: ("v1", "v1beta1")}.get(address.group, ())
    whole = not address.name and address.version in versions and address.plural in _ANSWERS
    is_local, is_about_self = address.plural == "localsubjectaccessreviews", address.plural == "selfsubjectreviews"
    return whole and bool(address.namespace) is is_local and is_about_self is (address.group == AUTHENTICATION)


def _whoami(asking: Asking) -> Json:
    caller = asking.caller
    extra = {key: list(values) for key, values in caller.extra.items()}
    said = {"username": caller.name, "uid": caller.uid, "groups": list(caller.groups), "extra": extra}
    return {"userInfo": {part: value for part, value in said.items() if value}}


def _self_access(asking: Asking) -> Json:
    return _decided(asking.gate, asking.caller, asking.spec)


def _access(asking: Asking) -> Json:
    spec = asking.spec
    user, groups = spec.get("user") or "", spec.get("groups") or []
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
    if not namespace:
        raise bad_request("no namespace on request")
    held = list(asking.gate.grants.held_by(asking.caller, namespace))
    return {
        "resourceRules": [_resource_rule(granted) for granted in held if granted.rule.resources],
        "nonResourceRules": [_path_rule(granted) for granted in held if granted.rule.paths],
        "incomplete": False,
    }


_ANSWERS: Final[Mapping[str, Callable[[Asking], Json]]] = {
    "selfsubjectreviews": _whoami,
    "selfsubjectaccessreviews": _self_access,
    "selfsubjectrulesreviews": _rules,
    "subjectaccessreviews": _access,
    "localsubjectaccessreviews": _local_access,
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
    """Who may GET a page may HEAD it: no rule has to say so."""
    verb = _text(written, "verb")
    return Attributes("get" if verb == "head" else verb, path=_text(written, "path") or "/")


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
    return str(written.get(field) or "")
