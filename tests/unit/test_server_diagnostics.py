"""What health checks and Prometheus are told, and which ports are opened."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette

from outrig.ca.authorities import open_authorities
from outrig.server.diagnostics import Readiness, diagnostics_app
from outrig.server.files import DataDir
from outrig.server.ports import Apps, open_ports, ports_of
from outrig.server.settings import load_settings
from outrig.store.memory import MemoryStore
from outrig.store.protocol import Unavailable


class LostStore(MemoryStore):
    """A store whose disk is gone, or hangs."""

    def __init__(self, *, hangs: bool) -> None:
        super().__init__()
        self._hangs = hangs

    async def revision(self) -> int:
        if self._hangs:
            await asyncio.Event().wait()
        raise Unavailable("store", "its disk is gone")


async def get(app: Starlette, path: str) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://x") as client:
        return await client.get(path)


async def test_it_is_ready_when_all_serves_and_until_it_is_asked_to_stop() -> None:
    ready = Readiness(MemoryStore(), asyncio.Event())
    app = diagnostics_app(is_ready=ready, gauges={}, replica="a")
    assert (await get(app, "/ready")).status_code == 503
    ready.serving = True
    assert (await get(app, "/ready")).status_code == 200
    ready.stopping.set()
    assert (await get(app, "/ready")).status_code == 503
    assert (await get(app, "/healthy")).status_code == 200


async def test_it_is_not_ready_while_the_store_cannot_be_read() -> None:
    for store in (LostStore(hangs=False), LostStore(hangs=True)):
        ready = Readiness(store, asyncio.Event(), serving=True, store_seconds=0.01)
        answer = await get(diagnostics_app(is_ready=ready, gauges={}, replica="a"), "/ready")
        assert answer.status_code == 503


async def test_metrics_are_read_when_they_are_asked_for() -> None:
    values = [1.0]
    gauges = {"outrig_x": ("What it says.", lambda: values[0])}
    app = diagnostics_app(is_ready=Readiness(MemoryStore(), asyncio.Event()), gauges=gauges, replica="host-1f2e")
    for value in (1.0, 2.5):
        values[0] = value
        answer = await get(app, "/metrics")
        families = {family.name: family for family in text_string_to_metric_families(answer.text)}
        assert families["outrig_x"].documentation == "What it says."
        assert [sample.value for sample in families["outrig_x"].samples] == [value]
        assert "process_resident_memory_bytes" in families
        assert families["outrig_replica_info"].samples[0].labels == {"id": "host-1f2e"}


async def test_ports_are_opened_as_set_and_plain_http_stays_on_loopback(tmp_path: Path) -> None:
    authorities = await open_authorities(MemoryStore())
    data = DataDir(tmp_path)
    data.prepare()
    data.write_roots(authorities)
    data.write_server(authorities.issue_server(["localhost"]))
    flags = {f"{name}_port": "0" for name in ("agents", "diagnostics", "api_http", "api_https")}
    flags |= {"onboarding_port": "off", "bind": "127.0.0.1", "api_bind": "0.0.0.0"}
    settings = load_settings(file=None, environment={}, flags=flags)
    apps = Apps(Starlette(), Starlette(), Starlette())
    ports = ports_of(settings, apps, data)
    assert {port.name: (port.host, port.tls) for port in ports} == {
        "diagnostics": ("127.0.0.1", None),
        "agents": ("127.0.0.1", data.agents_tls),
        "apiHttp": ("127.0.0.1", None),
        "apiHttps": ("0.0.0.0", data.api_tls),
    }
    async with AsyncExitStack() as stack:
        servings = await open_ports([port for port in ports if port.name != "apiHttps"], stack)
        taken = {serving.port for serving in servings.values()}
        assert len(taken) == 3
        assert 0 not in taken
