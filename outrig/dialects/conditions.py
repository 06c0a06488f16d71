"""Status conditions: read one, set one. The time is given; setting what is already so changes nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from outrig.resources import Json


@dataclass(frozen=True, slots=True)
class Condition:
    """What is true of a resource now. `reason` is one CamelCase word, `message` is for people."""

    type: str
    status: bool
    reason: str
    message: str = ""


def condition_of(status: Json, type_: str) -> Condition | None:
    """The condition of that type, if the status has it."""
    entry = next((one for one in _entries(status) if one.get("type") == type_), None)
    if entry is None:
        return None
    return Condition(type_, entry.get("status") == "True", str(entry.get("reason", "")), str(entry.get("message", "")))


def with_condition(status: Json, condition: Condition, *, now: datetime) -> Json:
    """The status with that condition set; the very same object if it says so already.

    `lastTransitionTime` is when true became false or the other way round, as in Kubernetes; a new reason keeps it.
    """
    before = condition_of(status, condition.type)
    if before == condition:
        return status
    entries = _entries(status)
    entry = {
        "type": condition.type,
        "status": str(condition.status),
        "reason": condition.reason,
        **({"message": condition.message} if condition.message else {}),
        "lastTransitionTime": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    kept = [one for one in entries if one.get("type") != condition.type]
    since = next((one.get("lastTransitionTime") for one in entries if one.get("type") == condition.type), None)
    if before is not None and before.status == condition.status and since:
        entry["lastTransitionTime"] = since
    return {**status, "conditions": [*kept, entry]}


def _entries(status: Json) -> list[Mapping[str, Any]]:
    conditions = status.get("conditions")
    return [one for one in conditions if isinstance(one, Mapping)] if isinstance(conditions, list) else []
