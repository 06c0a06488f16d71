"""Resources as JSON documents, and copies of them.

In: a `Resource`. Out: a text holding all of it but its key and its managers, one holding those, and back; what comes
back is equal and shares nothing with what went in. Refuses (`TypeError`, `ValueError`) what JSON cannot hold and times
without a zone: those are mistakes of the program, the API has parsed what users wrote long before.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from outrig.resources import Key, Manager, Owner, Resource


def encode(resource: Resource) -> str:
    """The document of a resource."""
    return _text(_fields(resource))


def encode_managers(resource: Resource) -> str:
    """Who manages its fields; empty for nobody."""
    return _text([_manager_fields(manager) for manager in resource.managers]) if resource.managers else ""


def decode(key: Key, document: str, managers: str = "") -> Resource:
    """The resource of that key whose document this is, with its managers."""
    fields = json.loads(document)
    fields["owners"] = tuple(_owner(*owner) for owner in fields["owners"])
    fields["finalizers"] = tuple(fields["finalizers"])
    fields["created"] = _read_instant(fields["created"])
    fields["deleting"] = _read_instant(fields["deleting"])
    found = tuple(_manager(*manager) for manager in json.loads(managers)) if managers else ()
    return Resource(key=key, managers=found, **fields)


def detached(resource: Resource) -> Resource:
    """An equal resource that shares nothing mutable with this one."""
    return replace(
        resource,
        body=_copy(resource.body),
        status=_copy(resource.status),
        labels=dict(resource.labels),
        annotations=dict(resource.annotations),
    )


def same_json(one: object, other: object) -> bool:
    """Whether two values are the same JSON: 1, 1.0 and true are not, other orders of the same fields are."""
    return json.dumps(one, sort_keys=True, default=_plain) == json.dumps(other, sort_keys=True, default=_plain)


def as_utc(instant: datetime) -> datetime:
    """The same instant in UTC. Raises ValueError for a time without a zone."""
    if instant.tzinfo is None:
        raise ValueError(f"a time without a zone: {instant.isoformat()}")
    return instant.astimezone(UTC)


def _text(value: object) -> str:
    # ASCII keeps every string, lone surrogates included, whatever the encoding of the database.
    return json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"), default=_plain)


def _plain(value: object) -> dict[Any, Any]:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"JSON cannot hold a {type(value).__name__}")


def _fields(resource: Resource) -> dict[str, Any]:
    named = {"generate_name": resource.generate_name} if resource.generate_name else {}
    return {
        "body": resource.body,
        "status": resource.status,
        "labels": dict(resource.labels),
        "annotations": dict(resource.annotations),
        "owners": [_owner_fields(owner) for owner in resource.owners],
        "finalizers": resource.finalizers,
        "uid": resource.uid,
        "generation": resource.generation,
        "revision": resource.revision,
        "created": _write_instant(resource.created),
        "deleting": _write_instant(resource.deleting),
        **named,
    }


def _owner_fields(owner: Owner) -> list[Any]:
    key = owner.key
    name = [key.group, key.kind, key.mesh, key.namespace, key.name]
    written = [name, owner.uid, owner.api_version, owner.controller, owner.blocks]
    return [*written, True] if owner.unknown else written


def _owner(key: list[str], uid: str, api_version: str, controller: bool | None, *more: Any) -> Owner:
    """Before `blocks` was kept, it was what `controller` is."""
    return Owner(Key(*key), uid, api_version, controller, *(more or (controller,)))


def _manager_fields(manager: Manager) -> list[str | None]:
    written = [manager.name, manager.operation, manager.api_version, manager.fields, manager.subresource]
    return [*written, _write_instant(manager.time)]


def _manager(name: str, operation: str, api_version: str, fields: str, *more: str) -> Manager:
    subresource, time = more
    return Manager(name, operation, api_version, fields, subresource, _read_instant(time))


def _write_instant(instant: datetime | None) -> str | None:
    return as_utc(instant).isoformat() if instant else None


def _read_instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _copy(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_copy(part) for part in value]
    return value
