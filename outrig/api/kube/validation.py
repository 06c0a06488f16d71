"""A user's document judged: unknown fields, wrong values, and what its kind finds.

In: a document, its target, how strict to be. Out: a `Draft` with warnings, or one ApiError that names every problem.
Unknown fields are a matter of strictness; everything else refuses. Nothing is converted.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from outrig.api.bodies import duplicate
from outrig.api.fields import invalid_value
from outrig.api.judging import judged, warning
from outrig.api.kube.bodies import without_nulls
from outrig.api.kube.catalog import Target
from outrig.api.kube.documents import body_of
from outrig.api.kube.metadata import KNOWN, Metadata, name_problems, parse_metadata
from outrig.api.kube.patches import merge
from outrig.api.kube.statuses import forbidden, invalid
from outrig.api.refusals import ApiError, Cause, bad_request
from outrig.dialects.causes import Checked, check_body, in_order, shown, steps_of, unknown_field
from outrig.dialects.kind import Kind
from outrig.dialects.rbac import GROUP as RBAC
from outrig.errors import Finding
from outrig.resources import Json, Resource

Rivals = Callable[[Resource, Sequence[Resource]], tuple[Finding, ...]]

NAMED_AS_LABEL = frozenset({"Namespace", "Service"})

WRONG_TYPE = "FieldValueInvalid"

NAME_BYTES = 253  # of roles and bindings, so that every store can keep it in an index


class Strictness(StrEnum):
    """What to do about unknown fields (the `fieldValidation` parameter; Kubernetes' default is Warn)."""

    STRICT = "Strict"
    WARN = "Warn"
    IGNORE = "Ignore"


class UnknownFields(ApiError):
    """Fields that nobody knows, or that are said twice, where such are not to be taken (400). `of_patch`: what a patch
    is told (422).
    """

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


def read_draft(
    written: Mapping[str, Any], target: Target, strictness: Strictness, *, before: Resource | None = None
) -> Draft:
    """Take a document apart. Raises ApiError: 400 for unknown fields under Strict, 422 with every wrong value.

    `before`: what it is to replace.
    """
    _check_type(written, target)
    metadata, unknown_metadata, causes = parse_metadata(written.get("metadata"), standard=target.kind.strategic_merge)
    _check_place(metadata, target)
    name = target.name or metadata.chosen_name()
    body = body_of(written)
    checked = check_body(without_nulls(body) if target.kind.strategic_merge else body, target.kind.schema)
    hinted = tuple(unknown_field(path, KNOWN) for path in unknown_metadata)
    status = _checked_status(written.get("status"), target)
    unknown = tuple(map(str, (*hinted, *checked.unknown, *status.unknown)))
    if unknown and strictness is Strictness.STRICT:
        raise UnknownFields(unknown, target)
    unseen = _unseen(before, metadata, target.kind) if not causes else ()
    named = (*_prefix_problems(metadata.generate_name, target.kind), *_name_problems(name, target.kind))
    if problems := (*named, *causes, *unseen, *checked.wrong, *status.wrong):
        told = {one.field for one in problems}
        found = _found(checked, target.at(name), labels=metadata.labels, before=before)
        further = (one for one in found if one.field not in told)
        raise invalid(target.at(name).subject, in_order((*problems, *further), written))
    warnings = unknown if strictness is Strictness.WARN else ()
    return Draft(name, metadata, checked.body, status.body, warnings)


def repetitions(repeated: Iterable[str], target: Target, strictness: Strictness) -> tuple[str, ...]:
    """The warnings about fields that a body says twice. Raises UnknownFields under Strict."""
    told = tuple(map(duplicate, repeated))
    if told and strictness is Strictness.STRICT:
        raise UnknownFields(told, target)
    return told if strictness is Strictness.WARN else ()


def _found(
    checked: Checked, target: Target, *, labels: Mapping[str, str], before: Resource | None
) -> tuple[Cause, ...]:
    """What the kind finds wrong with what is left of a body without what does not fit its schema."""
    if checked.sound is None:
        return ()
    resource = Resource(target.key, body=target.kind.default(checked.sound), labels=labels)
    once = _changed_for_good(before or Resource(target.key), resource, target.kind)
    untold = (one for one in once if not any(_is_within(wrong.field, one.field) for wrong in checked.wrong))
    return (*judged(list(checked.own(target.kind.findings(resource))))[0], *untold)


def _is_within(path: str, part: str) -> bool:
    steps = steps_of(part)
    return steps_of(path)[: len(steps)] == steps


def _unseen(before: Resource | None, sent: Metadata, kind: Kind) -> Iterator[Cause]:
    """Kubernetes replaces its own kinds for whoever has not seen them, and no other kinds.

    Source: AllowUnconditionalUpdate of k8s.io/apiserver registry/rest, and its number as ValidateObjectMeta writes it.
    """
    if before and not sent.revision and not kind.strategic_merge:
        yield Cause("metadata.resourceVersion", "Invalid value: 0x0: must be specified for an update")


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


def judge(resource: Resource, target: Target, *, before: Resource) -> tuple[str, ...]:
    """The warnings of the kind about a resource that fits its schema. Raises ApiError (422) with all its errors."""
    found, warnings = judged(target.kind.findings(resource))
    if errors := (*found, *_changed_for_good(before, resource, target.kind)):
        raise invalid(target.at(resource.key.name).subject, errors)
    return warnings


def _changed_for_good(before: Resource, now: Resource, kind: Kind) -> Iterator[Cause]:
    """Where a field became another value that never may, in Kubernetes' words."""
    for field in kind.set_once:
        old, new = field.of(before.body), field.of(now.body)
        if old and new and old != new:
            said = json.dumps(new, separators=(",", ":"), ensure_ascii=False)
            yield Cause(field.path, f"Invalid value: {said}: {field.problem}")


def check_ours(before: Resource, now: Resource, target: Target) -> None:
    """Raises ApiError (403) where a user changes what the control plane says of an object that it made."""
    if not target.kind.ours(before):
        return
    if (before.body, before.status, before.owners) != (now.body, now.status, now.owners):
        why = "its spec, status and owners are Outrig's alone; labels and annotations can be changed, and it be deleted"
        raise forbidden(target.subject, why)


def with_kept(body: Json, before: Resource, kind: Kind) -> Json:
    """The body with the fields that are set once as they were, where it leaves them out: Kubernetes fills them in."""
    for field in kind.set_once:
        if not field.of(body) and (old := field.of(before.body)):
            body = merge(body, field.within(old))
    return body


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


def _prefix_problems(prefix: str, kind: Kind) -> Iterable[Cause]:
    """What a name is to begin with must be a name itself, but for a dash at its end, as in Kubernetes."""
    found = _name_problems(f"{prefix[:-1]}a" if prefix.endswith("-") else prefix, kind) if prefix else ()
    return [replace(one, field="metadata.generateName") for one in found]


def _name_problems(name: str, kind: Kind) -> Iterable[Cause]:
    """Roles and bindings may have any name that a path can have (ValidatePathSegmentName of k8s.io/apimachinery)."""
    if kind.group != RBAC or not name:
        return name_problems(name, as_label=kind.group == "" and kind.name in NAMED_AS_LABEL)
    if name in (".", ".."):
        return (invalid_value("metadata.name", name, f"may not be '{name}'"),)
    if len(name.encode()) > NAME_BYTES:
        return (Cause("metadata.name", f"Too long: may not be more than {NAME_BYTES} bytes", "FieldValueTooLong"),)
    return [invalid_value("metadata.name", name, f"may not contain '{sign}'") for sign in "/%" if sign in name]


def _checked_status(status: Any, target: Target) -> Checked:
    """The status without what is unknown in it, of Kubernetes' own kinds. Of the others more is kept than is known, and
    what is known must have its type alone, and that only where it is written: elsewhere it is dropped.
    """
    kind = target.kind
    if not isinstance(status := status or {}, dict):
        return Checked({}, wrong=(Cause("status", f"Invalid value: {shown(status)}: must be an object"),))
    if not kind.has_status:
        return Checked({}, (unknown_field("status", ()),) if status else ())
    if not (kind.strategic_merge or target.subresource):
        return Checked(status)
    checked = check_body(without_nulls(status), kind.status_schema)
    unknown = tuple(replace(one, path=f"status.{one.path}") for one in checked.unknown)
    wrong = tuple(replace(cause, field=f"status.{cause.field}") for cause in checked.wrong)
    if kind.strategic_merge:
        return Checked(checked.body, unknown, wrong)
    return Checked(status, wrong=tuple(cause for cause in wrong if cause.reason == WRONG_TYPE))
