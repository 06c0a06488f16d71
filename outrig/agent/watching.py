"""Looking at Envoy and at the application's ports, and telling `Status` what is seen.

Envoy offers no events, so it is asked: often, with a growing pause, until the workload is ready; then every few
seconds, and at once when its process ends.
"""

import asyncio
import logging
from contextlib import suppress

from outrig.agent.admin import READINESS_STATS, Admin, Upstream
from outrig.agent.envoy import Envoy
from outrig.agent.problems import EnvoyFailed
from outrig.agent.readiness import Observed, judge
from outrig.agent.status import Status
from outrig.kit.aio import jittered_backoff
from outrig.wire.stream import State

WATCH_EVERY = 5.0  # seconds between looks at a ready workload
SILENCE = 3  # looks in a row that Envoy may leave unanswered before it counts as not running
_log = logging.getLogger(__name__)


class Watcher:
    """Keeps `status` true to what Envoy and the application do."""

    def __init__(self, envoy: Envoy, admin: Admin, *, status: Status) -> None:
        self._envoy, self._admin, self._status = envoy, admin, status
        self._silent = 0

    async def run(self) -> None:
        """Look until cancelled."""
        pauses = jittered_backoff(first=0.05, ceiling=1.0)
        while True:
            if seen := await self.look():
                self._status.update(judge(self._status.verdict.state, seen))
            ready = self._status.verdict.state is State.READY
            if ready:
                pauses = jittered_backoff(first=0.05, ceiling=1.0)
            with suppress(TimeoutError):
                async with asyncio.timeout(WATCH_EVERY if ready else next(pauses)):
                    await self._envoy.ended.wait()
            self._envoy.ended.clear()

    async def look(self) -> Observed | None:
        """What is to be seen now; None if a live Envoy did not answer, as it may when starting or on a busy machine."""
        if not self._envoy.running:
            return Observed(running=False)
        try:
            seen = await self._ask()
        except EnvoyFailed as error:
            _log.debug("%s", error)
            self._silent += 1
            return Observed(running=False) if self._silent >= SILENCE else None
        self._silent = 0
        return seen

    async def _ask(self) -> Observed:
        numbers = await self._admin.statistics(READINESS_STATS)
        upstreams = await self._admin.application()
        open_now = await asyncio.gather(*(accepts(upstream) for upstream in upstreams))
        return Observed(
            running=True,
            workers_started=numbers.get("listener_manager.workers_started", 0) > 0,
            connected=numbers.get("control_plane.connected_state", 0) > 0,
            configured=numbers.get("listener_manager.lds.update_success", 0) > 0,
            listeners=await self._admin.listeners(),
            closed=tuple(str(u) for u, accepted in zip(upstreams, open_now, strict=True) if not accepted),
        )


async def accepts(upstream: Upstream) -> bool:
    """Whether something listens there. No answer within two seconds is a full backlog: busy, not gone."""
    try:
        async with asyncio.timeout(2.0):
            if upstream.port:
                _, writer = await asyncio.open_connection(upstream.host, upstream.port)
            else:
                _, writer = await asyncio.open_unix_connection(upstream.host)
    except TimeoutError:
        return True
    except OSError:
        return False
    writer.transport.abort()
    return True
