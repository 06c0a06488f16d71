"""Changes what the control plane says of a workload: in the status of its registration and of its entry alike.

In: a registration's key, and how to alter a resource. Out: writes, where something is to change. A workload that is
gone, or is another one by now, is left alone. A Dataplane is both, and is written once.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol

from outrig.control.proxies import entry_of
from outrig.control.tidings import tell_change
from outrig.resources import Key, Resource
from outrig.store.protocol import Conflict, Store, Transaction

Alter = Callable[[Resource], Resource]
Judge = Callable[[Resource], bool]
Clock = Callable[[], datetime]

_TRIES: Final = 5


@dataclass(frozen=True, slots=True)
class Stored:
    """A workload's two resources after a change; `entry` None: it is not there. `changed`: something was written."""

    registration: Resource
    entry: Resource | None
    changed: bool = False


class _Reader(Protocol):
    async def get(self, key: Key) -> Resource | None: ...


def utc_now() -> datetime:
    """The time, UTC."""
    return datetime.now(UTC)


async def change_workload(
    store: Store, registration: Key, alter: Alter, *, uid: str = "", only: Judge = lambda _registration: True
) -> Stored | None:
    """Replace a registration and its entry by what `alter` makes of each, in one transaction; None if it is gone.

    `uid`: of the registration, if it matters. `only`: whether to change anything, judged by the registration as it is
    stored. `alter` gives the very same object where nothing is to change: then nothing is written. Both may be called
    again, last within the transaction that writes. Raises Conflict after several tries, Unavailable.
    """
    found = await _read(store, registration, uid=uid)
    if found is None or not only(found.registration) or not _alters(found, alter):
        return found
    for _ in range(_TRIES - 1):
        try:
            return await _change(store, registration, alter, uid=uid, only=only)
        except Conflict:
            continue
    return await _change(store, registration, alter, uid=uid, only=only)


async def _read(source: _Reader, registration: Key, *, uid: str) -> Stored | None:
    held = await source.get(registration)
    if held is None or uid not in ("", held.uid):
        return None
    entry = entry_of(registration)
    return Stored(held, held if entry == registration else await source.get(entry))


def _alters(found: Stored, alter: Alter) -> bool:
    entry = found.entry
    return alter(found.registration) is not found.registration or (entry is not None and alter(entry) is not entry)


async def _change(store: Store, registration: Key, alter: Alter, *, uid: str, only: Judge) -> Stored | None:
    async with store.transaction() as tx:
        found = await _read(tx, registration, uid=uid)
        if found is None or not only(found.registration):
            return found
        held = await _put(tx, found.registration, alter)
        if found.entry is found.registration:
            return Stored(held, held, changed=held is not found.registration)
        entry = await _put(tx, found.entry, alter) if found.entry else None
        return Stored(held, entry, changed=held is not found.registration or entry is not found.entry)


async def _put(tx: Transaction, stored: Resource, alter: Alter) -> Resource:
    altered = alter(stored)
    if altered is stored:
        return stored
    await tell_change(tx, stored, altered, now=utc_now())
    return await tx.update(altered)
