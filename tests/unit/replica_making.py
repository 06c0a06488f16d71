"""Replicas of a control plane over one store, without ports: agents and proxies talk to their registries and hubs."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from outrig.control.connections import Connection
from outrig.control.following import follow
from outrig.control.hub import Hub
from outrig.control.reaper import Graces, Reaper
from outrig.control.registry import Place, Registry
from outrig.control.replicas import Pace, Replicas
from outrig.control.verdicts import Verdicts
from outrig.control.whereabouts import Whereabouts
from outrig.control.withdrawals import Withdrawals
from outrig.snapshot import ProxyId
from outrig.store.protocol import Query, Store
from outrig.wire.stream import Message
from outrig.xds.session import Session
from tests.unit.control_making import BOUND, LONG, SOON
from tests.unit.hub_making import Services

PATIENT = Graces(noticed=SOON, disconnected=LONG, removed=LONG, restarted=LONG, deregistered=LONG)
QUICK = Pace(beat=0.02, missed=5, forgotten=10)


@dataclass
class Plane:
    """One replica. `ended`: the proxies whose xDS streams it ended."""

    replicas: Replicas
    hub: Hub
    registry: Registry
    withdrawals: Withdrawals
    ended: asyncio.Queue[ProxyId]
    loops: list[asyncio.Task[None]] = field(default_factory=list)
    streams: list[asyncio.Task[None]] = field(default_factory=list)

    async def agent(self, session: Session) -> "Agent":
        """An agent's stream to this replica, once it is welcomed."""
        agent = Agent(self)
        self.streams.append(asyncio.create_task(agent.run(session)))
        async with asyncio.timeout(BOUND):
            await agent.welcomed.wait()
        return agent

    async def kill(self) -> None:
        """As SIGKILL does: whatever it does ends at once, and nothing is said to anybody."""
        await _end(self.loops)
        await _end(self.streams)

    async def stop(self) -> None:
        """As SIGTERM does."""
        await _end(self.streams)
        await _end(self.loops)
        await self.replicas.leave()


class Agent:
    """An agent's stream."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        self._over = asyncio.Event()
        self.welcomed = asyncio.Event()
        self.connection: Connection | None = None

    @property
    def open(self) -> Connection:
        """The stream."""
        assert self.connection is not None
        return self.connection

    async def run(self, session: Session) -> None:
        """Until closed."""
        async with self._plane.registry.attended(session) as self.connection:
            self.welcomed.set()
            await self._over.wait()

    async def close(self) -> None:
        """The stream ends, from the agent's side."""
        self._over.set()
        await turns()

    async def heard(self) -> Message:
        """The next message from the control plane."""
        async with asyncio.timeout(BOUND):
            return await self.open.next_message()


async def start(store: Store, name: str, graces: Graces = PATIENT, *, away: float = BOUND) -> Plane:
    """A replica that serves. `away`: seconds after which its hub takes a proxy that is away for dead."""
    ended: asyncio.Queue[ProxyId] = asyncio.Queue()
    replicas = Replicas(store, name, pace=QUICK)
    await replicas.announce()
    verdicts = Verdicts(store, name=name, others=replicas)
    hub = Hub(
        Services(), follow(store, Query()), on_verdict=verdicts.note, on_presence=verdicts.note_presence, away=away
    )
    reaper, withdrawals = Reaper(store, graces, others=replicas), Withdrawals(hub, replicas)
    registry = Registry(
        store, withdrawals, reaper=reaper, place=Place(name, BOUND), end_proxy=lambda proxy, _: ended.put_nowait(proxy)
    )
    whereabouts = Whereabouts(replicas, reaper, hub, is_here=registry.has)
    replicas.listen(whereabouts.turned)
    attending = registry.run(whereabouts.heard, withdrawals.heard)
    loops: tuple[Coroutine[Any, Any, None], ...] = (
        *(hub.run(), verdicts.run(), reaper.run(), attending),
        *(withdrawals.run(), replicas.run()),
    )
    plane = Plane(replicas, hub, registry, withdrawals, ended, [asyncio.create_task(loop) for loop in loops])
    await hub.wait_ready()
    return plane


@asynccontextmanager
async def two_planes(
    store: Store, graces: Graces = PATIENT, *, away: float = BOUND
) -> AsyncIterator[tuple[Plane, Plane]]:
    """Replicas `a` and `b`, which know of each other."""
    planes = await start(store, "a", graces, away=away), await start(store, "b", graces, away=away)
    try:
        for plane in planes:
            await until(partial(_knows_one_other, plane))
        yield planes
    finally:
        for plane in planes:
            failed = [task.exception() for task in plane.loops if task.done() and not task.cancelled()]
            await plane.stop()
            assert failed == []


def _knows_one_other(plane: Plane) -> bool:
    return len(plane.replicas.others) == 1


async def until(wanted: Callable[[], bool]) -> None:
    """Until something is so that no event tells of."""
    async with asyncio.timeout(BOUND):
        while not wanted():
            await asyncio.sleep(QUICK.beat / 4)


async def turns(count: int = 20) -> None:
    """Let everything that is ready run."""
    for _ in range(count):
        await asyncio.sleep(0)


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
