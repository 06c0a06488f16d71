"""Being a member: join until accepted, renew before the certificates end, join again when told to.

Nothing here gives up: a refusal may be mended by a policy applied a minute later. The log says why, once, and then
now and again with a count.
"""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

from outrig.agent.joining import Joined, Joins
from outrig.agent.problems import Fatal, JoinRefused
from outrig.agent.status import Status
from outrig.errors import OutrigError
from outrig.kit.aio import jittered_backoff
from outrig.kit.repeats import Repeats

FIRST_WAIT, LONGEST_WAIT = 0.5, 15.0  # seconds between tries
SOONEST = 1.0  # seconds after which it is looked again whether a renewal can gain something
_log = logging.getLogger(__name__)


class Membership:
    """A workload's place in the mesh, kept. `has_another_proof`: whether a join would show another than the last."""

    def __init__(self, joiner: Joins, status: Status, has_another_proof: Callable[[], bool] = lambda: False) -> None:
        self._joiner, self._status, self._has_another_proof = joiner, status, has_another_proof
        self._wake = asyncio.Event()

    def renew(self, reason: str, *, within: float = 0.0) -> None:
        """Do not wait for the next renewal, but at most `within` seconds, at random."""
        wait = random.uniform(0.0, within)  # noqa: S311 - spreads load, guards nothing
        _log.info("joining anew%s: %s", f" in {wait:.1f} s" if within else "", reason)
        asyncio.get_running_loop().call_later(wait, self._wake.set)

    async def joins(self) -> AsyncIterator[Joined]:
        """Each successful join, the first and every renewal, for ever."""
        while True:
            joined = await self._until_accepted()
            yield joined
            await self._until_due(joined)

    async def _until_due(self, joined: Joined) -> None:
        """Until a renewal is due. One that can gain nothing is put off: the certificates end with the proof, and there
        is no other proof yet."""
        left, wait = float(joined.response.expires_in), renewal_wait(joined.response.renew_in)
        while not await self._is_woken(wait):
            left -= wait
            if left <= 0 or not joined.ends_with_proof or self._has_another_proof():
                return
            wait = max(renewal_wait(left / 2), SOONEST)

    async def _is_woken(self, within: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                return await self._wake.wait()
        return False

    async def _until_accepted(self) -> Joined:
        waits, repeats = jittered_backoff(first=FIRST_WAIT, ceiling=LONGEST_WAIT), Repeats()
        while True:
            self._wake.clear()  # what was asked for before a try is done by it
            try:
                joined = await self._joiner.join()
            except Fatal:
                raise
            except OutrigError as error:
                said = repeats.heard(str(error))
                self._status.failure = str(error)
                wait = max(next(waits), asked_wait(error))
                if said:
                    _log.warning("%s; next try in %.1f s", said, wait)
                await asyncio.sleep(wait)
            else:
                self._status.failure = ""
                return joined


def renewal_wait(renew_in: float) -> float:
    """Seconds until a renewal that is due in so many: less at random, for those that joined together to spread.

    Relative to the answer's arrival, so that this task's clock has no part in it.
    """
    return renew_in * random.uniform(0.8, 1.0)  # noqa: S311 - spreads load, guards nothing


def asked_wait(error: OutrigError) -> float:
    """Seconds a refusal asks to wait, a little more at random so that many do not come back together."""
    if not isinstance(error, JoinRefused) or not error.retry_after:
        return 0.0
    return min(error.retry_after, 300) * random.uniform(1.0, 1.2)  # noqa: S311 - spreads load, guards nothing
