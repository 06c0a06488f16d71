"""The control planes on one store: which of them live, who has the duties, and what the proxies of each have accepted.

In: signs of life in the store. Out: who lives; acknowledgements, ours and theirs. A replica that starts announces
itself by a resource, so the others know of it by their watch before it serves anybody; its acknowledgements stand
there too. Its signs of life are no changes: the others look at them now and then.

A replica is taken for dead when several looks in a row saw no new sign. Clocks of different machines are not compared,
and while the store is away nobody looks and nobody dies.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from math import inf
from typing import Final, Protocol

import structlog

from outrig.control.following import follow
from outrig.control.status import Clock, utc_now
from outrig.kit.aio import jittered_backoff
from outrig.resources import Key, Resource
from outrig.store.protocol import AlreadyExists, Change, ChangeType, Conflict, NotFound, Query, Store, Unavailable
from outrig.store.protocol import Replica as Sign

DUTY: Final = "housekeeping"
"""What one replica at a time does for all: ends of graces nobody else minds, removing what has expired."""

_EVER: Final = datetime(1970, 1, 1, tzinfo=UTC)
_KIND: Final = ("outrig.internal", "Replica")
_ACKNOWLEDGED: Final = "acknowledged"
_REMEMBERED: Final = 256  # acknowledgements; whoever waits for one does so for seconds

_log = structlog.get_logger(__name__)


class Others(Protocol):
    """The other replicas."""

    def is_other(self, name: str) -> bool:
        """Whether that is another replica, and lives."""
        ...

    def is_steady(self, seconds: float) -> bool:
        """Whether the store has answered for so long, so that agents could come back."""
        ...


class _Alone:
    """There is this control plane only, and its store answers."""

    def is_other(self, _name: str) -> bool:
        return False

    def is_steady(self, _seconds: float) -> bool:
        return True


ALONE: Final = _Alone()


@dataclass(frozen=True, slots=True)
class Pace:
    """`beat`: seconds between two signs of life, and two looks. `missed`: looks without a new sign that mean death;
    `forgotten`: those after which its announcement is removed."""

    beat: float = 3.0
    missed: int = 3
    forgotten: int = 60

    @property
    def lease(self) -> timedelta:
        """How long a sign holds in the store; longer than it takes to be noticed as dead."""
        return timedelta(seconds=self.beat * (self.missed + 1))


@dataclass(slots=True)
class _Other:
    """Another replica. `unseen`: looks in a row that showed the same sign."""

    acknowledged: frozenset[int] = frozenset()
    sign: datetime | None = None
    unseen: int = 0


class Replicas:
    """This replica among the others. `run` it within `present`. `name`: its own, never used by two at once."""

    def __init__(self, store: Store, name: str, *, pace: Pace = Pace(), clock: Clock = utc_now) -> None:
        self._store, self.name, self._pace, self._clock = store, name, pace, clock
        self._started = clock()
        self._others: dict[str, _Other] = {}
        self._listeners: list[Callable[[str], None]] = []
        self._acknowledged: list[int] = []
        self._unsaid = asyncio.Event()
        self._news = asyncio.Event()
        self._steady_since: float | None = -inf
        self.on_duty = False

    def listen(self, listener: Callable[[str], None]) -> None:
        """Have this called with the name of a replica that came, died or was seen again; with ours on gaining duty."""
        self._listeners.append(listener)

    def is_other(self, name: str) -> bool:
        """Whether that is another replica, and lives."""
        other = self._others.get(name)
        return other is not None and self._lives(other)

    def is_steady(self, seconds: float) -> bool:
        """Whether the store has answered for so long."""
        since = self._steady_since
        return since is not None and asyncio.get_running_loop().time() - since >= seconds

    @property
    def others(self) -> frozenset[str]:
        """The other replicas that live."""
        return frozenset(name for name, other in self._others.items() if self._lives(other))

    def acknowledge(self, revision: int) -> None:
        """Tell the others that all proxies of this replica have accepted what changed at that revision."""
        self._acknowledged = [*self._acknowledged[1 - _REMEMBERED :], revision]
        self._unsaid.set()

    async def wait_acknowledged(self, revision: int) -> None:
        """Until all others that live now have acknowledged that revision, or died."""
        awaited = self.others
        while any(self.is_other(name) and revision not in self._others[name].acknowledged for name in awaited):
            await self._news.wait()

    async def run(self) -> None:
        """Until cancelled; while the store is away, later."""
        async with asyncio.TaskGroup() as loops:
            loops.create_task(self._beat())
            loops.create_task(self._follow())
            loops.create_task(self._say())

    async def announce(self) -> None:
        """Be known to the others. Raises Unavailable."""
        try:
            async with self._store.transaction() as tx:
                await tx.create(Resource(_key(self.name)))
        except AlreadyExists:
            pass  # an earlier process of that name; nothing it acknowledged is waited for any more
        await self._store.beat(self._sign())

    async def leave(self) -> None:
        """Be gone for the others, who then need not find out."""
        try:
            await self._remove(self.name)
            await self._store.leave(self.name)
        except (Unavailable, Conflict) as error:
            _log.warning("left without a word to the other replicas", reason=str(error))

    def _sign(self) -> Sign:
        return Sign(self.name, self._started, self._clock() + self._pace.lease)

    def _lives(self, other: _Other) -> bool:
        return other.unseen < self._pace.missed

    def _tell(self, names: Iterable[str]) -> None:
        self._news.set()
        self._news = asyncio.Event()
        for name in names:
            for listener in self._listeners:
                listener(name)

    async def _beat(self) -> None:
        while True:
            try:
                await self._store.beat(self._sign())
                await self._take_duty()
                await self._look()
            except (Unavailable, Conflict) as error:
                _log.warning("no sign of life given", reason=str(error))
                self._steady_since = None
            else:
                if self._steady_since is None:
                    self._steady_since = asyncio.get_running_loop().time()
            await asyncio.sleep(self._pace.beat)

    async def _take_duty(self) -> None:
        now = self._clock()
        before, self.on_duty = self.on_duty, await self._store.hold(DUTY, self.name, now + self._pace.lease, now)
        if self.on_duty and not before:
            if self._others:
                _log.info("on duty for all replicas", replica=self.name)
            self._tell([self.name])

    async def _look(self) -> None:
        """At all signs there are, also those that have expired by our clock: what counts is that they change."""
        signs = {sign.id: sign.expires for sign in await self._store.replicas(_EVER)}
        turned = [name for name, other in self._others.items() if self._observe(name, other, signs.get(name))]
        self._tell(turned)
        for name, other in tuple(self._others.items()):
            if self.on_duty and other.unseen > self._pace.forgotten:
                await self._remove(name)

    def _observe(self, name: str, other: _Other, sign: datetime | None) -> bool:
        """Whether it died, or came back to life."""
        lived = self._lives(other)
        other.unseen = other.unseen + 1 if sign in (None, other.sign) else 0
        other.sign = sign
        if lived and not self._lives(other):
            _log.warning("another replica gives no sign of life", replica=name)
        return lived is not self._lives(other)

    async def _follow(self) -> None:
        async for burst in follow(self._store, Query(kinds=(_KIND,))):
            others = [change for change in burst.changes if change.resource.key.name != self.name]
            self._tell([change.resource.key.name for change in others if self._heard(change)])
            if burst.reread or len(others) < len(burst.changes):
                await self._stay_announced()

    def _heard(self, change: Change) -> bool:
        """Whether another replica came or went."""
        name = change.resource.key.name
        if change.type is ChangeType.DELETED:
            return self._others.pop(name, None) is not None
        known = name in self._others
        other = self._others.setdefault(name, _Other())
        other.acknowledged = frozenset(change.resource.body.get(_ACKNOWLEDGED, ()))
        return not known

    async def _stay_announced(self) -> None:
        """We may have been taken for dead, or the store been put back to before our time."""
        delays = jittered_backoff(first=0.1, ceiling=5.0)
        while True:
            try:
                if await self._store.get(_key(self.name)) is None:
                    await self.announce()
            except (Unavailable, Conflict):
                await asyncio.sleep(next(delays))
            else:
                return

    async def _say(self) -> None:
        delays = jittered_backoff(first=0.05, ceiling=5.0)
        while True:
            await self._unsaid.wait()
            self._unsaid.clear()
            try:
                await self._write()
            except (Unavailable, Conflict, NotFound) as error:
                _log.warning("the other replicas wait for an acknowledgement", reason=str(error))
                self._unsaid.set()
                await asyncio.sleep(next(delays))

    async def _write(self) -> None:
        async with self._store.transaction() as tx:
            stored = await tx.get(_key(self.name)) or await tx.create(Resource(_key(self.name)))
            await tx.update(replace(stored, body={_ACKNOWLEDGED: self._acknowledged}))

    async def _remove(self, name: str) -> None:
        try:
            async with self._store.transaction() as tx:
                await tx.delete(_key(name))
        except NotFound:
            return  # somebody else did, or it was never there


@asynccontextmanager
async def present(store: Store, name: str, *, pace: Pace = Pace(), clock: Clock = utc_now) -> AsyncIterator[Replicas]:
    """The replica of that name is known to the others during the block. Serve nobody outside of it.

    Raises Unavailable on entering.
    """
    replicas = Replicas(store, name, pace=pace, clock=clock)
    await replicas.announce()
    try:
        yield replicas
    finally:
        await replicas.leave()


def _key(name: str) -> Key:
    return Key(*_KIND, "", "", name)
