"""`/healthy`, `/ready`, `/metrics`: for load balancers, health checks, Prometheus; nothing secret, nothing writable."""

from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

Gauges = Mapping[str, tuple[str, Callable[[], float]]]  # name -> what it says, its value now


class _Values(Collector):
    def __init__(self, gauges: Gauges) -> None:
        self._gauges = gauges

    def collect(self) -> list[GaugeMetricFamily]:
        return [GaugeMetricFamily(name, about, value=value()) for name, (about, value) in self._gauges.items()]


def diagnostics_app(*, is_ready: Callable[[], bool], gauges: Gauges) -> Starlette:
    """The application. Metrics are read when they are asked for; nothing is kept up to date in between."""
    registry = CollectorRegistry()
    registry.register(_Values(gauges))
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)

    async def healthy(_: Request) -> Response:
        return PlainTextResponse("healthy\n")

    async def ready(_: Request) -> Response:
        return PlainTextResponse("ready\n") if is_ready() else PlainTextResponse("not ready\n", 503)

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(registry), media_type="text/plain; version=0.0.4")

    return Starlette(routes=[Route("/healthy", healthy), Route("/ready", ready), Route("/metrics", metrics)])
