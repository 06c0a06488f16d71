"""Whether the application can take calls: its probe, or else its open ports, and what ECS says of its containers.

A Dataplane's inbounds are judged one by one: see `inbounds`.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from outrig.agent.admin import Upstream
from outrig.agent.containers import Containers
from outrig.agent.inbounds import Inbounds
from outrig.agent.probing import Prober
from outrig.agent.readiness import Fitness
from outrig.agent.setup import TaskAddress
from outrig.wire.probe import PortProbe, Probe


@dataclass(frozen=True, slots=True)
class Pace:
    """How often things are looked at, and how long Envoy may be silent. In seconds."""

    envoy: float = 5.0
    """Between looks at Envoy, beside a ready workload."""
    ports: float = 1.0
    """Between looks at the application's ports."""
    containers: float = 5.0
    """Between questions to ECS."""
    silent: float = 10.0
    """Without an answer from Envoy the workload is unhealthy after that long,"""
    hung: float = 30.0
    """and after that long Envoy is ended."""


USUAL: Final = Pace()


class Application:
    """The application beside this agent; `on_news` is called whenever something is known that was not before."""

    def __init__(self, task: TaskAddress | None, pace: Pace, on_news: Callable[[], None]) -> None:
        self._prober, self._inbounds = Prober(on_news), Inbounds(on_news)
        self._by_inbound = False
        self._containers = Containers(task, on_news, every=pace.containers) if task else None
        self._closed: tuple[str, ...] = ()
        self._on_news = on_news

    @property
    def fitness(self) -> Fitness:
        """What is known now."""
        parts = (self._prober.failing, self._shut(), self._unhealthy())
        return Fitness("; ".join(part for part in parts if part), self._prober.unproven, self._inbounds.unready)

    def use(self, probe: Probe | None) -> None:
        """The workload's probe is this from now on."""
        self._prober.use(probe)

    def use_inbounds(self, probes: tuple[PortProbe, ...]) -> None:
        """From now on each inbound is judged by its own probe, and one without by none, not even by its open port."""
        self._by_inbound = True
        self._inbounds.use(probes)

    async def run(self) -> None:
        """Probe, and ask ECS, until cancelled."""
        async with asyncio.TaskGroup() as parts:
            parts.create_task(self._prober.run())
            parts.create_task(self._inbounds.run())
            if self._containers:
                parts.create_task(self._containers.run())

    async def look(self, upstreams: tuple[Upstream, ...]) -> None:
        """See whether the application's ports are open. A closed one is reason to try the probe now."""
        accepted = await asyncio.gather(*(accepts(upstream) for upstream in upstreams))
        closed = tuple(str(upstream) for upstream, open_ in zip(upstreams, accepted, strict=True) if not open_)
        if closed:
            self._prober.hurry()
        if closed != self._closed:
            self._closed = closed
            self._on_news()

    def _shut(self) -> str:
        if self._by_inbound or self._prober.has_probe or not self._closed:
            return ""
        return f"the application does not accept connections on {', '.join(self._closed)}"

    def _unhealthy(self) -> str:
        names = self._containers.unhealthy if self._containers else ()
        return f"ECS says UNHEALTHY of container {', '.join(names)}" if names else ""


async def accepts(upstream: Upstream) -> bool:
    """Whether something listens there. No answer within two seconds is a full backlog: busy, not gone."""
    try:
        async with asyncio.timeout(2.0):
            if upstream.port:
                _, writer = await asyncio.open_connection(upstream.host, upstream.port)
            else:
                path = upstream.host  # Envoy writes the zero byte of an abstract socket as @
                _, writer = await asyncio.open_unix_connection(f"\0{path[1:]}" if path.startswith("@") else path)
    except TimeoutError:
        return True
    except OSError:
        return False
    writer.transport.abort()
    return True
