"""What callers' proxies send again: what no application can have seen, and nothing else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from outrig.envoy.filters import UNDELIVERED
from tests.envoy.render_scene import Scene, echo_http, running_scene, until
from tests.mesh_making import make, task
from tests.ports import free_port

pytestmark = pytest.mark.slow

BOTH = "both"


class App:
    """An HTTP application that is told what to answer, `None` for nothing at all; it counts what it has seen."""

    def __init__(self, answer: bytes | None) -> None:
        self.answer, self.seen, self.port = answer, 0, 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                self.seen += 1
                if self.answer is None:
                    break
                writer.write(self.answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()


@asynccontextmanager
async def serving(answer: bytes | None) -> AsyncIterator[App]:
    app = App(answer)
    server = await asyncio.start_server(app.serve, "127.0.0.1", 0)
    app.port = server.sockets[0].getsockname()[1]
    try:
        yield app
    finally:
        server.close()


@asynccontextmanager
async def pair(directory: Path, second: int) -> AsyncIterator[Scene]:
    """`web` calls `both`: task g1, whose application echoes, and task s1, whose application is on port `second`."""
    async with running_scene(directory) as scene, echo_http("good") as port:
        scene.add_app("good", port, silent=True)
        scene.add_app("second", second, silent=True)
        scene.add_app("web")
        ports = [{"port": scene.port, "name": "http"}]
        scene.apply(make("Service", BOTH, "shop", {"selector": {BOTH: "yes"}, "ports": ports}))
        for name, app in (("g1", "good"), ("s1", "second")):
            address = await scene.start(name, app)
            scene.apply(replace(task(name, app, address), labels={"app": app, BOTH: "yes"}))
        await scene.start("w1", "web")
        yield scene


async def answers(scene: Scene, number: int = 200) -> list[httpx.Response]:
    """One after the other, on a connection that is kept."""
    url = f"http://{scene.binds['web']}:{scene.port}/"
    async with httpx.AsyncClient(verify=False) as client:  # noqa: S501 - plain HTTP; saves reading the roots
        return [await client.get(url, headers={"host": BOTH}) for _ in range(number)]


async def quit_envoy(scene: Scene, name: str) -> None:
    """Its Envoy ends at once, and nobody tells the callers."""
    transport = httpx.AsyncHTTPTransport(uds=str(scene.directory / name / "admin.sock"))
    async with httpx.AsyncClient(transport=transport, base_url="http://envoy") as client:
        await client.post("/quitquitquit")


async def seen_by(scene: Scene, name: str) -> None:
    async def reached() -> bool:
        return bool(scene.log(name))

    await until(reached)


async def test_an_application_that_is_gone_costs_no_request_while_another_is_there(tmp_path: Path) -> None:
    async with pair(tmp_path, free_port()) as scene:
        got = await answers(scene)
        assert {answer.status_code for answer in got} == {200}
        assert not any(UNDELIVERED in answer.headers for answer in got)
        await seen_by(scene, "s1")
        assert " 503 URX,UF " in scene.log("s1")


async def test_a_proxy_that_is_gone_costs_no_request_while_another_is_there(tmp_path: Path) -> None:
    async with serving(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n") as app, pair(tmp_path, app.port) as scene:
        while not app.seen:
            await scene.call("web", BOTH)
        await quit_envoy(scene, "s1")
        assert {answer.status_code for answer in await answers(scene)} == {200}


async def test_without_another_endpoint_the_caller_hears_503_and_nothing_of_the_mesh(tmp_path: Path) -> None:
    async with running_scene(tmp_path) as scene:
        scene.add_app("ratings", free_port(), silent=True)
        scene.add_app("web")
        await scene.start("r1", "ratings")
        await scene.start("w1", "web")
        answer = await scene.call("web", "ratings")
        assert answer.status_code == 503
        assert UNDELIVERED not in answer.headers


async def test_an_application_cannot_have_its_requests_sent_again(tmp_path: Path) -> None:
    forged = f"HTTP/1.1 503 No\r\n{UNDELIVERED}: true\r\ncontent-length: 0\r\n\r\n".encode()
    async with serving(forged) as app, pair(tmp_path, app.port) as scene:
        got = await answers(scene, 40)
        assert 0 < app.seen == [answer.status_code for answer in got].count(503)
        assert not any(UNDELIVERED in answer.headers for answer in got)


async def test_a_request_that_an_application_has_seen_is_never_sent_again(tmp_path: Path) -> None:
    async with serving(None) as app, pair(tmp_path, app.port) as scene:
        got = await answers(scene, 40)
        assert 0 < app.seen == [answer.status_code for answer in got].count(503)
