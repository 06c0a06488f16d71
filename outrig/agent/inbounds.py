"""Whether the application behind each inbound of a Dataplane accepts connections, where its author asks for that.

In: the probes of the inbounds that have one. Out: the ports of those that have not succeeded, or fail. An inbound
starts as unready; one without a probe is always ready. Source: Kuma, Dataplane `networking.inbound[].serviceProbe`.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from outrig.agent.probing import Prober
from outrig.wire.probe import PortProbe, TcpSocket

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Connection:
    """A port's probe in the words of `probing.Tried`."""

    method: TcpSocket
    period: float
    timeout: float
    success_threshold: int
    failure_threshold: int
    initial_delay: float = 0.0


class Inbounds:
    """Tries the probes of all inbounds for as long as it runs; `on_news` is called whenever a verdict changes."""

    def __init__(self, on_news: Callable[[], None]) -> None:
        self._on_news = on_news
        self._probers: dict[PortProbe, Prober] = {}
        self._unready: tuple[int, ...] = ()
        self._failing: frozenset[int] = frozenset()
        self._replaced = asyncio.Event()

    @property
    def unready(self) -> tuple[int, ...]:
        """The ports of inbounds that are not ready, in ascending order."""
        return self._unready

    def use(self, probes: tuple[PortProbe, ...]) -> None:
        """From now on these are the probes. Those that were there before go on as they are."""
        if probes == tuple(self._probers):
            return
        self._probers = {probe: self._probers.get(probe) or self._prober(probe) for probe in probes}
        self._replaced.set()
        self._judge()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._replaced.clear()
            async with asyncio.TaskGroup() as tasks:
                trying = [tasks.create_task(prober.run()) for prober in self._probers.values()]
                await self._replaced.wait()
                for one in trying:
                    one.cancel()

    def _prober(self, probe: PortProbe) -> Prober:
        prober = Prober(self._judge)
        where = TcpSocket(probe.target_port, probe.host)
        prober.use(Connection(where, probe.interval, probe.timeout, probe.healthy_threshold, probe.unhealthy_threshold))
        return prober

    def _judge(self) -> None:
        failing = {probe.port: prober.failing for probe, prober in self._probers.items() if prober.failing}
        waiting = {probe.port for probe, prober in self._probers.items() if prober.unproven}
        before, self._unready = self._unready, tuple(sorted({*failing, *waiting}))
        for port in failing.keys() - self._failing:
            _log.warning("inbound %d is not ready: %s", port, failing[port])
        for port in set(before) - set(self._unready):
            _log.info("inbound %d is ready", port)
        self._failing = frozenset(failing)
        if self._unready != before:
            self._on_news()
