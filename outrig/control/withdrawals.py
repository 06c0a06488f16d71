"""Whether all proxies have accepted a change, whichever replica they are connected to: that a leaving workload is not
called any more, that a new authority is trusted.

In: drains, seen as they are stored. Out: for the replica whose agent drains, when it may let it go; for the others'
drains, an acknowledgement once our own proxies have accepted them. What is not acknowledged in time ends by its bound.
A replica that is alone writes nothing. Why so: docs/adr/0008-replicas.md.
"""

import asyncio
from typing import Protocol

from outrig.control.following import Burst
from outrig.control.proxies import ENTRIES, kind_of
from outrig.dialects.conditions import READY, condition_of
from outrig.dialects.readiness import ReadyReason
from outrig.resources import Resource
from outrig.store.protocol import ChangeType


class Proxies(Protocol):
    """The hub: our own proxies."""

    async def wait_withdrawn(self, revision: int, *, bound: float) -> bool:
        """Until they have accepted what changed at that revision; False if `bound` seconds passed first."""
        ...


class Replicas(Protocol):
    """This replica among the others."""

    @property
    def others(self) -> frozenset[str]:
        """The other replicas that live."""
        ...

    def acknowledge(self, revision: int) -> None:
        """Our proxies have accepted what changed at that revision."""
        ...

    async def wait_acknowledged(self, revision: int) -> None:
        """Until all others that live have acknowledged it."""
        ...


class Withdrawals:
    """Waits for our own drains, answers for those of others. `heard` each burst of entries, and `run`.

    `bound`: seconds after which nobody waits for an acknowledgement any more.
    """

    def __init__(self, proxies: Proxies, replicas: Replicas, *, bound: float = 30.0) -> None:
        self._proxies, self._replicas, self._bound = proxies, replicas, bound
        self._ours: set[int] = set()
        self._draining: set[str] = set()
        self._asked: asyncio.Queue[int] = asyncio.Queue()

    async def wait_withdrawn(self, revision: int, *, bound: float) -> bool:
        """Until all proxies of all replicas have accepted what changed at that revision, which is of a drain.

        False if `bound` seconds passed first. Our own come last: those of a replica that died meanwhile count as ours.
        """
        loop = asyncio.get_running_loop()
        self._ours.add(revision)
        loop.call_later(self._bound, self._ours.discard, revision)
        end = loop.time() + bound
        try:
            async with asyncio.timeout_at(end):
                await self._replicas.wait_acknowledged(revision)
        except TimeoutError:
            return False
        return await self._proxies.wait_withdrawn(revision, bound=end - loop.time())

    async def wait_trusted(self, revision: int, *, bound: float) -> bool:
        """Until all proxies of all replicas have accepted the authority that was written at that revision. All replicas
        see it and wait, each for its own proxies and then for the other replicas.

        False if `bound` seconds passed first.
        """
        end = asyncio.get_running_loop().time() + bound
        accepted = await self._proxies.wait_withdrawn(revision, bound=bound)
        if accepted and self._replicas.others:
            self._replicas.acknowledge(revision)
        try:
            async with asyncio.timeout_at(end):
                await self._replicas.wait_acknowledged(revision)
        except TimeoutError:
            return False
        return accepted

    def heard(self, burst: Burst) -> None:
        """Entries have changed."""
        for change in burst.changes:
            resource = change.resource
            if kind_of(resource.key) not in ENTRIES:
                continue
            drains = change.type is not ChangeType.DELETED and _drains(resource)
            if drains and resource.uid not in self._draining:
                self._asked.put_nowait(resource.revision)
            if drains:
                self._draining.add(resource.uid)
            else:
                self._draining.discard(resource.uid)

    async def run(self) -> None:
        """Answer until cancelled. Drains wait beside each other: a proxy that holds one up holds up no other."""
        async with asyncio.TaskGroup() as answers:
            while True:
                answers.create_task(self._answer(await self._asked.get()))

    async def _answer(self, revision: int) -> None:
        accepted = await self._proxies.wait_withdrawn(revision, bound=self._bound)
        if accepted and self._replicas.others and revision not in self._ours:
            self._replicas.acknowledge(revision)


def _drains(entry: Resource) -> bool:
    condition = condition_of(entry.status, READY)
    return condition is not None and condition.reason == ReadyReason.DRAINING
