"""Writes what the control plane observes into the status of resources: on transitions only, never twice the same.

In: observations about registrations, entries and proxies. Out: conditions and, for configuration that a proxy refused,
an Event. A resource that is gone, or is another one by now, is left alone.
"""

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

import structlog

from outrig.dialects.conditions import Condition, condition_of, with_condition
from outrig.dialects.istio.workload_entry import WORKLOAD_ENTRY
from outrig.kit.aio import jittered_backoff
from outrig.resources import Json, Key, Resource
from outrig.snapshot import ProxyId
from outrig.store.protocol import Conflict, Store, Unavailable
from outrig.xds.subscription import Rejection

Alter = Callable[[Resource], Resource]
Clock = Callable[[], datetime]

ACCEPTED: Final = "ProxyConfigAccepted"
REJECTED: Final = "ProxyConfigRejected"
_TRIES: Final = 5
_LONGEST: Final = 1024  # characters of a message

_log = structlog.get_logger(__name__)


def utc_now() -> datetime:
    """The time, UTC."""
    return datetime.now(UTC)


def entry_key(namespace: str, name: str) -> Key:
    """The WorkloadEntry of a registration, or of a proxy: all three have the same name."""
    return Key(WORKLOAD_ENTRY.group, WORKLOAD_ENTRY.name, "", namespace, name)


async def change(store: Store, key: Key, alter: Alter, *, uid: str = "") -> Resource | None:
    """Replace a resource by what `alter` makes of it, and give what is stored then; None if it is not there.

    `alter` gives the very same object where nothing is to change: then nothing is written. It may be called again,
    last within the transaction that writes. Raises Conflict after several tries, Unavailable.
    """
    stored = await store.get(key)
    if stored is None or uid not in ("", stored.uid) or alter(stored) is stored:
        return stored if stored is not None and uid in ("", stored.uid) else None
    for _ in range(_TRIES - 1):
        try:
            return await _change(store, key, alter, uid)
        except Conflict:
            continue
    return await _change(store, key, alter, uid)


async def _change(store: Store, key: Key, alter: Alter, uid: str) -> Resource | None:
    async with store.transaction() as tx:
        stored = await tx.get(key)
        if stored is None or uid not in ("", stored.uid):
            return None
        altered = alter(stored)
        return stored if altered is stored else await tx.update(altered)


class Verdicts:
    """Tells people what proxies refuse: a condition of the WorkloadEntry, and an Event.

    `note` is the hub's `on_verdict`. Only the newest verdict of a proxy counts, so a slow store makes no queue.
    """

    def __init__(self, store: Store, *, clock: Clock = utc_now) -> None:
        self._store, self._clock = store, clock
        self._noted: dict[ProxyId, tuple[Rejection, ...]] = {}
        self._something = asyncio.Event()

    def note(self, proxy: ProxyId, rejections: tuple[Rejection, ...]) -> None:
        """A proxy refuses these now; () once it refuses nothing."""
        self._noted[proxy] = rejections
        self._something.set()

    async def run(self) -> None:
        """Write until cancelled; while the store is away, later."""
        delays = jittered_backoff(first=0.1, ceiling=5.0)
        while True:
            await self._something.wait()
            self._something.clear()
            while self._noted:
                proxy = next(iter(self._noted))
                rejections = self._noted.pop(proxy)
                try:
                    await self._write(proxy, rejections)
                except (Unavailable, Conflict) as error:
                    _log.warning("verdict of a proxy not written yet", proxy=proxy, reason=str(error))
                    self._noted.setdefault(proxy, rejections)
                    await asyncio.sleep(next(delays))

    async def _write(self, proxy: ProxyId, rejections: tuple[Rejection, ...]) -> None:
        namespace, _, name = proxy.partition("/")
        key, now = entry_key(namespace, name), self._clock()
        before = await self._store.get(key)
        entry = await change(self._store, key, lambda entry: _with_verdict(entry, rejections, now))
        if rejections and before is not None and entry is not None and entry.revision != before.revision:
            await self._tell(entry, _message(rejections), now)

    async def _tell(self, entry: Resource, message: str, now: datetime) -> None:
        """An Event about the entry; the same refusal again counts it up."""
        key = _event_key(entry.key, message)
        async with self._store.transaction() as tx:
            before = await tx.get(key)
            if before is None:
                await tx.create(Resource(key, body=_event(entry, message, now=now)))
                return
            again = {"count": int(before.body.get("count", 1)) + 1, "lastTimestamp": _text(now)}
            await tx.update(replace(before, body={**before.body, **again}))


def _with_verdict(entry: Resource, rejections: tuple[Rejection, ...], now: datetime) -> Resource:
    if not rejections and condition_of(entry.status, ACCEPTED) is None:
        return entry  # never refused anything: no need to say that it accepts
    condition = Condition(ACCEPTED, True, "Accepted")
    if rejections:
        condition = Condition(ACCEPTED, False, REJECTED, _message(rejections))
    status = with_condition(entry.status, condition, now=now)
    return entry if status is entry.status else replace(entry, status=status)


def _message(rejections: tuple[Rejection, ...]) -> str:
    lines = (f"{each.type_url.rpartition('.')[2]} {each.name}: {each.reason}" for each in rejections)
    return " ".join("; ".join(lines).split())[:_LONGEST]


def _event_key(about: Key, message: str) -> Key:
    digest = hashlib.sha256("\n".join((REJECTED, about.name, message)).encode()).hexdigest()
    return Key("", "Event", "", about.namespace, f"{about.name[:200].rstrip('-.')}.{digest[:16]}")


def _event(entry: Resource, message: str, *, now: datetime) -> Json:
    return {
        "involvedObject": {
            "apiVersion": f"{WORKLOAD_ENTRY.group}/{WORKLOAD_ENTRY.versions[0]}",
            "kind": entry.key.kind,
            "namespace": entry.key.namespace,
            "name": entry.key.name,
            "uid": entry.uid,
        },
        "reason": REJECTED,
        "message": message,
        "type": "Warning",
        "source": {"component": "outrig"},
        "reportingComponent": "outrig",
        "count": 1,
        "firstTimestamp": _text(now),
        "lastTimestamp": _text(now),
    }


def _text(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
