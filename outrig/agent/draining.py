"""Leaving without losing a request: withdraw, ask peers to go, serve until nobody calls, then end what served.

The whole has one bound, under ECS's `stopTimeout`; each wait has a share of it. Order and reasons: Envoy on SIGTERM
exits at once, so it gets that last, when no peer knows this endpoint any more and no request is in flight. Before that
its ports close, so that a peer that still knows it is refused and calls another. The application's calls to others
need Envoy: it stays until those applications have ended that wait for the drain.
"""

import asyncio
import logging
from collections.abc import Awaitable
from contextlib import suppress

from outrig.agent.admin import Admin, Calls
from outrig.agent.envoy import Envoy
from outrig.agent.leaving import Applications
from outrig.agent.link import Link
from outrig.agent.problems import EnvoyFailed
from outrig.agent.readiness import Verdict
from outrig.agent.status import Status
from outrig.wire.stream import State

LOOK_EVERY = 0.1  # seconds between looks at the requests in flight
QUIET_LOOKS = 10  # in a row: one more request shows that somebody has not let go, or has nobody else to call
# The ends of the waits, in parts of the whole time: for peers to let go, for calls while the ports are open, for calls.
LET_GO, OPEN, SERVED = 0.6, 0.9, 1.0
ENDING = 0.25  # what of it applications have that wait for the drain
_log = logging.getLogger(__name__)


class Drain:
    """The way out."""

    def __init__(self, admin: Admin, *, link: Link, status: Status, applications: Applications) -> None:
        self._admin, self._link, self._status, self._applications = admin, link, status, applications

    async def run(self, envoy: Envoy | None, bound: float) -> None:
        """Drain, have applications end, then Envoy: within `bound` seconds and a little."""
        self._status.update(Verdict(State.DRAINING))
        end = asyncio.get_running_loop().time() + bound
        if envoy and envoy.running:
            await self._leave(bound * (1 - ENDING) if self._applications.waiting else bound)
            _log.info("drained")
        await self._applications.end(end - asyncio.get_running_loop().time())
        if envoy:
            await envoy.stop()
            _log.info("Envoy has ended")

    async def _leave(self, bound: float) -> None:
        begun = asyncio.get_running_loop().time()
        await self._try(self._admin.drain_inbound(), "peers are told by the control plane only")
        try:
            async with asyncio.timeout_at(begun + bound * LET_GO):
                await self._link.withdrawn.wait()
        except TimeoutError:
            _log.warning("no word that peers have let go of this workload; going on")
        await self._try(self._wait_quiet(begun + bound * OPEN), "not waiting for requests in flight")
        await self._try(self._admin.close_inbound(), "its ports stay open until it ends")
        await self._try(self._wait_quiet(begun + bound * SERVED), "not waiting for requests in flight")

    async def _wait_quiet(self, end: float) -> None:
        """Until nobody calls. Who has no other endpoint left still calls, as does who has not let go."""
        quiet, before = 0, Calls(-1, -1)
        with suppress(TimeoutError):
            async with asyncio.timeout_at(end):
                while quiet < QUIET_LOOKS:
                    calls = await self._admin.calls()
                    quiet = quiet + 1 if not calls.active and calls == before else 0
                    before = calls
                    await asyncio.sleep(LOOK_EVERY)

    async def _try(self, what: Awaitable[None], otherwise: str) -> None:
        try:
            await what
        except EnvoyFailed as error:
            _log.warning("%s; %s", error, otherwise)
