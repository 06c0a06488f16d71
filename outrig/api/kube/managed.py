"""`metadata.managedFields`: who has written which fields of an object, as users read and send it and as it is kept.

In: the entries of a document, or managers as stored. Out: the other form. Entries that are malformed are not believed:
what is stored then stays, as in Kubernetes.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from outrig.api.kube.ownership.claims import APPLY, UPDATE, Claim, Claims, Writer
from outrig.api.kube.ownership.paths import paths_of, tree_of
from outrig.resources import Manager

FIELDS_TYPE: Final = "FieldsV1"
MOST_SENT: Final = 256 * 1024
"""Characters of entries that are believed: they hold JSON within texts, which takes long to read."""


def entries(managers: Sequence[Manager]) -> list[dict[str, Any]]:
    """The entries of a document."""
    return [_entry(manager) for manager in managers]


def read_entries(value: Any) -> tuple[Manager, ...] | None:
    """The managers that a document names; none if it clears them (`[{}]`), None where it does not say."""
    if value == [{}]:
        return ()
    if len(json.dumps(value)) > MOST_SENT:
        return None
    try:
        claims = dict(_read(entry) for entry in value)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError):
        return None
    return managers_of(claims) or None


def claims_of(managers: Sequence[Manager]) -> Claims:
    """The claims that are stored."""
    return {
        _writer(manager): Claim(paths_of(json.loads(manager.fields)), manager.api_version, manager.time)
        for manager in managers
    }


def managers_of(claims: Claims) -> tuple[Manager, ...]:
    """The claims as they are stored, in Kubernetes' order: who applies comes first, older before newer."""
    managers = (_manager(writer, claim) for writer, claim in claims.items())
    return tuple(sorted(managers, key=_rank))


def without_times(managers: Sequence[Manager]) -> set[tuple[str, ...]]:
    """What managers own, whenever they wrote it."""
    return {(each.name, each.operation, each.api_version, each.subresource, each.fields) for each in managers}


def _entry(manager: Manager) -> dict[str, Any]:
    written = {
        "manager": manager.name,
        "operation": manager.operation,
        "apiVersion": manager.api_version,
        "time": manager.time.replace(tzinfo=None).isoformat() + "Z" if manager.time else "",
        "fieldsType": FIELDS_TYPE,
        "fieldsV1": json.loads(manager.fields),
        "subresource": manager.subresource,
    }
    return {field: value for field, value in written.items() if value or field == "fieldsV1"}


def _read(entry: Any) -> tuple[Writer, Claim]:
    """Raises what is not one of ours into `read_entries`."""
    operation, version = entry["operation"], _text(entry, "apiVersion")
    if entry["fieldsType"] != FIELDS_TYPE or operation not in (APPLY, UPDATE):
        raise ValueError(operation)
    named = version if operation == UPDATE else ""
    writer = Writer(operation, _text(entry, "manager"), named, _text(entry, "subresource"))
    return writer, Claim(paths_of(entry.get("fieldsV1") or {}), version, _time(entry.get("time")))


def _text(entry: Any, field: str) -> str:
    text = entry.get(field) or ""
    if not isinstance(text, str):
        raise TypeError(field)
    return text


def _time(text: str | None) -> datetime | None:
    if not text:
        return None
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).replace(microsecond=0)


def _writer(manager: Manager) -> Writer:
    version = manager.api_version if manager.operation == UPDATE else ""
    return Writer(manager.operation, manager.name, version, manager.subresource)


def _manager(writer: Writer, claim: Claim) -> Manager:
    fields = json.dumps(tree_of(claim.fields), sort_keys=True, separators=(",", ":"))
    return Manager(writer.name, writer.operation, claim.version, fields, writer.subresource, claim.time)


def _rank(manager: Manager) -> tuple[Any, ...]:
    seconds = manager.time.timestamp() if manager.time else 0
    return manager.operation, seconds, manager.name, manager.api_version, manager.subresource
