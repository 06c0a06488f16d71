"""Writes what the control plane observes into the status of resources: on transitions only, never twice the same.

In: observations about registrations, entries and proxies. Out: conditions and, for configuration that a proxy refused
or that could be used in part only, an Event. A resource that is gone, or is another one by now, is left alone.
"""

import asyncio
import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

import structlog

from outrig.dialects.conditions import Condition, condition_of, with_condition
from outrig.dialects.istio.workload_entry import WORKLOAD_ENTRY
from outrig.errors import Finding
from outrig.kit.aio import jittered_backoff
from outrig.resources import Json, Key, Resource
from outrig.snapshot import ProxyId
from outrig.store.protocol import Conflict, Store, Unavailable
from outrig.xds.subscription import Rejection

Alter = Callable[[Resource], Resource]
Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Aspect:
    """A condition of WorkloadEntries that is only ever written once it was false. `bad` is its reason then."""

    condition: str
    good: str
    bad: str


ACCEPTED: Final = Aspect("ProxyConfigAccepted", "Accepted", "ProxyConfigRejected")
"""Whether the proxy takes the configuration it is given."""
COMPLETE: Final = Aspect("ProxyConfigComplete", "Complete", "ProxyConfigIncomplete")
"""Whether all that users wrote for the proxy could be made into configuration."""

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
    """Tells people what proxies refuse, and what could not be given to them: a condition and an Event.

    `note` is the hub's `on_verdict`. Only the newest verdict on a proxy counts, so a slow store makes no queue.
    """

    def __init__(self, store: Store, *, clock: Clock = utc_now) -> None:
        self._store, self._clock = store, clock
        self._noted: dict[tuple[ProxyId, Aspect], str] = {}
        self._something = asyncio.Event()

    def note(self, proxy: ProxyId, rejections: tuple[Rejection, ...]) -> None:
        """A proxy refuses these now; () once it refuses nothing."""
        lines = (f"{each.type_url.rpartition('.')[2]} {each.name}: {each.reason}" for each in rejections)
        self._note(proxy, ACCEPTED, lines)

    def note_findings(self, proxy: ProxyId, findings: tuple[Finding, ...]) -> None:
        """These stand against a proxy's configuration now; () once nothing does."""
        self._note(proxy, COMPLETE, map(str, findings))

    def _note(self, proxy: ProxyId, aspect: Aspect, lines: Iterable[str]) -> None:
        self._noted[proxy, aspect] = " ".join("; ".join(lines).split())[:_LONGEST]
        self._something.set()

    async def run(self) -> None:
        """Write until cancelled; while the store is away, later."""
        delays = jittered_backoff(first=0.1, ceiling=5.0)
        while True:
            await self._something.wait()
            self._something.clear()
            while self._noted:
                about = next(iter(self._noted))
                problem = self._noted.pop(about)
                try:
                    await self._write(*about, problem)
                except (Unavailable, Conflict) as error:
                    _log.warning("verdict on a proxy not written yet", proxy=about[0], reason=str(error))
                    self._noted.setdefault(about, problem)
                    await asyncio.sleep(next(delays))

    async def _write(self, proxy: ProxyId, aspect: Aspect, problem: str) -> None:
        namespace, _, name = proxy.partition("/")
        key, now = entry_key(namespace, name), self._clock()
        before = await self._store.get(key)
        entry = await change(self._store, key, lambda entry: _with_verdict(entry, aspect, problem, now))
        if problem and before is not None and entry is not None and entry.revision != before.revision:
            await self._tell(entry, aspect.bad, problem, now)

    async def _tell(self, entry: Resource, reason: str, message: str, now: datetime) -> None:
        """An Event about the entry; the same problem again counts it up."""
        key = _event_key(entry.key, reason, message)
        async with self._store.transaction() as tx:
            before = await tx.get(key)
            if before is None:
                await tx.create(Resource(key, body=_event(entry, reason, message, now=now)))
                return
            again = {"count": int(before.body.get("count", 1)) + 1, "lastTimestamp": _text(now)}
            await tx.update(replace(before, body={**before.body, **again}))


def _with_verdict(entry: Resource, aspect: Aspect, problem: str, now: datetime) -> Resource:
    if not problem and condition_of(entry.status, aspect.condition) is None:
        return entry  # never had a problem: no need to say that it has none
    condition = Condition(aspect.condition, not problem, aspect.bad if problem else aspect.good, problem)
    status = with_condition(entry.status, condition, now=now)
    return entry if status is entry.status else replace(entry, status=status)


def _event_key(about: Key, reason: str, message: str) -> Key:
    digest = hashlib.sha256("\n".join((reason, about.name, message)).encode()).hexdigest()
    return Key("", "Event", "", about.namespace, f"{about.name[:200].rstrip('-.')}.{digest[:16]}")


def _event(entry: Resource, reason: str, message: str, *, now: datetime) -> Json:
    return {
        "involvedObject": {
            "apiVersion": f"{WORKLOAD_ENTRY.group}/{WORKLOAD_ENTRY.versions[0]}",
            "kind": entry.key.kind,
            "namespace": entry.key.namespace,
            "name": entry.key.name,
            "uid": entry.uid,
        },
        "reason": reason,
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
