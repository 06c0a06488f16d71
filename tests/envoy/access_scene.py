"""A mesh of both dialects for tests of permissions: `web` and `demo` call `app` and `kv`.

`web` and `app` are tasks of groups, `demo` and `kv` are Dataplanes. `app` and `kv` are HTTP applications.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.envoy.render_scene import BOUND, NO_ROOTS, Scene, echo_http, running_scene, until
from tests.mesh_making import mesh
from tests.ports import free_port


@dataclass
class Calls:
    """The scene, and how each caller reaches each destination: host and port to connect to, and a Host."""

    scene: Scene
    ways: dict[tuple[str, str], tuple[str, int, str]]

    def client(self) -> httpx.AsyncClient:
        """One that keeps its connections."""
        return httpx.AsyncClient(verify=NO_ROOTS, timeout=BOUND)

    async def get(
        self, caller: str, destination: str, *, by: httpx.AsyncClient | None = None, path: str = "/", **headers: str
    ) -> httpx.Response:
        """A request, on a new connection unless a client is given."""
        address, port, host = self.ways[caller, destination]
        if by is None:
            async with self.client() as fresh:
                return await self.get(caller, destination, by=fresh, path=path, **headers)
        return await by.get(f"http://{address}:{port}{path}", headers={"host": host, **headers})

    async def becomes(self, caller: str, destination: str, status: int, **more: Any) -> httpx.Response:
        """Wait until a request is answered so."""
        answers: list[httpx.Response] = []

        async def answered() -> bool:
            answers.append(await self.get(caller, destination, **more))
            return answers[-1].status_code == status

        await until(answered)
        return answers[-1]


@asynccontextmanager
async def access_scene(directory: Path) -> AsyncIterator[Calls]:
    """All four, the mesh's mutual TLS off."""
    async with running_scene(directory) as scene, echo_http("app") as app, echo_http("kv") as kv:
        scene.apply(mesh(mode=""))
        scene.add_app("app", app, silent=True)
        scene.add_app("web", hosts=["./app.shop.svc.cluster.local", "*/kv.mesh"])
        to_kv, to_app = free_port(), free_port()
        tags = {"kuma.io/service": "kv", "kuma.io/protocol": "http"}
        await scene.start("a1", "app")
        await scene.start_dataplane("kv", inbound=[{"port": scene.port, "servicePort": kv, "tags": tags}])
        await scene.start("w1", "web")
        await scene.start_dataplane(
            "demo",
            inbound=[{"port": free_port(), "tags": {"kuma.io/service": "demo", "team": "blue"}}],
            outbound=[
                {"port": to_kv, "tags": {"kuma.io/service": "kv"}},
                {"port": to_app, "tags": {"kuma.io/service": f"app_shop_svc_{scene.port}"}},
            ],
        )
        ways = {
            ("web", "app"): (scene.binds["web"], scene.port, "app"),
            ("web", "kv"): (scene.binds["web"], scene.port, "kv.mesh"),
            ("demo", "kv"): ("127.0.0.1", to_kv, "anything"),
            ("demo", "app"): ("127.0.0.1", to_app, "anything"),
        }
        yield Calls(scene, ways)
