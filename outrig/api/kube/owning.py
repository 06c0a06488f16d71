"""Who manages the fields of a resource once it was written: by replacing it, by a patch, or by applying to it.

In: what was stored, what is sent, the target, who writes and when. Out: resources with their managers; for an apply,
the document to store first. Raises ApiError: 409 where it contradicts others, 400 where it cannot be applied. Objects
that were stored before anybody was noted get managers with their first apply, as in Kubernetes.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Final

from pydantic import BaseModel

from outrig.api.bodies import check_values
from outrig.api.kube.bodies import without_nulls
from outrig.api.kube.catalog import Target
from outrig.api.kube.described import ObjectMeta
from outrig.api.kube.documents import document
from outrig.api.kube.managed import claims_of, managers_of, read_entries, without_times
from outrig.api.kube.options import WriteOptions
from outrig.api.kube.ownership.claims import APPLY, UPDATE, Claims, Conflicts, Edit, Writer, apply, update
from outrig.api.kube.ownership.paths import FieldSet, spelled
from outrig.api.kube.ownership.shapes import ANY, Form, Shape, shape_of
from outrig.api.kube.ownership.walks import BadListError, check_lists, compare, fields_of
from outrig.api.refusals import ApiError, Cause, bad_request
from outrig.dialects.kind import Kind
from outrig.resources import Manager, Resource

KUBECTL: Final = "kubectl"
BEFORE_FIRST_APPLY: Final = "before-first-apply"
LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
MOST_OWNED: Final = 20_000
"""Fields of one object, counted for each of its managers: every write looks through all of them, and others wait."""
PLACE: Final = frozenset({"name", "namespace", "uid", "resourceVersion"})

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Applied:
    """What an apply leaves behind: the document, yet to be judged, and the managers of its fields."""

    document: Document
    managers: tuple[Manager, ...]


def tracked(
    before: Resource | None, after: Resource, *, sent: Mapping[str, Any], target: Target, options: WriteOptions
) -> Resource:
    """The resource that replaces `before` (None: it is new), with its managers; `before` itself if nothing changes.

    `sent`: the document that came, which may set its own managedFields.
    """
    claims = _believed(before, sent, target)
    if before is not None and not claims:
        return replace(after, managers=())
    edit = _edit(target, options, UPDATE)
    left = update(_read(before, target), _read(after, target), shape(target.kind), claims=claims, edit=edit)
    _check_extent(left, before)
    return settled(before, replace(after, managers=managers_of(left)))


def applied(current: Resource | None, config: Document, target: Target, *, options: WriteOptions) -> Applied:
    """What is there once a configuration is applied. Raises ApiError."""
    live, said, kind = _read(current, target), _said(config, target), shape(target.kind)
    edit = _edit(target, options, APPLY)
    claims = claims_of(current.managers) if current else {}
    if current is not None and not claims:
        claims = _first_claims(live, target, options)
    try:
        check_lists(said, kind)
        merged, left = _apply(live, said, kind, claims=claims, edit=edit, force=options.force)
    except BadListError as error:
        raise bad_request(f"failed to create typed patch object ({_named(target)}): {error}") from None
    except Conflicts as conflicts:
        raise _refusal(conflicts) from None
    _check_extent(left, current)
    return Applied(_with_last_applied(merged, config, edit.writer), managers_of(left))


def check_config(config: Any, target: Target) -> None:
    """Raises ApiError (400), in Kubernetes' words, for what cannot be applied at this URL."""
    if not isinstance(config, dict):
        raise bad_request("error decoding YAML: the configuration must be one object")
    found = tuple(config.get(field) or "" for field in ("apiVersion", "kind"))
    if found != (target.api_version, target.kind.name):
        group, _, version = str(found[0]).rpartition("/")
        raise bad_request(f"invalid object type: {group}/{version}, Kind={found[1]}")
    metadata = config.get("metadata")
    if isinstance(metadata, dict) and metadata.get("managedFields") is not None:
        raise bad_request("metadata.managedFields must be nil")


def settled(before: Resource | None, after: Resource) -> Resource:
    """The resource to store: what is there already, if only the times of its managers would be others."""
    if before is None or replace(after, managers=before.managers) != before:
        return after
    return before if without_times(before.managers) == without_times(after.managers) else after


def shape(kind: Kind) -> Shape:
    """How the fields of objects of a kind are owned."""
    return _shape(kind.schema, kind.status_schema if kind.has_status else None)


@cache
def _shape(body: type[BaseModel], status: type[BaseModel] | None) -> Shape:
    envelope = {"apiVersion": ANY, "kind": ANY, "metadata": _form_shape(ObjectMeta)}
    observed = {"status": _form_shape(status)} if status else {}
    return Shape(Form.MEMBERS, {**envelope, **_form_shape(body).fields, **observed})


def _form_shape(form: type[BaseModel]) -> Shape:
    schema = form.model_json_schema()
    return shape_of(schema, schema.get("$defs", {}))


def _edit(target: Target, options: WriteOptions, operation: str) -> Edit:
    version = target.api_version
    named = version if operation == UPDATE else ""
    writer = Writer(operation, options.manager, named, target.subresource)
    return Edit(writer, version, options.at.replace(microsecond=0))


def _read(resource: Resource | None, target: Target) -> Document:
    """The object as far as this URL writes it. Of one that is not there, what Kubernetes' own types have anyway."""
    if resource is not None:
        found = document(replace(resource, managers=()), kind=target.kind, version=target.version)
        return found if target.subresource else _without_status(found)
    group = target.kind.group
    if "." in group and not group.endswith(".k8s.io"):
        return {}
    fields = target.kind.schema.model_fields.items()
    return {"metadata": {}, **{field.alias or name: {} for name, field in fields if _is_object(field.annotation)}}


def _is_object(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _said(config: Document, target: Target) -> Document:
    """What counts of a configuration; in Kubernetes' own kinds null says nothing."""
    said = _sayable(config, target)
    if not target.kind.strategic_merge:
        return said
    return {
        field: value if field == "metadata" else without_nulls(value)
        for field, value in said.items()
        if value is not None
    }


def _sayable(config: Document, target: Target) -> Document:
    """What of a configuration counts at this URL: the status alone, or everything else."""
    if not target.subresource:
        return _without_status(config) if target.kind.has_status else config
    said = {field: value for field, value in config.items() if field in ("apiVersion", "kind", "metadata", "status")}
    if isinstance(metadata := config.get("metadata"), dict):
        said["metadata"] = {field: value for field, value in metadata.items() if field in PLACE}
    return said


def _without_status(found: Document) -> Document:
    return {field: value for field, value in found.items() if field != "status"}


def _believed(before: Resource | None, sent: Mapping[str, Any], target: Target) -> Claims:
    """The claims that a write begins with: those it says itself, unless it is about a part of the object."""
    stored = before.managers if before else ()
    metadata = sent.get("metadata")
    said = metadata.get("managedFields") if isinstance(metadata, Mapping) and not target.subresource else None
    read = read_entries(said) if said else None
    return claims_of(stored if read is None else read)


def _first_claims(live: Document, target: Target, options: WriteOptions) -> Claims:
    """Of what is there, but for labels that are there anyway: else an object of nothing more would never settle."""
    edit = _edit(target, replace(options, manager=BEFORE_FIRST_APPLY), UPDATE)
    labels = dict(target.kind.own_labels(target.name))
    bare = {**_read(None, target), **({"metadata": {"labels": labels}} if labels else {})}
    return update(bare, live, shape(target.kind), claims={}, edit=edit)


def _apply(
    live: Document, config: Document, kind: Shape, *, claims: Claims, edit: Edit, force: bool
) -> tuple[Document, Claims]:
    """kubectl takes over what it has itself applied from the client's side: that is no conflict."""
    try:
        return apply(live, config, kind, claims=claims, edit=edit, force=force)
    except Conflicts as conflicts:
        if edit.writer.name != KUBECTL:
            raise
        allowed = _last_applied(live, kind)
        if left := [(writer, path) for writer, path in conflicts.found if path not in allowed]:
            raise Conflicts(left) from None
    return apply(live, config, kind, claims=claims, edit=edit, force=True)


def _last_applied(live: Document, kind: Shape) -> FieldSet:
    """What `kubectl apply` wrote from the client's side and is still so."""
    try:
        last = json.loads(live["metadata"].get("annotations", {}).get(LAST_APPLIED, ""))
        check_values(last)
    except (ValueError, RecursionError, ApiError):
        return frozenset()
    if not isinstance(last, dict) or last.get("apiVersion") != live.get("apiVersion"):
        return frozenset()
    change = compare(last, live, kind)
    return fields_of(last, kind) - change.written - change.removed


def _with_last_applied(merged: Document, config: Document, writer: Writer) -> Document:
    """kubectl's own note of what it applied is kept true where there is one, so that both ways of applying agree."""
    metadata = merged.get("metadata") or {}
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    if writer.name != KUBECTL or not isinstance(annotations, dict) or not annotations.get(LAST_APPLIED):
        return merged
    said = json.dumps(_without_note(config), separators=(",", ":"), sort_keys=True, ensure_ascii=False) + "\n"
    return {**merged, "metadata": {**metadata, "annotations": {**annotations, LAST_APPLIED: said}}}


def _without_note(config: Document) -> Document:
    metadata = config.get("metadata") or {}
    annotations = metadata.get("annotations")
    if not isinstance(annotations, dict):
        return config
    kept = {name: text for name, text in annotations.items() if name != LAST_APPLIED}
    return {**config, "metadata": {**metadata, "annotations": kept}}


def _check_extent(left: Claims, before: Resource | None) -> None:
    """Raises ApiError (413) where more is owned than may be; what already was too much may become less."""
    owned = _extent(left)
    if owned > MOST_OWNED and owned > _extent(claims_of(before.managers if before else ())):
        why = f"its managers would own {owned} fields together, and the limit is {MOST_OWNED}"
        raise ApiError("RequestEntityTooLarge", f"the object is too large: {why}; divide it into several objects")


def _extent(claims: Claims) -> int:
    return sum(len(claim.fields) for claim in claims.values())


def _named(target: Target) -> str:
    return f"{target.namespace}/{target.name}; {target.kind.group}/{target.version}, Kind={target.kind.name}"


def _refusal(conflicts: Conflicts) -> ApiError:
    """409 with the words and causes of Kubernetes, by which kubectl shows them."""
    found = [(str(writer), spelled(path)) for writer, path in conflicts.found]
    causes = [Cause(place, f"conflict with {writer}", "FieldManagerConflict") for writer, place in found]
    described = [{"reason": cause.reason, "message": cause.message, "field": cause.field} for cause in causes]
    return ApiError("Conflict", _sentence(found), details={"causes": described})


def _sentence(found: list[tuple[str, str]]) -> str:
    if len(found) == 1:
        writer, place = found[0]
        return f"Apply failed with 1 conflict: conflict with {writer}: {place}"
    lines = []
    for writer in sorted({writer for writer, _ in found}):
        lines += [f"conflicts with {writer}:", *(f"- {place}" for other, place in found if other == writer)]
    return f"Apply failed with {len(found)} conflicts: " + "\n".join(lines)
