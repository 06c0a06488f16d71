"""Tells what proxies make of their configuration: two conditions of each workload, and Events for what is wrong.

In: what a proxy refuses, what could not be made into configuration for it, whether it is connected. Out: `Programmed`
(the proxy has accepted all that it was given last; unknown while it is away) and `PartiallyInvalid`, on registration
and WorkloadEntry alike, written on transitions only. Both names are the Gateway API's.

A proxy that is away for a moment keeps its verdict: it serves on with what it accepted. So does one that has gone to
another replica. Who writes a verdict also writes that it has the proxy: that is how the others know.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Final

import structlog

from outrig.control.proxies import registration_of
from outrig.control.replicas import ALONE, Others
from outrig.control.status import Clock, change_workload, utc_now
from outrig.control.tidings import shown_key, tell
from outrig.dialects.conditions import PARTIALLY_INVALID, PROGRAMMED, Condition, condition_of, with_condition
from outrig.dialects.core.event import event_key, warning_event
from outrig.dialects.onboarding.connection import proxy_at, with_proxy
from outrig.errors import Finding
from outrig.kit.aio import jittered_backoff
from outrig.resources import Resource
from outrig.snapshot import ProxyId
from outrig.store.protocol import Conflict, Store, Unavailable
from outrig.xds.subscription import Rejection

_LONGEST: Final = 1024  # characters of a message

_log = structlog.get_logger(__name__)


class Verdicts:
    """Writes them down. Only the newest verdict of a kind on a proxy counts, so a slow store makes no queue.

    `note` and `note_presence` are for the hub. `name`: this replica's. `away`: seconds after which a proxy's absence
    is told.
    """

    def __init__(
        self, store: Store, *, name: str = "", others: Others = ALONE, away: float = 30.0, clock: Clock = utc_now
    ) -> None:
        self._store, self._away, self._clock = store, away, clock
        self._name, self._others = name, others
        self._noted: dict[tuple[ProxyId, str], Condition] = {}
        self._absent: dict[ProxyId, asyncio.TimerHandle] = {}
        self._something = asyncio.Event()

    def note(self, proxy: ProxyId, rejections: tuple[Rejection, ...]) -> None:
        """A proxy refuses these now; () once it refuses nothing."""
        lines = _joined(f"{each.type_url.rpartition('.')[2]} {each.name}: {each.reason}" for each in rejections)
        reason = "ConfigRejected" if rejections else "Programmed"
        self._put(proxy, Condition(PROGRAMMED, not rejections, reason, lines))

    def note_findings(self, proxy: ProxyId, findings: tuple[Finding, ...]) -> None:
        """These stand against a proxy's configuration now; () once nothing does."""
        reason = "ConfigIncomplete" if findings else "ConfigComplete"
        self._put(proxy, Condition(PARTIALLY_INVALID, bool(findings), reason, _joined(map(str, findings))))

    def note_presence(self, proxy: ProxyId, here: bool) -> None:
        """A proxy has a stream now, or has none any more."""
        if timer := self._absent.pop(proxy, None):
            timer.cancel()
        if not here:
            self._absent[proxy] = asyncio.get_running_loop().call_later(self._away, self._miss, proxy)

    def _miss(self, proxy: ProxyId) -> None:
        self._absent.pop(proxy, None)
        self._put(proxy, Condition(PROGRAMMED, None, "ProxyDisconnected"))

    def _put(self, proxy: ProxyId, condition: Condition) -> None:
        self._noted[proxy, condition.type] = condition
        self._something.set()

    async def run(self) -> None:
        """Write until cancelled; while the store is away, later."""
        delays = jittered_backoff(first=0.1, ceiling=5.0)
        while True:
            await self._something.wait()
            self._something.clear()
            while self._noted:
                about = next(iter(self._noted))
                condition = self._noted.pop(about)
                try:
                    await self._write(about[0], condition)
                except (Unavailable, Conflict) as error:
                    _log.warning("verdict on a proxy not written yet", proxy=about[0], reason=str(error))
                    self._noted.setdefault(about, condition)
                    await asyncio.sleep(next(delays))

    async def _write(self, proxy: ProxyId, condition: Condition) -> None:
        now, connected = self._clock(), condition.type == PROGRAMMED and condition.status is not None

        def alter(resource: Resource) -> Resource:
            said = _with(resource, condition, now)
            return with_proxy(said, self._name) if connected else said

        def applies(registration: Resource) -> bool:
            """That a proxy is away is only true where no other replica has it."""
            return condition.status is not None or not self._others.is_other(proxy_at(registration))

        stored = await change_workload(self._store, registration_of(proxy), alter, only=applies)
        if stored and stored.entry and stored.changed and condition.status is (condition.type == PARTIALLY_INVALID):
            await self._tell(stored.entry, condition, now)

    async def _tell(self, about: Resource, condition: Condition, now: datetime) -> None:
        """An Event about the workload; the same problem again counts it up."""
        subject, told = shown_key(about.key), {"reason": condition.reason, "message": condition.message}
        async with self._store.transaction() as tx:
            key = event_key(subject, condition.reason, condition.message)
            await tell(tx, key, warning_event(subject, uid=about.uid, **told, now=now))


def _with(resource: Resource, condition: Condition, now: datetime) -> Resource:
    fine = condition.type == PARTIALLY_INVALID and not condition.status
    if fine and condition_of(resource.status, PARTIALLY_INVALID) is None:
        return resource  # never had a problem: no need to say that it has none
    status = with_condition(resource.status, condition, now=now)
    return resource if status is resource.status else replace(resource, status=status)


def _joined(lines: Iterable[str]) -> str:
    return " ".join("; ".join(lines).split())[:_LONGEST]
