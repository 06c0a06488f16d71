"""The agent, a real Envoy and an application behind `outrig app-entrypoint`: who ends when, whoever is told first."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from outrig.agent import entrypoint
from outrig.snapshot import CLUSTER, LISTENER
from outrig.wire.stream import State, Withdrawn
from tests.envoy.agent_scene import NODE, Agent, Scene, app, get, inbound, load, reported, scene, until
from tests.envoy.xds_proxy import Board, encoded
from tests.ports import free_port

pytestmark = pytest.mark.slow

# Answers each request and exits at once on SIGTERM, as the examples do; says when it has been told to.
APP = """
import http.server, os, signal, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header('content-length', '0'); self.end_headers()
def stop(*_):
    print('told', flush=True); os._exit(0)
signal.signal(signal.SIGTERM, stop)
http.server.ThreadingHTTPServer(('127.0.0.1', int(sys.argv[1])), Handler).serve_forever()
"""


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[Scene]:
    async with scene(tmp_path) as world:
        yield world


def inbound_bytes(board: Board, *, port: int, app: int) -> None:
    """An inbound listener on 127.0.0.1 that forwards bytes to the application."""
    name, package = f"inbound|{port}||", "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"
    address = {"socket_address": {"address": "127.0.0.1", "port_value": app}}
    assignment = {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}]}
    cluster = {"name": name, "type": "STATIC", "connect_timeout": "1s", "load_assignment": assignment}
    proxy = {"@type": package, "stat_prefix": f"inbound_{port}", "cluster": name}
    listener = {
        "name": f"in:{port}",
        "traffic_direction": "INBOUND",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [{"filters": [{"name": "bytes", "typed_config": proxy}]}],
    }
    board.put(NODE, encoded(CLUSTER, name, cluster), encoded(LISTENER, f"in:{port}", listener))


@asynccontextmanager
async def wrapped(agent: Agent, port: int) -> AsyncIterator[asyncio.subprocess.Process]:
    """The application under an entrypoint that knows the agent's port."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", entrypoint.__file__, "--", sys.executable, "-c", APP, str(port)),
        env={"PATH": os.environ["PATH"], "OUTRIG_READINESS_PORT": str(agent.readiness_port)},
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.communicate()


@pytest.mark.parametrize("first", ["agent", "application", "both"])
async def test_no_request_fails_and_envoy_ends_after_the_application_whoever_is_told_first(
    world: Scene, first: str
) -> None:
    port, application = free_port(), free_port()
    inbound(world.board, port=port, app=application)
    async with world.agent() as agent:
        await agent.wait_log("readiness on")
        async with wrapped(agent, application) as wrapper:
            stream = await world.stream()
            await reported(stream, State.READY)
            async with load(port) as calls:
                await calls.more(50)
                if first != "application":
                    agent.process.terminate()
                if first != "agent":
                    wrapper.terminate()
                await reported(stream, State.DRAINING)
                await calls.more(50)
                assert wrapper.returncode is None
            stream.send(Withdrawn(complete=True))
            assert wrapper.stdout is not None
            assert (await wrapper.stdout.readline()).strip() == b"told"
            assert agent.process.returncode is None, "Envoy is there to the last"
            assert await wrapper.wait() == 0
            if first == "application":  # ECS tells the agent once the application has ended
                agent.process.terminate()
            assert await agent.ended() == 0
            assert set(calls.answers) == {200}
            assert agent.envoys() == []


async def test_whoever_still_calls_is_served_until_the_bound_then_refused(world: Scene) -> None:
    """It has nobody else to call, or has not heard; refused, it may look elsewhere."""
    port, application = free_port(), free_port()
    inbound(world.board, port=port, app=application)
    async with world.agent(OUTRIG_DRAIN_SECONDS="4") as agent:
        await agent.wait_log("readiness on")
        async with wrapped(agent, application) as wrapper:
            stream = await world.stream()
            await reported(stream, State.READY)
            async with load(port) as calls:
                agent.process.terminate()
                await reported(stream, State.DRAINING)
                stream.send(Withdrawn(complete=True))
                await agent.wait_log("withdrawn from all peers")
                await calls.more(100)
                await until(lambda: 0 in calls.answers)
            assert set(calls.answers[: calls.answers.index(0)]) == {200}
            assert await agent.ended() == 0
            assert await wrapper.wait() == 0


async def test_a_tcp_session_is_waited_for_like_a_request(world: Scene) -> None:
    async with app() as application, world.agent() as agent:
        port = free_port()
        inbound_bytes(world.board, port=port, app=application.port)
        stream = await world.stream()
        await reported(stream, State.READY)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"first\r\n\r\n")
        await reader.readuntil(b"ok\n")
        agent.process.terminate()
        await reported(stream, State.DRAINING)
        stream.send(Withdrawn(complete=True))
        await agent.wait_log("withdrawn from all peers")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2.0):  # without the session it would have ended by then
                await agent.process.wait()
        writer.write(b"again\r\n\r\n")
        await reader.readuntil(b"ok\n")
        writer.close()
        assert await agent.ended() == 0


async def test_an_agent_that_dies_holds_no_application_back(world: Scene) -> None:
    port, application = free_port(), free_port()
    inbound(world.board, port=port, app=application)
    async with world.agent() as agent:
        await agent.wait_log("readiness on")
        async with wrapped(agent, application) as wrapper:
            stream = await world.stream()
            await reported(stream, State.READY)
            wrapper.terminate()
            await reported(stream, State.DRAINING)
            agent.process.kill()
            assert await wrapper.wait() == 0


async def test_a_task_that_never_joined_ends_at_once(world: Scene) -> None:
    from tests.unit.agent_server import refusal

    world.plane.refuse.extend([refusal()] * 100)
    async with world.agent() as agent:
        await agent.wait_log("Not authorized by OnboardingPolicy")
        application = free_port()
        async with wrapped(agent, application) as wrapper:

            async def listening() -> bool:
                try:
                    return bool(await get(application))
                except OSError:
                    return False

            async with asyncio.timeout(20):
                while not await listening():
                    await asyncio.sleep(0.02)
            agent.process.terminate()
            assert await wrapper.wait() == 0
            assert await agent.ended() == 0
