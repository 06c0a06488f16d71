"""Create, update and patch: a document becomes a stored resource, or nothing changes.

In: the store, a target, a document or patch, options. Out: `Written`. Raises ApiError, and the store's errors. Each
write is one transaction; a dry run is the same transaction, undone.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from outrig.api.bodies import MAX_OBJECT_VALUES, check_values
from outrig.api.kube.belonging import followed, owner_of
from outrig.api.kube.catalog import Catalog, Target
from outrig.api.kube.documents import ENVELOPE, body_of, document
from outrig.api.kube.finalizers import doubtful
from outrig.api.kube.membership import check_membership
from outrig.api.kube.metadata import Metadata
from outrig.api.kube.options import WriteOptions
from outrig.api.kube.owning import applied, check_config, settled, tracked
from outrig.api.kube.patches import BadPatch, Inapplicable, apply_operations, merge
from outrig.api.kube.shown import refuse_new
from outrig.api.kube.statuses import MODIFIED, Subject, already_exists, conflict, invalid, not_found, terminating
from outrig.api.kube.strategic import strategic_merge
from outrig.api.kube.validation import (
    Draft,
    Strictness,
    UnknownFields,
    check_ours,
    judge,
    judge_beside,
    read_draft,
    with_kept,
)
from outrig.api.refusals import ApiError, Cause, bad_request
from outrig.api.turns import aside
from outrig.api.writing import Written, run
from outrig.dialects.messages import with_messages
from outrig.resources import Key, Resource
from outrig.store.protocol import Query, Store, Transaction

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
OPERATIONS = "application/json-patch+json"
APPLY = "application/apply-patch+yaml"


@dataclass(frozen=True, slots=True)
class Configuration:
    """What the object is to be, and what raises ApiError if its author may not create it."""

    document: Any
    may_create: Callable[[], None]


async def create(
    store: Store, target: Target, sent: dict[str, Any], *, catalog: Catalog, options: WriteOptions
) -> Written:
    """Add the object."""
    draft = await aside(read_draft, sent, target, options.strictness)
    if draft.metadata.revision:
        raise bad_request("resourceVersion should not be set on objects to be created")
    named = target.at(draft.name)
    refuse_new(named.key, named.subject)
    resource, warnings = await aside(_changed, Resource(named.key), draft, named, catalog)
    managed = await aside(tracked, None, resource, sent=sent, target=named, options=options)

    async def work(tx: Transaction) -> Written:
        written = await _store_new(tx, managed, named, warnings)
        return await _ended(tx, written, before=None, options=options)

    return await run(store, work, dry_run=options.dry_run)


async def update(
    store: Store, target: Target, config: Configuration, *, catalog: Catalog, options: WriteOptions
) -> Written:
    """Replace the object, or its status where the target is that; create one that is absent, if its kind lets it."""
    sent = config.document
    if _is_nameless(sent.get("metadata")):
        why = "was undeterminable: name must be provided"
        raise bad_request(f"the name of the object ({target.name} based on URL) {why}")
    if target.kind.created_by_update and not target.subresource and await store.get(target.key) is None:
        _require_creatable(config, target)
        return await create(store, target, _as_new(sent), catalog=catalog, options=options)
    return await _change(store, target, lambda _: sent, catalog=catalog, options=options)


async def patch(
    store: Store, target: Target, change: Callable[[dict[str, Any]], Any], *, catalog: Catalog, options: WriteOptions
) -> Written:
    """Change the object, or its status, as `change` says (see `patcher`)."""
    try:
        return await _change(store, target, change, catalog=catalog, options=options)
    except UnknownFields as error:  # 422, upon which `kubectl edit` opens its editor again
        raise invalid(target.subject, [error.of_patch]) from None


async def apply(
    store: Store, target: Target, config: Configuration, *, catalog: Catalog, options: WriteOptions
) -> Written:
    """Server-side apply: make the object, or its status, say what the configuration says; create it if it is absent."""
    check_config(config.document, target)

    async def work(tx: Transaction) -> Written:
        current = await tx.get(target.key)
        if current is None:
            _require_creatable(config, target)
        result = await aside(applied, current, config.document, target, options=options)
        await aside(check_values, result.document, MAX_OBJECT_VALUES)
        draft = await aside(read_draft, result.document, target, Strictness.STRICT, before=current)
        if current is not None:
            _check_preconditions(draft.metadata, current, target)
        before = Resource(target.key) if current is None else current
        changed, warnings = await aside(_changed, before, draft, target, catalog)
        managed = replace(changed, managers=result.managers)
        if current is None:
            written = await _store_new(tx, managed, target, warnings)
        else:
            written = await _store_change(tx, current, settled(current, managed), target=target, warnings=warnings)
        return await _ended(tx, written, before=current, options=options)

    return await run(store, work, dry_run=options.dry_run)


def patcher(sent: Any, media: str, target: Target) -> Callable[[dict[str, Any]], Any]:
    """What a patch does to a document. Raises ApiError (415) for a media type that the kind does not take."""
    if media == MERGE:
        return _refusing(lambda current: merge(current, sent), target)
    if media == STRATEGIC and target.kind.strategic_merge:
        return _refusing(lambda current: strategic_merge(current, sent), target)
    if media == OPERATIONS:
        return _refusing(lambda current: apply_operations(current, sent), target)
    raise _unsupported(media, target)


def check_patch_type(media: str, target: Target) -> None:
    """Raises ApiError (415) before the body is read."""
    if media not in _taken(target):
        raise _unsupported(media, target)


def _taken(target: Target) -> tuple[str, ...]:
    """The media types of patches that the kind takes."""
    return OPERATIONS, MERGE, *((STRATEGIC,) if target.kind.strategic_merge else ()), APPLY


def _unsupported(media: str, target: Target) -> ApiError:
    taken = ", ".join(_taken(target))
    return ApiError(
        "UnsupportedMediaType", f"{media or 'no Content-Type'}: patches of {target.subject} must be one of {taken}"
    )


def _refusing(change: Callable[[dict[str, Any]], Any], target: Target) -> Callable[[dict[str, Any]], Any]:
    def checked(current: dict[str, Any]) -> Any:
        try:
            changed = change(current)
        except Inapplicable as error:
            raise invalid(target.subject, [Cause(error.place, error.problem)]) from None
        except BadPatch as error:
            raise bad_request(
                f"the patch of {target.subject} {target.name!r} is wrong: {error.place}: {error.problem}"
            ) from None
        if not isinstance(changed, dict):
            raise bad_request("a patch must leave an object")
        if _is_nameless(changed.get("metadata")):
            raise invalid(target.subject, [Cause("metadata.name", 'Invalid value: "": field is immutable')])
        check_values(_without_managers(changed), MAX_OBJECT_VALUES)
        return changed

    return checked


def _is_nameless(metadata: Any) -> bool:
    """Whether a document has no name, or no metadata at all: with that, labels and finalizers would go too."""
    return metadata is None or (isinstance(metadata, Mapping) and not metadata.get("name"))


def _without_managers(changed: Mapping[str, Any]) -> Mapping[str, Any]:
    """What its author answers for: with many managers, who manages which field is said in more than the object."""
    if not isinstance(metadata := changed.get("metadata"), Mapping):
        return changed
    return {**changed, "metadata": {field: value for field, value in metadata.items() if field != "managedFields"}}


async def _change(
    store: Store, target: Target, change: Callable[[dict[str, Any]], Any], *, catalog: Catalog, options: WriteOptions
) -> Written:
    async def work(tx: Transaction) -> Written:
        current = await tx.get(target.key)
        if current is None:
            raise not_found(target.subject)
        there = document(current, kind=target.kind, version=target.version)
        sent = await aside(change, there)
        sent = _for_status(sent, there) if target.subresource == "status" else sent
        draft = await aside(read_draft, sent, target, options.strictness, before=current)
        _check_preconditions(draft.metadata, current, target)
        changed, warnings = await aside(_changed, current, draft, target, catalog)
        managed = await aside(tracked, current, changed, sent=sent, target=target, options=options)
        written = await _store_change(tx, current, managed, target=target, warnings=warnings)
        return await _ended(tx, written, before=current, options=options)

    return await run(store, work, dry_run=options.dry_run)


def _for_status(sent: Mapping[str, Any], there: Mapping[str, Any]) -> dict[str, Any]:
    """What a write of the status is judged as: whatever it says beside that, the rest is what is there."""
    return {**body_of(there), **{field: value for field, value in sent.items() if field in ENVELOPE}}


def _changed(current: Resource, draft: Draft, target: Target, catalog: Catalog) -> tuple[Resource, tuple[str, ...]]:
    """The resource as a draft has it, or only its status; and what its author should hear of it."""
    if target.subresource == "status":
        same = draft.status == target.kind.observed(current)
        changed = current if same else replace(current, status=draft.status)
        check_ours(current, changed, target)
        return changed, draft.warnings
    changed = _filled(current, draft, target, catalog)
    check_ours(current, changed, target)
    grown = changed.body != current.body
    changed, doubts = _judged(changed, target, before=current, generation=max(1, current.generation + grown))
    return changed, (*draft.warnings, *doubts, *doubtful(current.finalizers, changed.finalizers))


async def _store_new(tx: Transaction, resource: Resource, target: Target, warnings: tuple[str, ...]) -> Written:
    await _require_namespace(tx, target)
    await check_membership(tx, None, resource, target.subject)
    if await tx.get(target.key) is not None:
        raise already_exists(target.subject)
    created = await tx.create(resource)
    return Written(created, (*warnings, *await _rivals(tx, created, target)), created=True)


async def _store_change(
    tx: Transaction, current: Resource, changed: Resource, *, target: Target, warnings: tuple[str, ...]
) -> Written:
    if target.subresource == "status":
        return Written(await tx.update(changed), warnings)
    _check_finalizers(current, changed, target)
    await check_membership(tx, current, changed, target.subject)
    updated = await tx.update(changed)
    warnings = (*warnings, *await _rivals(tx, updated, target))
    return Written(updated, warnings)


def _require_creatable(config: Configuration, target: Target) -> None:
    """Raises ApiError unless applying may create the object. A resourceVersion does not hinder, as in Kubernetes."""
    if target.subresource:
        raise not_found(target.subject)
    config.may_create()
    metadata = config.document.get("metadata")
    if isinstance(metadata, dict) and (uid := metadata.get("uid")):
        why = f"uid mismatch: the provided object specified uid {uid}, and no existing object was found"
        raise conflict(target.subject, why)


def _as_new(sent: dict[str, Any]) -> dict[str, Any]:
    """The object without the revision that it was seen at, when there still was one."""
    if not isinstance(metadata := sent.get("metadata"), dict):
        return sent
    return {**sent, "metadata": {field: value for field, value in metadata.items() if field != "resourceVersion"}}


def _judged(
    resource: Resource, target: Target, *, before: Resource, generation: int
) -> tuple[Resource, tuple[str, ...]]:
    """The resource with what is doubtful about it in its status, if its kind has one; and the same as warnings."""
    doubts = judge(resource, target, before=before)
    return (with_messages(resource, doubts, generation=generation) if target.kind.has_status else resource), doubts


async def _rivals(tx: Transaction, resource: Resource, target: Target) -> tuple[str, ...]:
    """What its author should hear of it beside the others of its kind in its namespace."""
    if target.kind.rivals is None:
        return ()
    there = await tx.list(Query(kinds=((target.kind.group, target.kind.name),), namespace=resource.key.namespace))
    return judge_beside(resource, [other for other in there if other.key != resource.key], target.kind.rivals)


def _check_preconditions(sent: Metadata, current: Resource, target: Target) -> None:
    if sent.uid not in ("", current.uid):
        raise conflict(
            target.subject, f"Precondition failed: UID in precondition: {sent.uid}, UID in object meta: {current.uid}"
        )
    if sent.revision not in (0, current.revision):
        raise conflict(target.subject, MODIFIED)


def _check_finalizers(current: Resource, changed: Resource, target: Target) -> None:
    """Raises ApiError (422): what is to go takes no more finalizers. In Kubernetes' words."""
    if current.deleting and (new := sorted(set(changed.finalizers) - set(current.finalizers))):
        listed = ", ".join(json.dumps(finalizer) for finalizer in new)
        why = "no new finalizers can be added if the object is being deleted, found new finalizers"
        problem = f"Forbidden: {why} []string{{{listed}}}"
        raise invalid(target.subject, [Cause("metadata.finalizers", problem, "FieldValueForbidden")])


async def _ended(tx: Transaction, written: Written, *, before: Resource | None, options: WriteOptions) -> Written:
    """What follows from a write. A dry run tells the revision that there is, as in Kubernetes: none of a new object."""
    ended = await followed(tx, written, before=before, now=datetime.now(UTC))
    ended = replace(ended, before=before.revision if before else 0)
    if not options.dry_run:
        return ended
    return replace(ended, resource=replace(ended.resource, revision=before.revision if before else 0))


def _filled(resource: Resource, draft: Draft, target: Target, catalog: Catalog) -> Resource:
    """The resource with everything that its author decides."""
    sent = draft.metadata
    return replace(
        resource,
        body=target.kind.default(with_kept(draft.body, resource, target.kind)),
        labels={**sent.labels, **target.kind.own_labels(resource.key.name)},
        annotations=sent.annotations,
        owners=tuple(owner_of(reference, target, catalog) for reference in sent.owners),
        finalizers=sent.finalizers,
        generate_name=sent.generate_name,
    )


async def _require_namespace(tx: Transaction, target: Target) -> None:
    """Raises ApiError where the namespace is not there (404), or takes nothing new any more (403)."""
    if not target.namespace:
        return
    namespace = await tx.get(Key("", "Namespace", "", "", target.namespace))
    if namespace is None:
        raise not_found(Subject("", "namespaces", "Namespace", target.namespace))
    if namespace.deleting:
        raise terminating(target.subject, target.namespace)
