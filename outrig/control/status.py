"""Changes what the control plane says of a workload: in the status of its registration and of its entry alike.

In: a registration's key, and how to alter a resource. Out: writes, where something is to change. A workload that is
gone, or is another one by now, is left alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from outrig.dialects.istio.workload_entry import WORKLOAD_ENTRY
from outrig.resources import Key, Resource
from outrig.store.protocol import Conflict, Store, Transaction

Alter = Callable[[Resource], Resource]
Clock = Callable[[], datetime]

_TRIES: Final = 5


@dataclass(frozen=True, slots=True)
class Stored:
    """A workload's two resources after a change; `entry` None: it is not there. `changed`: something was written."""

    registration: Resource
    entry: Resource | None
    changed: bool = False


def utc_now() -> datetime:
    """The time, UTC."""
    return datetime.now(UTC)


def entry_key(namespace: str, name: str) -> Key:
    """The WorkloadEntry of a registration, or of a proxy: all three have the same name."""
    return Key(WORKLOAD_ENTRY.group, WORKLOAD_ENTRY.name, "", namespace, name)


async def change_workload(store: Store, registration: Key, alter: Alter, *, uid: str = "") -> Stored | None:
    """Replace a registration and its entry by what `alter` makes of each, in one transaction; None if it is gone.

    `uid`: of the registration, if it matters. `alter` gives the very same object where nothing is to change: then
    nothing is written. It may be called again, last within the transaction that writes. Raises Conflict after several
    tries, Unavailable.
    """
    keys = registration, entry_key(registration.namespace, registration.name)
    held, entry = await store.get(keys[0]), await store.get(keys[1])
    if held is None or uid not in ("", held.uid):
        return None
    if alter(held) is held and (entry is None or alter(entry) is entry):
        return Stored(held, entry)
    for _ in range(_TRIES - 1):
        try:
            return await _change(store, keys, alter, uid=uid)
        except Conflict:
            continue
    return await _change(store, keys, alter, uid=uid)


async def _change(store: Store, keys: tuple[Key, Key], alter: Alter, *, uid: str) -> Stored | None:
    async with store.transaction() as tx:
        held, entry = await tx.get(keys[0]), await tx.get(keys[1])
        if held is None or uid not in ("", held.uid):
            return None
        held_now = await _put(tx, held, alter)
        entry_now = await _put(tx, entry, alter) if entry else None
        return Stored(held_now, entry_now, changed=held_now is not held or entry_now is not entry)


async def _put(tx: Transaction, stored: Resource, alter: Alter) -> Resource:
    altered = alter(stored)
    return stored if altered is stored else await tx.update(altered)
