"""What becomes of registrations whose agent is away: first not ready, in the end removed.

In: who went away, came back, or left for good; whether a lost agent's task has stopped. Out: writes, each only while
the agent is still away. Time comes from the event loop only, so a restart of the control plane begins all graces anew:
it withdraws nobody.
"""

import asyncio
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Protocol

import structlog

from outrig.control.status import Clock, change_workload, utc_now
from outrig.dialects.conditions import READY, condition_of
from outrig.dialects.istio.readiness import ReadyReason, with_readiness
from outrig.dialects.onboarding.connection import without_agent
from outrig.dialects.onboarding.registration import task_arn_of
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

    disconnected: float = 10.0
    """Then its workload is not ready: callers go elsewhere."""
    removed: float = 300.0
    """Then its registration is deleted, and the workload's entry with it."""
    restarted: float = 60.0
    """In place of `disconnected` for those this control plane has not met yet: agents take a while to come back."""


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
    """A registration whose agent is away, and what will happen if it stays so."""

    registration: Key
    uid: str
    timers: list[asyncio.TimerHandle] = field(default_factory=list)


class Reaper:
    """Keeps the absences. All methods but `run` are synchronous and may be called before it runs.

    `tasks` is asked when an agent is lost, soon after, and when its first grace is over: one whose task has stopped
    will not be back, so what is left of the grace ends.
    """

    def __init__(
        self, store: Store, graces: Graces, *, tasks: TaskStates | None = None, clock: Clock = utc_now
    ) -> None:
        self._store, self._graces, self._tasks, self._clock = store, graces, tasks, clock
        self._absences: dict[Key, _Absence] = {}
        self._due: asyncio.Queue[tuple[_Absence, _Stage]] = asyncio.Queue()
        self._lost: asyncio.Queue[_Absence] = asyncio.Queue()

    def expect(self, registration: Key, uid: str) -> None:
        """There is a registration whose agent has not connected to this control plane yet, as far as is known."""
        known = self._absences.get(registration)
        if known is not None and known.uid == uid:
            return
        absence = self._begin(registration, uid)
        self._later(absence, self._graces.restarted, _Stage.NOT_READY)
        self._later(absence, self._graces.removed, _Stage.REMOVED)

    def lost(self, registration: Key, uid: str) -> None:
        """Its agent's stream ended, nobody knows why."""
        absence = self._begin(registration, uid)
        self._due.put_nowait((absence, _Stage.AWAY))
        self._later(absence, self._graces.disconnected, _Stage.NOT_READY)
        self._later(absence, self._graces.removed, _Stage.REMOVED)
        self._lost.put_nowait(absence)
        loop = asyncio.get_running_loop()
        absence.timers += [loop.call_later(wait, self._lost.put_nowait, absence) for wait in ASKED_AGAIN]

    def left(self, registration: Key, uid: str) -> None:
        """Its agent has drained and gone: it will not come back."""
        self._due.put_nowait((self._begin(registration, uid), _Stage.REMOVED))

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
                self._due.put_nowait((absence, _Stage.REMOVED))

    async def _is_stopped(self, absence: _Absence) -> bool:
        if self._tasks is None or not self._holds(absence):
            return False
        registration = await self._store.get(absence.registration)
        task = task_arn_of(registration) if registration and registration.uid == absence.uid else ""
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

    def _begin(self, registration: Key, uid: str) -> _Absence:
        self.back(registration)
        absence = self._absences[registration] = _Absence(registration, uid)
        return absence

    def _later(self, absence: _Absence, seconds: float, stage: _Stage) -> None:
        loop = asyncio.get_running_loop()
        absence.timers.append(loop.call_later(seconds, self._due.put_nowait, (absence, stage)))

    def _holds(self, absence: _Absence) -> bool:
        return self._absences.get(absence.registration) is absence

    async def _act(self, absence: _Absence, stage: _Stage) -> None:
        if not self._holds(absence):
            return
        if stage is _Stage.REMOVED:
            await self._remove(absence)
            return
        await self._mark_away(absence)
        if stage is _Stage.NOT_READY:
            await self._mark_not_ready(absence)
            self._lost.put_nowait(absence)

    async def _mark_away(self, absence: _Absence) -> None:
        now = self._clock()

        def alter(resource: Resource) -> Resource:
            return without_agent(resource, closed=False, now=now) if self._holds(absence) else resource

        await change_workload(self._store, absence.registration, alter, uid=absence.uid)

    async def _mark_not_ready(self, absence: _Absence) -> None:
        now = self._clock()

        def alter(resource: Resource) -> Resource:
            if not self._holds(absence) or _is_draining(resource):
                return resource
            return with_readiness(resource, ReadyReason.DISCONNECTED, now=now)

        _log.info("agent is away, its workload gets no more calls", registration=str(absence.registration))
        await change_workload(self._store, absence.registration, alter, uid=absence.uid)

    async def _remove(self, absence: _Absence) -> None:
        try:
            async with self._store.transaction() as tx:
                if self._holds(absence):
                    await delete_with_dependents(tx, absence.registration, uid=absence.uid)
        except (NotFound, Conflict):
            return  # deleted, or registered anew, in the meantime
        if self._holds(absence):
            _log.info("registration removed, its agent is gone", registration=str(absence.registration))
            self.back(absence.registration)


def _is_draining(resource: Resource) -> bool:
    condition = condition_of(resource.status, READY)
    return condition is not None and condition.reason == ReadyReason.DRAINING
