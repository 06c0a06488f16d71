"""When a readiness probe is tried, and what its tries add up to.

As in Kubernetes: a first try after the initial delay, then one every period, counted from start to start; so many bad
ones in a row make the application unhealthy, so many good ones healthy. Until it is healthy for the
first time, tries come at least every second, so that no workload waits for a long period to get ready.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from outrig.agent.attempts import attempt, describe
from outrig.wire.probe import Method

EAGER = 1.0  # seconds between tries until the first success


class Tried(Protocol):
    """What is tried, and when: see `wire.probe.Probe`."""

    @property
    def method(self) -> Method: ...

    @property
    def initial_delay(self) -> float: ...

    @property
    def period(self) -> float: ...

    @property
    def timeout(self) -> float: ...

    @property
    def success_threshold(self) -> int: ...

    @property
    def failure_threshold(self) -> int: ...


class Tally:
    """The tries of one probe, added up.

    `healthy`: None as long as neither threshold was reached; `proven`: it was once. `problem`: what was wrong last.
    """

    def __init__(self, probe: Tried) -> None:
        self._probe = probe
        self._good = self._bad = 0
        self.healthy: bool | None = None
        self.proven = False
        self.problem = ""

    def count(self, problem: str) -> None:
        """Take a try's outcome: what was wrong, or nothing."""
        self._good, self._bad = (0, self._bad + 1) if problem else (self._good + 1, 0)
        self.problem = problem or self.problem
        if self._bad >= self._probe.failure_threshold:
            self.healthy = False
        elif self._good >= self._probe.success_threshold:
            self.healthy = self.proven = True


class Prober:
    """Tries the workload's probe for as long as it runs; `on_news` is called whenever the verdict changes."""

    def __init__(self, on_news: Callable[[], None]) -> None:
        self._on_news = on_news
        self._probe: Tried | None = None
        self._tally: Tally | None = None
        self._begun: float | None = None
        self._replaced, self._hurry = asyncio.Event(), asyncio.Event()

    @property
    def has_probe(self) -> bool:
        """Whether there is a probe at all."""
        return self._probe is not None

    @property
    def failing(self) -> str:
        """What is wrong with an application that the probe calls unhealthy."""
        return self._tally.problem if self._tally and self._tally.healthy is False else ""

    @property
    def unproven(self) -> str:
        """What the probe waits for as long as it has no verdict."""
        if self._tally is None or self._tally.healthy is not None:
            return ""
        return self._tally.problem or (f"{describe(self._probe.method)}: not tried yet" if self._probe else "")

    def use(self, probe: Tried | None) -> None:
        """From now on this is the probe. The same again changes nothing."""
        if probe == self._probe:
            return
        self._probe, self._tally = probe, Tally(probe) if probe else None
        self._replaced.set()
        self._on_news()

    def hurry(self) -> None:
        """There is reason to doubt that the application is healthy: try now rather than at the next time."""
        if self._tally and self._tally.healthy:
            self._hurry.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._replaced.clear()
            async with asyncio.TaskGroup() as tasks:
                trying = tasks.create_task(self._try())
                await self._replaced.wait()
                trying.cancel()

    async def _try(self) -> None:
        probe, tally = self._probe, self._tally
        if probe is None or tally is None:
            return
        now = asyncio.get_running_loop().time
        if self._begun is None:
            self._begun = now()
        await asyncio.sleep(max(0.0, self._begun + probe.initial_delay - now()))
        while True:
            started = now()
            self._hurry.clear()
            tally.count(await attempt(probe.method, probe.timeout))
            self._on_news()
            pause = probe.period if tally.proven else min(probe.period, EAGER)
            with suppress(TimeoutError):
                async with asyncio.timeout_at(started + pause):
                    await self._hurry.wait()
