"""Looking at Envoy and at the application, and telling `Status` what is seen.

Envoy offers no events, so it is asked: often, with a growing pause, until the workload is ready; then every few
seconds, and at once when its process ends. The application's ports are tried every second. An Envoy that runs but has
stopped answering makes the workload unhealthy, and in the end is killed, so that another takes its place.
"""

import asyncio
import logging
from contextlib import suppress
from dataclasses import replace

from outrig.agent.admin import READINESS_STATS, Admin, Upstream
from outrig.agent.application import USUAL, Application, Pace
from outrig.agent.envoy import Envoy
from outrig.agent.problems import EnvoyFailed
from outrig.agent.readiness import Observed, judge
from outrig.agent.setup import TaskAddress
from outrig.agent.status import Status
from outrig.kit.aio import jittered_backoff
from outrig.wire.probe import PortProbe, Probe
from outrig.wire.stream import State

_log = logging.getLogger(__name__)


class Watcher:
    """Keeps `status` true to what Envoy and the application do. `task`: where ECS tells of it, if it does."""

    def __init__(
        self, envoy: Envoy, admin: Admin, *, status: Status, task: TaskAddress | None, pace: Pace = USUAL
    ) -> None:
        self._envoy, self._admin, self._status, self._pace = envoy, admin, status, pace
        self._application = Application(task, pace, self._judge)
        self._seen: Observed | None = None
        self._upstreams: tuple[Upstream, ...] = ()
        self._heard = 0.0

    def use(self, probe: Probe | None) -> None:
        """The workload's probe is this from now on."""
        self._application.use(probe)

    def use_inbounds(self, probes: tuple[PortProbe, ...]) -> None:
        """The workload is a Dataplane, whose inbounds have these probes from now on."""
        self._application.use_inbounds(probes)

    async def run(self) -> None:
        """Look until cancelled."""
        async with asyncio.TaskGroup() as parts:
            for part in (self._application.run(), self._watch_envoy(), self._watch_ports()):
                parts.create_task(part)

    async def _watch_envoy(self) -> None:
        pauses = jittered_backoff(first=0.05, ceiling=1.0)
        self._heard = asyncio.get_running_loop().time()
        while True:
            if seen := await self._look():
                self._seen = seen
                self._judge()
            if calm := seen is not None and self._status.verdict.state is State.READY:
                pauses = jittered_backoff(first=0.05, ceiling=1.0)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pace.envoy if calm else next(pauses)):
                    await self._envoy.ended.wait()
            self._envoy.ended.clear()

    async def _watch_ports(self) -> None:
        while True:
            await asyncio.sleep(self._pace.ports)
            await self._application.look(self._upstreams)

    async def _look(self) -> Observed | None:
        """What is to be seen now; None if a live Envoy did not answer, as it may when starting or on a busy machine."""
        now = asyncio.get_running_loop().time
        try:
            seen = await self._ask() if self._envoy.running else Observed(running=False)
        except EnvoyFailed as error:
            _log.debug("%s", error)
            return self._bear(now() - self._heard)
        self._heard = now()
        return seen

    def _bear(self, silence: float) -> Observed | None:
        if silence >= self._pace.hung:
            _log.error("Envoy runs, but has not answered for %.0f s: ending it", silence)
            self._envoy.kill()
            self._heard += silence  # its successor gets as long
        return Observed(running=True, silent=True) if silence >= self._pace.silent else None

    async def _ask(self) -> Observed:
        numbers = await self._admin.statistics(READINESS_STATS)
        listeners = await self._admin.listeners()
        self._upstreams = await self._admin.application()
        await self._application.look(self._upstreams)
        return Observed(
            running=True,
            workers_started=numbers.get("listener_manager.workers_started", 0) > 0,
            connected=numbers.get("control_plane.connected_state", 0) > 0,
            configured=numbers.get("listener_manager.lds.update_success", 0) > 0,
            listeners=listeners,
        )

    def _judge(self) -> None:
        if self._seen is not None:
            seen = replace(self._seen, fitness=self._application.fitness)
            self._status.update(judge(self._status.verdict.state, seen))
