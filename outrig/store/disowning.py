"""A resource that some of its owners are no longer named in.

In: the resource, the owners that it keeps. Out: the resource; whoever managed the other references does so no longer,
as Kubernetes' managedFields name no field that there is not.
https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from outrig.resources import Manager, Owner, Resource

METADATA, REFERENCES = "f:metadata", "f:ownerReferences"


def with_owners(owned: Resource, kept: tuple[Owner, ...]) -> Resource:
    """The resource with these of its owners alone; itself if they are all."""
    if kept == owned.owners:
        return owned
    gone = {_step(owner) for owner in owned.owners} - {_step(owner) for owner in kept}
    return replace(owned, owners=kept, managers=tuple(_managing(owned.managers, gone, none_left=not kept)))


def _managing(managers: tuple[Manager, ...], gone: set[str], *, none_left: bool) -> Iterator[Manager]:
    """Those who manage anything but the references that are gone, with what that is."""
    for manager in managers:
        fields = json.loads(manager.fields)
        metadata = fields.get(METADATA, {})
        if REFERENCES not in metadata:
            yield manager
            continue
        references = {step: inner for step, inner in metadata[REFERENCES].items() if not none_left and step not in gone}
        if left := _with(fields, METADATA, _with(metadata, REFERENCES, references)):
            yield replace(manager, fields=json.dumps(left, separators=(",", ":"), sort_keys=True))


def _with(fields: dict[str, Any], step: str, inner: dict[str, Any]) -> dict[str, Any]:
    others = {name: value for name, value in fields.items() if name != step}
    return {**others, step: inner} if inner else others


def _step(owner: Owner) -> str:
    """The step of fieldsV1 that leads to the reference."""
    return "k:" + json.dumps({"uid": owner.uid}, separators=(",", ":"))
