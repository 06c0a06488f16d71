"""Status conditions: read one, set one. The time is given; setting what is already so changes nothing.

They tell of live workloads, not of what somebody wrote, so they carry no `observedGeneration`: it would have to be
rewritten at each edit of a spec, and until then `kubectl wait` would take every condition for outdated.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from outrig.resources import Json

READY: Final = "Ready"
PROGRAMMED: Final = "Programmed"
AGENT_CONNECTED: Final = "AgentConnected"
PARTIALLY_INVALID: Final = "PartiallyInvalid"
"""Whether some of what users wrote could not be made into configuration; there only once that was so."""
_TEXTS: Final = {True: "True", False: "False", None: "Unknown"}
_STATES: Final = {text: state for state, text in _TEXTS.items()}


@dataclass(frozen=True, slots=True)
class Condition:
    """What is so of a resource now. `status` None: unknown. `reason` is one CamelCase word, `message` is for people."""

    type: str
    status: bool | None
    reason: str
    message: str = ""

    @property
    def text(self) -> str:
        """The status as people write it: True, False, Unknown."""
        return _TEXTS[self.status]


def condition_of(status: Json, type_: str) -> Condition | None:
    """The condition of that type, if the status has it."""
    entry = next((one for one in _entries(status) if one.get("type") == type_), None)
    if entry is None:
        return None
    state = _STATES.get(str(entry.get("status")))
    return Condition(type_, state, str(entry.get("reason", "")), str(entry.get("message", "")))


def with_condition(status: Json, condition: Condition, *, now: datetime) -> Json:
    """The status with that condition set; the very same object if it says so already.

    `lastTransitionTime` is when the condition's status became another, as in Kubernetes; a new reason keeps it.
    """
    before = condition_of(status, condition.type)
    if before == condition:
        return status
    entries = _entries(status)
    entry = {
        "type": condition.type,
        "status": condition.text,
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
