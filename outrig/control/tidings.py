"""Events about workloads, for people: `kubectl describe` shows them, nothing reads them back.

In: a transaction that changes what is stored of a workload, and the workload before and after. Out: Events in the same
transaction, only where its standing became another. The same again counts one up, so a workload has a few of them
however long it lives, and its group has two.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Final

from outrig.control.proxies import entry_key, is_dataplane
from outrig.dialects.conditions import AGENT_CONNECTED, READY, condition_of
from outrig.dialects.core.event import event_key, normal_event, seen_again, warning_event
from outrig.dialects.readiness import ReadyReason
from outrig.resources import Json, Key, Resource
from outrig.store.protocol import Transaction

JOINED: Final = "Joined"
LEFT: Final = "Left"
_TOLD: Final[dict[str, tuple[Callable[..., Json], str]]] = {
    ReadyReason.READY: (normal_event, "callers are sent to it"),
    ReadyReason.DRAINING: (normal_event, "it is leaving: callers go elsewhere"),
    ReadyReason.UNHEALTHY: (warning_event, "it is not healthy: callers go elsewhere"),
    ReadyReason.DISCONNECTED: (warning_event, "its agent is away: callers go elsewhere"),
}


def shown_key(key: Key) -> Key:
    """Events have a namespace. For a Dataplane it is the one that shows Dataplanes as WorkloadEntries."""
    return entry_key(f"kuma-{key.mesh}", key.name) if is_dataplane(key) else key


async def tell_change(tx: Transaction, before: Resource, after: Resource, *, now: datetime) -> None:
    """Tell what became of a registration or an entry: joined, ready, or no longer ready and why."""
    if condition_of(after.status, AGENT_CONNECTED) and not condition_of(before.status, AGENT_CONNECTED):
        await _tell_group(tx, after, JOINED, f"{after.key.name} has joined", now=now)
    was, condition = condition_of(before.status, READY), condition_of(after.status, READY)
    if condition is None or condition.reason not in _TOLD or (was and was.reason == condition.reason):
        return
    if (about := _entry_of(after)) is None:
        return
    make, said = _TOLD[condition.reason]
    message = f"{said} ({condition.message})" if condition.message else said
    await tell(tx, event_key(about, condition.reason), make(
        about, uid=after.uid, reason=condition.reason, message=message, now=now
    ))  # fmt: skip


async def tell_left(tx: Transaction, registration: Resource, *, well: bool, now: datetime) -> None:
    """Tell that a registration was removed. `well`: its agent said goodbye, or its task has stopped."""
    name = registration.key.name
    message = f"{name} has left" if well else f"{name} was removed: its agent did not come back"
    await _tell_group(tx, registration, LEFT, message, now=now)


async def tell(tx: Transaction, key: Key, body: Json) -> None:
    """Write an Event, or count up the one that is there."""
    before = await tx.get(key)
    await (tx.create(Resource(key, body=body)) if before is None else tx.update(seen_again(before, body)))


async def _tell_group(tx: Transaction, registration: Resource, reason: str, message: str, *, now: datetime) -> None:
    """About the group of a registration; a Dataplane has none, and is told of itself. An entry says nothing more."""
    if is_dataplane(registration.key):
        about, uid = shown_key(registration.key), registration.uid
    elif registration.key.kind == "WorkloadAutoRegistration" and registration.owners:
        about, uid = registration.owners[0].key, registration.owners[0].uid
    else:
        return
    await tell(tx, event_key(about, reason), normal_event(about, uid=uid, reason=reason, message=message, now=now))


def _entry_of(resource: Resource) -> Key | None:
    """The entry that an Event is about; None for a registration, whose entry says the same."""
    return None if resource.key.kind == "WorkloadAutoRegistration" else shown_key(resource.key)
