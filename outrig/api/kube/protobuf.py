"""Kubernetes' protobuf bodies, which `kubectl create namespace` and a few others send from 1.35 on, as JSON documents.

In: bytes of application/vnd.kubernetes.protobuf. Out: the document they mean, empty fields left out. Refuses (400)
what is malformed, and (415) types and fields that are not in the tables below. The field numbers are those of
k8s.io/api `generated.proto`; the envelope: https://kubernetes.io/docs/reference/using-api/api-concepts/#protobuf-encoding
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from outrig.api.refusals import ApiError, bad_request

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
MAGIC = b"k8s\x00"
MAX_MESSAGE_DEPTH = 16

Wire = int | bytes


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a message: its JSON name and how its value is written. `parts` are the fields of a message."""

    name: str
    form: Literal["text", "integer", "boolean", "message", "text map", "port", "time", "json"] = "text"
    parts: Mapping[int, "Field"] = field(default_factory=dict)
    repeated: bool = False


Message = Mapping[int, Field]


def _texts(*names: str) -> dict[int, Field]:
    return {number: Field(name) for number, name in enumerate(names, 1)}


OWNER_REFERENCE: Message = {
    1: Field("kind"), 3: Field("name"), 4: Field("uid"), 5: Field("apiVersion"), 6: Field("controller", "boolean"),
    7: Field("blockOwnerDeletion", "boolean"),
}  # fmt: skip
MANAGED: Message = {
    1: Field("manager"), 2: Field("operation"), 3: Field("apiVersion"), 4: Field("time", "time"),
    6: Field("fieldsType"), 7: Field("fieldsV1", "json"), 8: Field("subresource"),
}  # fmt: skip
METADATA: Message = _texts("name", "generateName", "namespace", "selfLink", "uid", "resourceVersion") | {
    7: Field("generation", "integer"),
    8: Field("creationTimestamp", "time"),
    9: Field("deletionTimestamp", "time"),
    10: Field("deletionGracePeriodSeconds", "integer"),
    11: Field("labels", "text map"),
    12: Field("annotations", "text map"),
    13: Field("ownerReferences", "message", OWNER_REFERENCE, repeated=True),
    14: Field("finalizers", repeated=True),
    17: Field("managedFields", "message", MANAGED, repeated=True),
}
OBJECT_REFERENCE: Message = _texts("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
SERVICE_PORT: Message = _texts("name", "protocol") | {
    3: Field("port", "integer"), 4: Field("targetPort", "port"), 5: Field("nodePort", "integer"),
    6: Field("appProtocol"),
}  # fmt: skip
SERVICE_SPEC: Message = {
    1: Field("ports", "message", SERVICE_PORT, repeated=True), 2: Field("selector", "text map"), 3: Field("clusterIP"),
    4: Field("type"), 5: Field("externalIPs", repeated=True), 7: Field("sessionAffinity"), 8: Field("loadBalancerIP"),
    9: Field("loadBalancerSourceRanges", repeated=True), 10: Field("externalName"), 11: Field("externalTrafficPolicy"),
    12: Field("healthCheckNodePort", "integer"), 13: Field("publishNotReadyAddresses", "boolean"),
    17: Field("ipFamilyPolicy"), 18: Field("clusterIPs", repeated=True), 19: Field("ipFamilies", repeated=True),
    20: Field("allocateLoadBalancerNodePorts", "boolean"), 21: Field("loadBalancerClass"),
    22: Field("internalTrafficPolicy"),
}  # fmt: skip
RESOURCE_ATTRIBUTES: Message = _texts("namespace", "verb", "group", "version", "resource", "subresource", "name")
ACCESS_SPEC: Message = {
    1: Field("resourceAttributes", "message", RESOURCE_ATTRIBUTES),
    2: Field("nonResourceAttributes", "message", _texts("path", "verb")),
}
SUBJECT_ACCESS_SPEC: Message = {
    **ACCESS_SPEC,
    3: Field("user"), 4: Field("groups", repeated=True), 6: Field("uid"),
}  # fmt: skip
RULE: Message = {
    number: Field(name, repeated=True)
    for number, name in enumerate(("verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs"), 1)
}
OBJECT = Field("metadata", "message", METADATA)
ROLE: Message = {1: OBJECT, 2: Field("rules", "message", RULE, repeated=True)}
SELECTOR: Message = {
    1: Field("matchLabels", "text map"),
    2: Field("matchExpressions", "message", {**_texts("key", "operator"), 3: Field("values", repeated=True)}, True),
}
CLUSTER_ROLE: Message = {
    **ROLE,
    3: Field("aggregationRule", "message", {1: Field("clusterRoleSelectors", "message", SELECTOR, repeated=True)}),
}
BINDING: Message = {
    1: OBJECT,
    2: Field("subjects", "message", _texts("kind", "apiGroup", "name", "namespace"), repeated=True),
    3: Field("roleRef", "message", _texts("apiGroup", "kind", "name")),
}
DELETE_OPTIONS: Message = {
    1: Field("gracePeriodSeconds", "integer"), 2: Field("preconditions", "message", _texts("uid", "resourceVersion")),
    3: Field("orphanDependents", "boolean"), 4: Field("propagationPolicy"), 5: Field("dryRun", repeated=True),
    6: Field("ignoreStoreReadErrorWithClusterBreakingPotential", "boolean"),
}  # fmt: skip

MESSAGES: Mapping[tuple[str, str], Message] = {
    ("v1", "Namespace"): {1: OBJECT, 2: Field("spec", "message", {1: Field("finalizers", repeated=True)})},
    ("v1", "Service"): {1: OBJECT, 2: Field("spec", "message", SERVICE_SPEC)},
    ("v1", "ServiceAccount"): {
        1: OBJECT,
        2: Field("secrets", "message", OBJECT_REFERENCE, repeated=True),
        3: Field("imagePullSecrets", "message", _texts("name"), repeated=True),
        4: Field("automountServiceAccountToken", "boolean"),
    },
    ("authorization.k8s.io/v1", "SelfSubjectAccessReview"): {1: OBJECT, 2: Field("spec", "message", ACCESS_SPEC)},
    ("authorization.k8s.io/v1", "SelfSubjectRulesReview"): {
        1: OBJECT,
        2: Field("spec", "message", _texts("namespace")),
    },
    ("authorization.k8s.io/v1", "SubjectAccessReview"): {1: OBJECT, 2: Field("spec", "message", SUBJECT_ACCESS_SPEC)},
    ("authorization.k8s.io/v1", "LocalSubjectAccessReview"): {
        1: OBJECT,
        2: Field("spec", "message", SUBJECT_ACCESS_SPEC),
    },
    ("authentication.k8s.io/v1", "SelfSubjectReview"): {1: OBJECT},
    ("authentication.k8s.io/v1beta1", "SelfSubjectReview"): {1: OBJECT},
    ("rbac.authorization.k8s.io/v1", "Role"): ROLE,
    ("rbac.authorization.k8s.io/v1", "ClusterRole"): CLUSTER_ROLE,
    ("rbac.authorization.k8s.io/v1", "RoleBinding"): BINDING,
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"): BINDING,
}


def from_protobuf(body: bytes) -> dict[str, Any]:
    """The document in a body. Raises ApiError."""
    if not body.startswith(MAGIC):
        raise bad_request("the body does not begin as Kubernetes' protobuf does")
    envelope = dict(_fields(body[len(MAGIC) :]))
    names = dict(_fields(_bytes(envelope.get(1, b""))))
    api_version, kind = _text(names.get(1, b"")), _text(names.get(2, b""))
    # Clients call these options a kind of whichever group they delete from.
    message = DELETE_OPTIONS if kind == "DeleteOptions" else MESSAGES.get((api_version, kind))
    if message is None:
        raise ApiError("UnsupportedMediaType", f"{kind} in {api_version} is read as application/json only")
    return {"apiVersion": api_version, "kind": kind, **_message(_bytes(envelope.get(2, b"")), message, 0)}


def _message(body: bytes, parts: Message, depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for number, wire in _fields(body):
        part = parts.get(number)
        if part is None:
            _require_empty(wire, depth + 1)
            continue
        value = _value(wire, part, depth + 1)
        if value in ("", 0, {}) and not part.repeated:  # within a list the empty text means itself: the core group
            continue
        if part.form == "text map":
            found.setdefault(part.name, {}).update(value)
        elif part.repeated:
            found.setdefault(part.name, []).append(value)
        else:
            found[part.name] = value
    return found


def _require_empty(wire: Wire, depth: int) -> None:
    """Fields that are not in the tables may only be empty: nothing that was said is dropped silently."""
    if (isinstance(wire, int) and wire) or depth > MAX_MESSAGE_DEPTH:
        raise ApiError("UnsupportedMediaType", "the body has fields that are read as application/json only")
    for _, inner in _fields(wire) if isinstance(wire, bytes) else ():
        _require_empty(inner, depth + 1)


def _value(wire: Wire, part: Field, depth: int) -> Any:
    if depth > MAX_MESSAGE_DEPTH:
        raise bad_request("the body is nested too deeply")
    match part.form:
        case "text":
            return _text(wire)
        case "integer":
            number = _integer(wire)
            return number - 2**64 if number >= 2**63 else number
        case "boolean":
            return bool(_integer(wire))
        case "text map":
            entry = dict(_fields(_bytes(wire)))
            return {_text(entry.get(1, b"")): _text(entry.get(2, b""))}
        case "port":
            choice = dict(_fields(_bytes(wire)))
            return _text(choice.get(3, b"")) if choice.get(1) else _integer(choice.get(2, 0))
        case "time":
            return _time(dict(_fields(_bytes(wire))))
        case "json":
            return _json(_bytes(dict(_fields(_bytes(wire))).get(1, b"{}")))
    return _message(_bytes(wire), part.parts, depth)


def _fields(body: bytes) -> Iterator[tuple[int, Wire]]:
    """The fields of a message: numbers and raw values. Only the wire types that Kubernetes uses are read."""
    position = 0
    while position < len(body):
        tag, position = _varint(body, position)
        value, position = _varint(body, position)
        if tag & 7 == 0:
            yield tag >> 3, value
        elif tag & 7 == 2 and position + value <= len(body):
            yield tag >> 3, body[position : position + value]
            position += value
        else:
            raise _malformed()


def _varint(body: bytes, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(body):
            raise _malformed()
        byte = body[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise _malformed()


def _bytes(wire: Wire) -> bytes:
    if isinstance(wire, int):
        raise _malformed()
    return wire


def _integer(wire: Wire) -> int:
    if isinstance(wire, bytes):
        raise _malformed()
    return wire


def _time(parts: Mapping[int, Wire]) -> str:
    """RFC 3339 from seconds (1); what is below a second is not kept. Empty for none."""
    try:
        moment = datetime.fromtimestamp(_integer(parts.get(1, 0)), UTC)
    except (ValueError, OverflowError, OSError):
        raise _malformed() from None
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ") if parts.get(1) else ""


def _json(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise _malformed() from None


def _text(wire: Wire) -> str:
    try:
        return _bytes(wire).decode()
    except UnicodeDecodeError:
        raise _malformed() from None


def _malformed() -> ApiError:
    return bad_request("the body is not valid protobuf")
