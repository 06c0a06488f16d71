"""Owners of objects: as documents name them, and what follows once an object was given some.

In: the references of a document, or a write within its transaction. Out: `Owner`s; the write with what became of the
object, and what its author should hear of it. Of an owner whose kind is not served, or that is only shown, nobody knows
whether it exists, nor of one in a namespace for an object in none: it is taken to exist, as in Kubernetes.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from outrig.api.kube.catalog import Catalog, Target, group_of
from outrig.api.kube.metadata import OwnerReference
from outrig.api.kube.shown import is_shown
from outrig.api.writing import Written
from outrig.dialects.core.event import event_key, seen_again, warning_event
from outrig.resources import Key, Owner, Resource
from outrig.store.cascade import go_on
from outrig.store.protocol import Query, Transaction

FIELD = "metadata.ownerReferences"
OWNERLESS = f"{FIELD}: none of these owners exists or is to stay, so the object is deleted at once"
INVALID_NAMESPACE = "OwnerRefInvalidNamespace"
WITHOUT_NAMESPACE = "default"
"""The namespace of Events about what is in none."""


def owner_of(reference: OwnerReference, target: Target, catalog: Catalog) -> Owner:
    """An owner named in a document. It is in the same namespace as the object, or in none."""
    group = group_of(reference.api_version)
    kind = catalog.kind_of(group, reference.kind)
    namespaced = kind is None or kind.namespaced
    key = Key(group, reference.kind, "", target.namespace if namespaced else "", reference.name)
    unknown = kind is None or is_shown(key) or (namespaced and not target.namespace)
    return Owner(key, reference.uid, reference.api_version, reference.controller, reference.blocks, unknown)


async def followed(tx: Transaction, written: Written, *, before: Resource | None, now: datetime) -> Written:
    """What becomes of an object, and of others, after it was written. `before`: what was there; None: it is new."""
    changed, given = written.resource, frozenset(before.owners if before else ())
    new = [] if before and before.deleting else [owner for owner in changed.owners if owner not in given]
    await _tell_elsewhere(tx, changed, new, now=now)
    left = await go_on(tx, changed, before=before, now=now)
    if not new:
        return replace(written, resource=left)
    goes = bool(left.deleting) or await tx.get(left.key) is None
    told = (OWNERLESS,) if goes else tuple(_told(new, left.owners))
    return replace(written, resource=left, warnings=(*written.warnings, *told))


def _told(new: list[Owner], kept: tuple[Owner, ...]) -> Iterator[str]:
    left = frozenset(kept)
    for owner in new:
        named = f"{FIELD}: {owner.key.kind}/{owner.key.name}"
        if owner not in left:
            yield f"{named} does not exist or is not to stay, and is left out"
        elif owner.unknown:
            yield f"{named} is out of reach here, so the object does not go when it goes"


async def _tell_elsewhere(tx: Transaction, owned: Resource, new: list[Owner], *, now: datetime) -> None:
    """An Event, in Kubernetes' words, for each owner that is in another namespace than it would have to be.

    Source: reportInvalidNamespaceOwnerRef of k8s.io/kubernetes pkg/controller/garbagecollector.
    """
    for owner in await _elsewhere(tx, new):
        here = owned.key.namespace
        named = f"{owner.api_version}/{owner.key.kind}, namespace: {here}, name: {owner.key.name}, uid: {owner.uid}"
        message = f'ownerRef [{named}] does not exist in namespace "{here}"'
        body = warning_event(owned.key, uid=owned.uid, reason=INVALID_NAMESPACE, message=message, now=now)
        key = replace(event_key(owned.key, INVALID_NAMESPACE, owner.uid), namespace=here or WITHOUT_NAMESPACE)
        before = await tx.get(key)
        await (tx.update(seen_again(before, body)) if before else tx.create(Resource(key, body=body)))


async def _elsewhere(tx: Transaction, owners: list[Owner]) -> list[Owner]:
    """Those of whose kind and uid there is one, but not where it was looked for."""
    elsewhere: list[Owner] = []
    alike: dict[tuple[str, str], frozenset[str]] = {}
    for owner in owners:
        kind, found = (owner.key.group, owner.key.kind), await tx.get(owner.key)
        if found is not None and found.uid == owner.uid:
            continue
        if kind not in alike:
            alike[kind] = frozenset(one.uid for one in await tx.list(Query(kinds=(kind,))))
        if owner.uid in alike[kind]:
            elsewhere.append(owner)
    return elsewhere
