"""What becomes of registrations whose agent is away: first not ready, in the end removed.

In: who went away, came back, or left for good; whether a lost agent's task has stopped. Out: writes, each only while
the agent is still away from all replicas, as the store says within the very transaction. Time comes from the event
loop only, so a restart of the control plane begins all graces anew: it withdraws nobody.

Who lost an agent minds it to the end. The replica on duty minds, besides, all agents that no living replica has; so
the end of a replica ends no grace, and where two mind the same one, the second finds nothing left to do.
"""

import asyncio
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Protocol

import structlog

from outrig.control.presence import departed
from outrig.control.proxies import is_dataplane, stays
from outrig.control.replicas import ALONE, Others
from outrig.control.status import Clock, change_workload, utc_now
from outrig.control.tidings import tell_left
from outrig.dialects.conditions import READY, condition_of
from outrig.dialects.kuma.joined import holder_of
from outrig.dialects.onboarding.connection import agent_at
from outrig.dialects.onboarding.registration import task_arn_of
from outrig.dialects.readiness import ReadyReason, with_readiness
from outrig.errors import OutrigError
from outrig.kit.aio import jittered_backoff
from outrig.resources import Key, Resource
from outrig.store.cascade import delete_with_dependents
from outrig.store.protocol import Conflict, NotFound, Store, Unavailable

ASKED_AGAIN = (1.0, 3.0)  # seconds after a loss: ECS learns of an end somewhat later than the stream does

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Graces:
    """How long an agent may be away, in seconds."""

    noticed: float = 1.0
    """Then it says so on registration and entry; who opens its stream anew, as at each renewal, costs no write."""
    disconnected: float = 10.0
    """Then its workload is not ready: callers go elsewhere."""
    removed: float = 300.0
    """Then its registration is deleted, and the workload's entry with it."""
    restarted: float = 60.0
    """In place of `disconnected` for those this control plane has not met yet: agents take a while to come back."""
    deregistered: float = 10.0
    """In place of `removed` for a Dataplane that came by a join."""


class TaskStates(Protocol):
    """Knows how ECS tasks are."""

    async def is_stopped(self, task: str) -> bool:
        """Whether the task of that ARN has stopped for good. Raises OutrigError where that cannot be learned."""
        ...


class _Stage(Enum):
    AWAY = auto()
    NOT_READY = auto()
    REMOVED = auto()


@dataclass(eq=False, slots=True)
class _Absence:
    """A registration whose agent is away, and what will happen if it stays so. `left`: it will not be back."""

    registration: Key
    uid: str
    left: bool = False
    timers: list[asyncio.TimerHandle] = field(default_factory=list)


class Reaper:
    """Keeps the absences. All methods but `run` are synchronous and may be called before it runs.

    `tasks` is asked when an agent is lost, soon after, and when its first grace is over: one whose task has stopped
    will not be back, so what is left of the grace ends.
    """

    def __init__(
        self,
        store: Store,
        graces: Graces,
        *,
        tasks: TaskStates | None = None,
        others: Others = ALONE,
        clock: Clock = utc_now,
    ) -> None:
        self._store, self._graces, self._tasks, self._clock = store, graces, tasks, clock
        self._others = others
        self._absences: dict[Key, _Absence] = {}
        self._due: asyncio.Queue[tuple[_Absence, _Stage]] = asyncio.Queue()
        self._lost: asyncio.Queue[_Absence] = asyncio.Queue()

    def expect(self, registration: Key, uid: str) -> None:
        """There is a registration whose agent is not known to be connected to any replica."""
        known = self._absences.get(registration)
        if known is not None and known.uid == uid:
            return
        absence = self._begin(_Absence(registration, uid))
        self._later(absence, self._graces.disconnected, _Stage.AWAY)
        self._later(absence, self._graces.restarted, _Stage.NOT_READY)
        extra = self._graces.restarted if is_dataplane(registration) else 0.0
        self._later(absence, self._removal(registration) + extra, _Stage.REMOVED)

    def lost(self, registration: Key, uid: str) -> None:
        """Its agent's stream ended, nobody knows why."""
        absence = self._begin(_Absence(registration, uid))
        self._later(absence, self._graces.noticed, _Stage.AWAY)
        self._later(absence, self._graces.disconnected, _Stage.NOT_READY)
        self._later(absence, self._removal(registration), _Stage.REMOVED)
        self._lost.put_nowait(absence)
        loop = asyncio.get_running_loop()
        absence.timers += [loop.call_later(wait, self._lost.put_nowait, absence) for wait in ASKED_AGAIN]

    def left(self, registration: Key, uid: str) -> None:
        """Its agent has drained and gone: it will not come back."""
        self._due.put_nowait((self._begin(_Absence(registration, uid, left=True)), _Stage.REMOVED))

    def back(self, registration: Key) -> None:
        """Its agent is connected."""
        absence = self._absences.pop(registration, None)
        for timer in absence.timers if absence else ():
            timer.cancel()

    def forget(self, registration: Key, uid: str) -> None:
        """The registration is gone; one of the same name may be there already."""
        absence = self._absences.get(registration)
        if absence is not None and absence.uid == uid:
            self.back(registration)

    async def run(self) -> None:
        """Do what is due until cancelled; while the store is away, later."""
        async with asyncio.TaskGroup() as loops:
            loops.create_task(self._work())
            loops.create_task(self._inquire())

    async def _inquire(self) -> None:
        """One after the other: where many are lost at once, joins need AWS more than this does."""
        while True:
            absence = await self._lost.get()
            try:
                stopped = await self._is_stopped(absence)
            except OutrigError as error:
                where = str(absence.registration)
                _log.warning(
                    "not known whether the task has stopped; the grace holds", registration=where, reason=str(error)
                )
                continue
            if stopped:
                _log.info("the task has stopped, its agent will not be back", registration=str(absence.registration))
                absence.left = True
                self._due.put_nowait((absence, _Stage.REMOVED))

    async def _is_stopped(self, absence: _Absence) -> bool:
        if self._tasks is None or not self._holds(absence):
            return False
        registration = await self._store.get(absence.registration)
        task = _task_of(registration) if registration and registration.uid == absence.uid else ""
        return bool(task) and await self._tasks.is_stopped(task)

    async def _work(self) -> None:
        delays = jittered_backoff(first=0.1, ceiling=5.0)
        while True:
            absence, stage = await self._due.get()
            try:
                await self._act(absence, stage)
            except (Unavailable, Conflict) as error:
                _log.warning("absence not recorded yet", registration=str(absence.registration), reason=str(error))
                self._due.put_nowait((absence, stage))
                await asyncio.sleep(next(delays))
            else:
                delays = jittered_backoff(first=0.1, ceiling=5.0)

    def _removal(self, registration: Key) -> float:
        return self._graces.deregistered if is_dataplane(registration) else self._graces.removed

    def _begin(self, absence: _Absence) -> _Absence:
        self.back(absence.registration)
        self._absences[absence.registration] = absence
        return absence

    def _later(self, absence: _Absence, seconds: float, stage: _Stage) -> None:
        loop = asyncio.get_running_loop()
        absence.timers.append(loop.call_later(seconds, self._due.put_nowait, (absence, stage)))

    def _holds(self, absence: _Absence) -> bool:
        return self._absences.get(absence.registration) is absence

    def _is_away(self, absence: _Absence, registration: Resource) -> bool:
        """Whether it still is, as far as is known here and stored."""
        return self._holds(absence) and not self._others.is_other(agent_at(registration))

    async def _act(self, absence: _Absence, stage: _Stage) -> None:
        if not self._holds(absence):
            return
        if stage is not _Stage.AWAY and not absence.left and not self._others.is_steady(self._graces.disconnected):
            self._later(absence, self._graces.disconnected, stage)  # it could not have come back
        elif stage is _Stage.REMOVED:
            await self._remove(absence)
        else:
            await self._mark(absence, ready=stage is _Stage.AWAY)

    async def _mark(self, absence: _Absence, *, ready: bool) -> None:
        """Write down that the agent is away; and, unless the workload is still `ready`, that too."""
        now = self._clock()

        def alter(resource: Resource) -> Resource:
            away = departed(resource, now=now, closed=absence.left)
            if ready or _is_draining(resource):
                return away
            return with_readiness(away, ReadyReason.DISCONNECTED, now=now)

        def still(registration: Resource) -> bool:
            return self._is_away(absence, registration)

        stored = await change_workload(self._store, absence.registration, alter, uid=absence.uid, only=still)
        if not ready and stored and stored.changed:
            _log.info("agent is away, its workload gets no more calls", registration=str(absence.registration))
        if not ready:
            self._lost.put_nowait(absence)

    async def _remove(self, absence: _Absence) -> None:
        stored = await self._store.get(absence.registration)
        if stored is not None and stored.uid == absence.uid and stays(stored):
            await self._mark(absence, ready=False)
            return
        try:
            removed = await self._delete(absence)
        except (NotFound, Conflict):
            return  # deleted, or registered anew, in the meantime
        if removed:
            _log.info("registration removed, its agent is gone", registration=str(absence.registration))
            self.back(absence.registration)

    async def _delete(self, absence: _Absence) -> bool:
        async with self._store.transaction() as tx:
            stored = await tx.get(absence.registration)
            if stored is None or not self._is_away(absence, stored):
                return False
            await delete_with_dependents(tx, absence.registration, uid=absence.uid)
            await tell_left(tx, stored, well=absence.left, now=self._clock())
            return self._holds(absence)


def _task_of(registration: Resource) -> str:
    """The ARN of the ECS task that joined as it; empty if something else did."""
    if not is_dataplane(registration.key):
        return task_arn_of(registration)
    holder = holder_of(registration)
    return holder.principal if holder and ":ecs:" in holder.principal else ""


def _is_draining(resource: Resource) -> bool:
    condition = condition_of(resource.status, READY)
    return condition is not None and condition.reason == ReadyReason.DRAINING
