"""Being a member: join until accepted, renew before the certificates end, join again when told to.

Nothing here gives up: a refusal may be mended by a policy applied a minute later. The log says why, once, and then
now and again with a count.
"""

import asyncio
import logging
import random
from collections.abc import AsyncIterator
from contextlib import suppress

from outrig.agent.joining import Joined, Joins
from outrig.agent.problems import Fatal, JoinRefused
from outrig.agent.readiness import Verdict
from outrig.agent.status import Status
from outrig.errors import OutrigError
from outrig.kit.aio import jittered_backoff
from outrig.wire.stream import State

FIRST_WAIT, LONGEST_WAIT = 0.5, 15.0  # seconds between tries
SAY_EVERY = 10  # how many equal failures make another line
_log = logging.getLogger(__name__)


class Membership:
    """A workload's place in the mesh, kept."""

    def __init__(self, joiner: Joins, status: Status) -> None:
        self._joiner, self._status = joiner, status
        self._wake = asyncio.Event()

    def renew(self, reason: str, *, within: float = 0.0) -> None:
        """Do not wait for the next renewal, but at most `within` seconds, at random."""
        wait = random.uniform(0.0, within)  # noqa: S311 - spreads load, guards nothing
        _log.info("joining anew in %.1f s: %s", wait, reason)
        asyncio.get_running_loop().call_later(wait, self._wake.set)

    async def joins(self) -> AsyncIterator[Joined]:
        """Each successful join, the first and every renewal, for ever."""
        while True:
            self._wake.clear()
            joined = await self._until_accepted()
            yield joined
            with suppress(TimeoutError):
                async with asyncio.timeout(renewal_wait(joined.response.renew_in)):
                    await self._wake.wait()

    async def _until_accepted(self) -> Joined:
        waits, repeats = jittered_backoff(first=FIRST_WAIT, ceiling=LONGEST_WAIT), Repeats()
        while True:
            try:
                return await self._joiner.join()
            except Fatal:
                raise
            except OutrigError as error:
                said = repeats.heard(str(error))
                if self._status.verdict.state is State.STARTING:
                    self._status.update(Verdict(State.STARTING, str(error)))
                wait = max(next(waits), asked_wait(error))
                if said:
                    _log.warning("%s; next try in %.1f s", said, wait)
                await asyncio.sleep(wait)


class Repeats:
    """Which of many equal failures are worth a line: the first, and every tenth with its count."""

    def __init__(self) -> None:
        self._last, self._count = "", 0

    def heard(self, reason: str) -> str:
        """The line to write, or nothing. A reference differs each time; it does not make a reason new."""
        known = reason.partition(", reference ")[0]
        self._count = self._count + 1 if known == self._last else 1
        self._last = known
        if self._count == 1:
            return reason
        return f"{reason} ({self._count} times)" if self._count % SAY_EVERY == 0 else ""


def renewal_wait(renew_in: int) -> float:
    """Seconds until a renewal that is due in so many: less at random, for those that joined together to spread.

    Relative to the answer's arrival, so that this task's clock has no part in it.
    """
    return renew_in * random.uniform(0.8, 1.0)  # noqa: S311 - spreads load, guards nothing


def asked_wait(error: OutrigError) -> float:
    """Seconds a refusal asks to wait, a little more at random so that many do not come back together."""
    if not isinstance(error, JoinRefused) or not error.retry_after:
        return 0.0
    return min(error.retry_after, 300) * random.uniform(1.0, 1.2)  # noqa: S311 - spreads load, guards nothing
