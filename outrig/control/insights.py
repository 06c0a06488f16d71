"""Writes down what became of the responses that proxies were sent, so that every replica tells the same of each.

In: the counts of the streams that are open here, or were last. Out: `status.insight.status` of Dataplanes and
WorkloadEntries. They are looked at every few seconds, and at each look so many are written at most: a change that
reaches a thousand proxies costs no thousand writes, and those whose news is oldest come first. What another replica
has taken over is its to count.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Final, Protocol

import structlog

from outrig.control.proxies import ENTRIES, kind_of, registration_of
from outrig.control.status import Clock, change_workload, utc_now
from outrig.dialects.kuma.insight import Counts, with_counts
from outrig.dialects.onboarding.connection import proxy_at
from outrig.resources import Resource
from outrig.snapshot import CLUSTER, ENDPOINTS, EXTENSION, LISTENER, ROUTES, SECRET, ProxyId, TypeUrl
from outrig.store.protocol import Conflict, Store, Unavailable
from outrig.xds.subscription import Tally

_NAMES: Final[Mapping[TypeUrl, str]] = {
    CLUSTER: "cds",
    ENDPOINTS: "eds",
    LISTENER: "lds",
    ROUTES: "rds",
    SECRET: "sds",
    EXTENSION: "ecds",
}

_log = structlog.get_logger(__name__)


class Proxies(Protocol):
    """The hub."""

    def tallies(self) -> Iterable[tuple[ProxyId, Mapping[TypeUrl, Tally]]]:
        """What became of the responses on each proxy's newest stream here, or on its last one."""
        ...


@dataclass(frozen=True, slots=True)
class Pace:
    """`look`: seconds from one look to the next. `most`: proxies that are written of at one."""

    look: float = 10.0
    most: int = 50


@dataclass(frozen=True, slots=True)
class _News:
    counts: Mapping[str, Counts]
    seen: datetime


class Insights:
    """Looks and writes. `name`: this replica's."""

    def __init__(
        self, store: Store, proxies: Proxies, *, name: str, pace: Pace = Pace(), clock: Clock = utc_now
    ) -> None:
        self._store, self._proxies, self._name = store, proxies, name
        self._pace, self._clock = pace, clock
        self._seen: Mapping[ProxyId, Mapping[str, Counts]] = {}
        self._due: dict[ProxyId, _News] = {}

    async def run(self) -> None:
        """Until cancelled; while the store is away, later."""
        while True:
            await asyncio.sleep(self._pace.look)
            self.look()
            try:
                await self.write()
            except (Unavailable, Conflict) as error:
                _log.warning("what was counted of proxies is not written yet", reason=str(error))

    def look(self) -> None:
        """See whose counts are others than at the last look."""
        now, seen = self._clock(), {proxy: _counts(tallies) for proxy, tallies in self._proxies.tallies()}
        for proxy, counts in seen.items():
            if counts and counts != self._seen.get(proxy):
                self._due[proxy] = _News(counts, now)  # where it was due already it keeps its turn
        self._seen = seen

    async def write(self) -> None:
        """Write the oldest news. Raises Unavailable, Conflict: what is left is still due."""
        for proxy in tuple(islice(self._due, self._pace.most)):
            await self._record(proxy, self._due[proxy])
            del self._due[proxy]

    async def _record(self, proxy: ProxyId, news: _News) -> None:
        def alter(resource: Resource) -> Resource:
            is_entry = kind_of(resource.key) in ENTRIES
            return with_counts(resource, news.counts, now=news.seen) if is_entry else resource

        def is_ours(registration: Resource) -> bool:
            return proxy_at(registration) in ("", self._name)

        await change_workload(self._store, registration_of(proxy), alter, only=is_ours)


def _counts(tallies: Mapping[TypeUrl, Tally]) -> Mapping[str, Counts]:
    return {
        name: Counts(tallies[type_url].sent, tallies[type_url].acknowledged, tallies[type_url].rejected)
        for type_url, name in _NAMES.items()
        if type_url in tallies
    }
