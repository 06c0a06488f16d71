"""Documents as users write and read them, to and from `Resource`.

Out: the JSON document of a resource in one version. What comes in is taken apart by `validation`.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from outrig.api.kube.catalog import NAMESPACE, api_version
from outrig.api.kube.managed import entries
from outrig.dialects.kind import Kind
from outrig.dialects.rbac import GROUP as RBAC
from outrig.resources import Key, Owner, Resource

Document = dict[str, Any]
UNCOUNTED = frozenset({NAMESPACE, ("", "ServiceAccount"), ("", "Event")})
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
        "generateName": resource.generate_name,
        "namespace": resource.key.namespace,
        "uid": resource.uid,
        "resourceVersion": str(resource.revision) if resource.revision else "",
        "generation": 0 if _is_uncounted(resource.key) else resource.generation,
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


def _is_uncounted(key: Key) -> bool:
    """Whether it is of a kind whose objects have no generation in Kubernetes. (Services have one here, to say which
    their status is about.)
    """
    return key.group == RBAC or (key.group, key.kind) in UNCOUNTED


def partial(resource: Resource) -> Document:
    """The resource without its content (meta/v1 PartialObjectMetadata)."""
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata(resource)}


def timestamp(moment: datetime | None) -> str:
    """RFC 3339 in UTC with whole seconds, as Kubernetes writes times; empty for None."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ") if moment else ""


def body_of(written: Mapping[str, Any]) -> Document:
    """The part of a document that belongs to its kind."""
    return {field: value for field, value in written.items() if field not in ENVELOPE}


def _reference(owner: Owner) -> Document:
    written = {"apiVersion": owner.api_version, "kind": owner.key.kind, "name": owner.key.name, "uid": owner.uid}
    said = {"controller": owner.controller, "blockOwnerDeletion": owner.blocks}
    return {**written, **{field: value for field, value in said.items() if value is not None}}
