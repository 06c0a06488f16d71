"""Documents as users write and read them, to and from `Resource`.

Out: the JSON document of a resource in one version. What comes in is taken apart by `validation`.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from outrig.api.kube.catalog import NAMESPACE, api_version, group_of
from outrig.api.kube.managed import entries
from outrig.api.kube.metadata import OwnerReference
from outrig.dialects.kind import Kind
from outrig.resources import Key, Owner, Resource

Document = dict[str, Any]
ENVELOPE = frozenset({"apiVersion", "kind", "metadata", "status"})


def document(resource: Resource, *, kind: Kind, version: str) -> Document:
    """The resource as a user reads it."""
    written = {
        "apiVersion": api_version(kind.group, version),
        "kind": kind.name,
        "metadata": metadata(resource),
        **resource.body,
    }
    if kind.has_status and (status := kind.observed(resource)):
        written["status"] = status
    return written


def metadata(resource: Resource) -> Document:
    """The `metadata` of a resource; empty parts are left out."""
    written = {
        "name": resource.key.name,
        "namespace": resource.key.namespace,
        "uid": resource.uid,
        "resourceVersion": str(resource.revision) if resource.revision else "",
        "generation": resource.generation,
        "creationTimestamp": timestamp(resource.created),
        "deletionTimestamp": timestamp(resource.deleting),
        "labels": dict(resource.labels),
        "annotations": dict(resource.annotations),
        "ownerReferences": [_reference(owner) for owner in resource.owners],
        "finalizers": list(resource.finalizers),
        "managedFields": entries(resource.managers),
    }
    waits = resource.deleting and (resource.key.group, resource.key.kind) != NAMESPACE
    marked = {"deletionGracePeriodSeconds": 0} if waits else {}
    return {field: value for field, value in written.items() if value} | marked


def partial(resource: Resource) -> Document:
    """The resource without its content (meta/v1 PartialObjectMetadata)."""
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata(resource)}


def timestamp(moment: datetime | None) -> str:
    """RFC 3339 in UTC with whole seconds, as Kubernetes writes times; empty for None."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ") if moment else ""


def owner(reference: OwnerReference, namespace: str, is_namespaced: Callable[[str, str], bool]) -> Owner:
    """An owner named in a document of that namespace. An owner is in the same namespace, or in none."""
    group = group_of(reference.api_version)
    where = namespace if is_namespaced(group, reference.kind) else ""
    key = Key(group, reference.kind, "", where, reference.name)
    return Owner(key, reference.uid, reference.api_version, reference.controller, reference.blocks)


def body_of(written: Mapping[str, Any]) -> Document:
    """The part of a document that belongs to its kind."""
    return {field: value for field, value in written.items() if field not in ENVELOPE}


def _reference(owner: Owner) -> Document:
    written = {"apiVersion": owner.api_version, "kind": owner.key.kind, "name": owner.key.name, "uid": owner.uid}
    said = {"controller": owner.controller, "blockOwnerDeletion": owner.blocks}
    return {**written, **{field: True for field, value in said.items() if value}}
