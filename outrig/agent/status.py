"""The workload's state as everybody in the agent sees it; who wants to know waits for the next change.

Beside it stands why the last try to join or renew failed, if it did: it explains the state, and does not make it.
"""

import asyncio
import logging

from outrig.agent.readiness import Verdict
from outrig.wire.stream import State

_log = logging.getLogger(__name__)


class Status:
    """The present verdict. Draining is final. `failure`: why the last join or renewal failed; empty if it did not."""

    def __init__(self) -> None:
        self.verdict = Verdict(State.STARTING, "not joined yet")
        self.failure = ""
        self._changed = asyncio.Event()

    def update(self, verdict: Verdict) -> None:
        """Take a new verdict; waiters wake only if it says something new."""
        if verdict == self.verdict or self.verdict.state is State.DRAINING:
            return
        if verdict.state is not self.verdict.state:
            _log.log(logging.WARNING if verdict.state is State.UNHEALTHY else logging.INFO, "workload is %s", verdict)
        self.verdict = verdict
        self._changed.set()
        self._changed = asyncio.Event()

    @property
    def line(self) -> str:
        """Why things are as they are, in one line; empty if there is nothing to say."""
        match self.verdict.state:
            case State.STARTING if self.failure:
                return self.failure  # whatever it waits for, it waits for this
            case State.READY if self.failure:
                return f"not renewed: {self.failure}"
            case State.UNHEALTHY if self.failure:
                return f"{self.verdict.reason}; not renewed: {self.failure}"
        return self.verdict.reason

    async def wait_other_than(self, seen: Verdict | None) -> Verdict:
        """The present verdict, as soon as it differs from the one already seen."""
        while self.verdict == seen:
            await self._changed.wait()
        return self.verdict

    async def wait_state(self, state: State) -> None:
        """Wait until the workload is in that state."""
        while self.verdict.state is not state:
            await self._changed.wait()
