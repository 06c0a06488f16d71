"""Leaving without losing a request: withdraw, ask peers to go, wait until nothing is in flight, end Envoy.

The whole has one bound, under ECS's `stopTimeout`; each wait has a share of it. Order and reasons: Envoy on SIGTERM
exits at once, so it gets that last, when no peer knows this endpoint any more and no request is in flight.
"""

import asyncio
import logging
from contextlib import suppress

from outrig.agent.admin import ACTIVE_STATS, Admin
from outrig.agent.envoy import Envoy
from outrig.agent.link import Link
from outrig.agent.problems import EnvoyFailed
from outrig.agent.readiness import Verdict
from outrig.agent.status import Status
from outrig.wire.stream import State

LOOK_EVERY = 0.1  # seconds between looks at the requests in flight
QUIET_LOOKS = 3  # in a row: a request may still be on the wire at the first
_log = logging.getLogger(__name__)


class Drain:
    """The way out."""

    def __init__(self, envoy: Envoy, admin: Admin, *, link: Link, status: Status) -> None:
        self._envoy, self._admin, self._link, self._status = envoy, admin, link, status

    async def run(self, bound: float) -> None:
        """Drain and end Envoy, within `bound` seconds and a little."""
        self._status.update(Verdict(State.DRAINING))
        if self._envoy.running:
            with suppress(TimeoutError):
                async with asyncio.timeout(bound):
                    await self._leave(bound)
        await self._envoy.stop()
        _log.info("Envoy has ended")

    async def _leave(self, bound: float) -> None:
        try:
            await self._admin.drain_inbound()
        except EnvoyFailed as error:
            _log.warning("%s; peers are told by the control plane only", error)
        try:
            async with asyncio.timeout(bound / 2):
                await self._link.withdrawn.wait()
        except TimeoutError:
            _log.warning("no word that peers have let go of this workload; going on")
        await self._wait_quiet()

    async def _wait_quiet(self) -> None:
        quiet = 0
        try:
            while quiet < QUIET_LOOKS:
                active = sum((await self._admin.statistics(ACTIVE_STATS)).values())
                quiet = 0 if active else quiet + 1
                await asyncio.sleep(LOOK_EVERY)
        except EnvoyFailed as error:
            _log.warning("%s; not waiting for requests in flight", error)
