"""A user's document judged: unknown fields, wrong values, and what its kind finds.

In: a document, its target, how strict to be. Out: a `Draft` with warnings, or one ApiError that names every problem.
Unknown fields are a matter of strictness; everything else refuses. Nothing is converted.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from outrig.api.fields import invalid_value
from outrig.api.judging import judged, warning
from outrig.api.kube.bodies import without_nulls
from outrig.api.kube.catalog import Target
from outrig.api.kube.documents import body_of
from outrig.api.kube.metadata import KNOWN, Metadata, name_problems, parse_metadata
from outrig.api.kube.statuses import invalid
from outrig.api.refusals import ApiError, Cause, bad_request
from outrig.dialects.causes import Checked, UnknownField, check_body, in_order, shown, unknown_field
from outrig.dialects.kind import Kind
from outrig.dialects.rbac import GROUP as RBAC
from outrig.errors import Finding
from outrig.resources import Json, Resource

Rivals = Callable[[Resource, Sequence[Resource]], tuple[Finding, ...]]

NAMED_AS_LABEL = frozenset({"Namespace", "Service"})

NAME_BYTES = 253  # of roles and bindings, so that every store can keep it in an index


class Strictness(StrEnum):
    """What to do about unknown fields (the `fieldValidation` parameter; Kubernetes' default is Warn)."""

    STRICT = "Strict"
    WARN = "Warn"
    IGNORE = "Ignore"


class UnknownFields(ApiError):
    """Fields that nobody knows, where they are not to be taken (400). `of_patch`: what a patch is told (422)."""

    def __init__(self, unknown: Iterable[str], target: Target) -> None:
        kind, found = target.kind.name, f"strict decoding error: {', '.join(unknown)}"
        super().__init__("BadRequest", f'{kind} in version "{target.version}" cannot be handled as a {kind}: {found}')
        self.of_patch = Cause("patch", f"Invalid value: {{...}}: {found}")


@dataclass(frozen=True, slots=True)
class Draft:
    """A document taken apart. Its body fits the kind's schema; unknown fields are gone."""

    name: str
    metadata: Metadata
    body: Json
    status: Json
    warnings: tuple[str, ...]


def read_draft(written: Mapping[str, Any], target: Target, strictness: Strictness) -> Draft:
    """Take a document apart. Raises ApiError: 400 for unknown fields under Strict, 422 with every wrong value."""
    _check_type(written, target)
    metadata, unknown_metadata, causes = parse_metadata(written.get("metadata"))
    _check_place(metadata, target)
    name = target.name or metadata.chosen_name()
    body = body_of(written)
    checked = check_body(without_nulls(body) if target.kind.strategic_merge else body, target.kind.schema)
    hinted = tuple(unknown_field(path, KNOWN) for path in unknown_metadata)
    unknown = tuple(map(str, (*hinted, *checked.unknown, *_unknown_status(written, target.kind))))
    if unknown and strictness is Strictness.STRICT:
        raise UnknownFields(unknown, target)
    if problems := (*_name_problems(name, target.kind), *causes, *checked.wrong, *_status_problems(written)):
        told = {one.field for one in problems}
        further = (one for one in _found(checked, target.at(name), metadata.labels) if one.field not in told)
        raise invalid(target.at(name).subject, in_order((*problems, *further), written))
    warnings = unknown if strictness is Strictness.WARN else ()
    return Draft(name, metadata, checked.body, dict(written.get("status") or {}), warnings)


def _found(checked: Checked, target: Target, labels: Mapping[str, str]) -> Iterable[Cause]:
    """What the kind finds wrong with what is left of a body without what does not fit its schema."""
    if checked.sound is None:
        return ()
    resource = Resource(target.key, body=target.kind.default(checked.sound), labels=labels)
    return judged(list(checked.own(target.kind.findings(resource))))[0]


def _check_place(metadata: Metadata, target: Target) -> None:
    """Raises ApiError (400) where the document says that it is elsewhere than the URL does."""
    if metadata.namespace not in ("", target.namespace):
        raise bad_request(
            "the namespace of the provided object does not match the namespace sent on the request: "
            f'"{metadata.namespace}" is not "{target.namespace}"'
        )
    if target.name and metadata.name not in ("", target.name):
        raise bad_request(
            f'the name of the object ("{metadata.name}") does not match the name on the URL ("{target.name}")'
        )


def judge(resource: Resource, target: Target) -> tuple[str, ...]:
    """The warnings of the kind about a resource that fits its schema. Raises ApiError (422) with all its errors."""
    errors, warnings = judged(target.kind.findings(resource))
    if errors:
        raise invalid(target.at(resource.key.name).subject, errors)
    return warnings


def check_set_once(before: Resource, now: Resource, target: Target) -> None:
    """Raises ApiError (422), in Kubernetes' words, where a field became another value that never may."""
    values = [(field, before.spec.get(field), now.spec.get(field)) for field in target.kind.set_once]
    changed = [(field, new) for field, old, new in values if old and new and old != new]
    if changed:
        causes = [invalid_value(f"spec.{field}", new, "may not change once set") for field, new in changed]
        raise invalid(target.at(now.key.name).subject, causes)


def judge_beside(resource: Resource, others: Sequence[Resource], rivals: Rivals) -> tuple[str, ...]:
    """The warnings about a resource beside the others of its kind."""
    return tuple(map(warning, rivals(resource, others)))


def _check_type(written: Mapping[str, Any], target: Target) -> None:
    """Kubernetes takes its own kinds without these fields too, as its Python client sends them."""
    wanted = (target.api_version, target.kind.name)
    given = (written.get("apiVersion"), written.get("kind"))
    if target.kind.strategic_merge:
        given = (given[0] or wanted[0], given[1] or wanted[1])
    if given != wanted:
        found = f"apiVersion {shown(given[0])}, kind {shown(given[1])}"
        raise bad_request(
            f'this URL takes apiVersion "{target.api_version}", kind "{target.kind.name}"; the object has {found}'
        )


def _name_problems(name: str, kind: Kind) -> Iterable[Cause]:
    """Roles and bindings may have any name that a path can have (ValidatePathSegmentName of k8s.io/apimachinery)."""
    if kind.group != RBAC or not name:
        return name_problems(name, as_label=kind.group == "" and kind.name in NAMED_AS_LABEL)
    if name in (".", ".."):
        return (invalid_value("metadata.name", name, f"may not be '{name}'"),)
    if len(name.encode()) > NAME_BYTES:
        return (Cause("metadata.name", f"Too long: may not be more than {NAME_BYTES} bytes", "FieldValueTooLong"),)
    return [invalid_value("metadata.name", name, f"may not contain '{sign}'") for sign in "/%" if sign in name]


def _unknown_status(written: Mapping[str, Any], kind: Kind) -> tuple[UnknownField, ...]:
    return (unknown_field("status", ()),) if "status" in written and not kind.has_status else ()


def _status_problems(written: Mapping[str, Any]) -> Iterable[Cause]:
    if not isinstance(status := written.get("status") or {}, dict):
        yield Cause("status", f"Invalid value: {shown(status)}: must be an object")
