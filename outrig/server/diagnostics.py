"""`/healthy`, `/ready`, `/metrics`: for load balancers, health checks, Prometheus; nothing secret, nothing writable."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from outrig.store.protocol import Store, Unavailable

Gauges = Mapping[str, tuple[str, Callable[[], float]]]  # name -> what it says, its value now


@dataclass(slots=True)
class Readiness:
    """Whether callers should be sent here: everything serves, nobody asked it to stop, and the store can be read."""

    store: Store
    stopping: asyncio.Event
    serving: bool = False
    store_seconds: float = 2.0
    """How long the store may take to say its revision."""

    async def __call__(self) -> bool:
        """Whether it is so now."""
        return self.serving and not self.stopping.is_set() and await self._reads()

    async def _reads(self) -> bool:
        try:
            async with asyncio.timeout(self.store_seconds):
                await self.store.revision()
        except (Unavailable, TimeoutError):
            return False
        return True


class _Values(Collector):
    def __init__(self, gauges: Gauges, replica: str) -> None:
        self._gauges, self._replica = gauges, replica

    def collect(self) -> list[Metric]:
        told = [GaugeMetricFamily(name, about, value=value()) for name, (about, value) in self._gauges.items()]
        return [*told, InfoMetricFamily("outrig_replica", "Which replica this is.", value={"id": self._replica})]


def diagnostics_app(*, is_ready: Callable[[], Awaitable[bool]], gauges: Gauges, replica: str) -> Starlette:
    """The application of that replica. Metrics are read when they are asked for; nothing is kept in between."""
    registry = CollectorRegistry()
    registry.register(_Values(gauges, replica))
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)

    async def healthy(_: Request) -> Response:
        return PlainTextResponse("healthy\n")

    async def ready(_: Request) -> Response:
        return PlainTextResponse("ready\n") if await is_ready() else PlainTextResponse("not ready\n", 503)

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(registry), media_type="text/plain; version=0.0.4")

    return Starlette(routes=[Route("/healthy", healthy), Route("/ready", ready), Route("/metrics", metrics)])
