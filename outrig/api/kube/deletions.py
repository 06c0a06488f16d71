"""Delete: an object with what it owns, or a whole collection.

In: the store, a target, options. Out: the last state of what went. Raises ApiError, and the store's errors. What the
object owns goes in the same transaction, unless it is to be orphaned; what has finalizers is only marked.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from outrig.api.kube.catalog import NAMESPACE, Target
from outrig.api.kube.options import DeleteOptions, Propagation
from outrig.api.kube.statuses import conflict, forbidden, not_found
from outrig.api.refusals import ApiError
from outrig.api.writing import Written, run
from outrig.resources import Resource
from outrig.store.cascade import BACKGROUND, FOREGROUND, ORPHAN, take_away
from outrig.store.protocol import Store, Transaction

PROTECTED_NAMESPACE = "default"
POLICIES: Final = {
    Propagation.ORPHAN: ORPHAN,
    Propagation.BACKGROUND: BACKGROUND,
    Propagation.FOREGROUND: FOREGROUND,
    None: None,
}


@dataclass(frozen=True, slots=True)
class Deletion:
    """How to delete: the caller's options and the time to mark objects with."""

    options: DeleteOptions
    now: Callable[[], datetime]


async def delete_one(store: Store, target: Target, deletion: Deletion) -> Resource:
    """Delete an object. What comes back has `deleting` set if finalizers still hold it."""

    async def work(tx: Transaction) -> Written:
        current = await tx.get(target.key)
        if current is None:
            raise not_found(target.subject)
        last = await _delete(tx, current, target, deletion)
        told = replace(last, revision=current.revision) if deletion.options.dry_run else last
        return Written(told, before=current.revision)

    return (await run(store, work, dry_run=deletion.options.dry_run)).resource


async def delete_many(
    store: Store, target: Target, selected: Sequence[Resource], deletion: Deletion
) -> Sequence[Resource]:
    """Delete those of a collection that were selected, each in a transaction of its own. Returns those that went.

    Those that are gone by then, or are not stored, are left out. One that may not be deleted keeps all the others too.
    """
    for resource in selected:
        _check(resource, target.at(resource.key.name), deletion.options)
    gone: list[Resource] = []
    for resource in selected:
        here = replace(target, namespace=resource.key.namespace, name=resource.key.name)
        try:
            gone.append(await delete_one(store, here, deletion))
        except ApiError as error:
            if error.reason != "NotFound":
                raise
    return gone


async def _delete(tx: Transaction, current: Resource, target: Target, deletion: Deletion) -> Resource:
    _check(current, target, deletion.options)
    return await take_away(tx, current, now=deletion.now(), policy=POLICIES[deletion.options.propagation])


def _check(current: Resource, target: Target, options: DeleteOptions) -> None:
    if (current.key.group, current.key.kind) == NAMESPACE and current.key.name == PROTECTED_NAMESPACE:
        raise forbidden(target.subject, "this namespace may not be deleted")
    if options.uid not in ("", current.uid):
        raise conflict(
            target.subject,
            f"Precondition failed: UID in precondition: {options.uid}, UID in object meta: {current.uid}",
        )
    if options.revision not in (0, current.revision):
        why = f"ResourceVersion in precondition: {options.revision}, ResourceVersion in object meta: {current.revision}"
        raise conflict(target.subject, f"Precondition failed: {why}")
