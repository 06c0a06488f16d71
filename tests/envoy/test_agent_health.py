"""Health with a real Envoy: probes decide, a hung Envoy is replaced, a taken port is taken when it is free."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from outrig.agent.admin import Admin
from outrig.agent.application import Pace
from outrig.agent.configuration import Output
from outrig.agent.envoy import Command, Envoy, find
from outrig.agent.status import Status
from outrig.agent.watching import Watcher
from outrig.wire.probe import Exec, HttpGet, Probe
from outrig.wire.stream import Rejoin, Report, State
from tests.envoy.agent_scene import BOUND, Scene, app, get, inbound, reported, scene
from tests.ports import free_port
from tests.unit.control_making import running

pytestmark = pytest.mark.slow

BOOTSTRAP = '{"admin": {"address": {"pipe": {"path": "./admin.sock", "mode": 384}}}}'


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[Scene]:
    async with scene(tmp_path) as world:
        yield world


def every_second(**method: Any) -> Probe:
    return Probe(0, 1, 1, 1, 1, **method)


async def test_the_probe_of_the_join_decides_and_a_rejoin_brings_another(world: Scene) -> None:
    port, application, flag = free_port(), free_port(), world.tmp / "fine"
    inbound(world.board, port=port, app=application)
    world.plane.template["probe"] = every_second(exec=Exec(("test", "-e", str(flag))))
    async with app(application) as served, world.agent() as agent:
        stream = await world.stream()
        report = await stream.wait(lambda m: isinstance(m, Report) and "command test: ended with status 1" in m.reason)
        assert isinstance(report, Report)
        assert report.state == State.STARTING
        flag.touch()
        await reported(stream, State.READY)
        flag.unlink()
        assert "command test" in (await reported(stream, State.UNHEALTHY)).reason
        world.plane.template["probe"] = every_second(http_get=HttpGet(application, "/health"))
        stream.send(Rejoin("tests want it"))
        stream = await world.stream()
        await reported(stream, State.READY)
        served.release.clear()  # it accepts, and never answers
        assert "no answer within 1 s" in (await reported(stream, State.UNHEALTHY)).reason
        served.release.set()
        await reported(stream, State.READY)
        assert await get(port) == 200
        assert len(agent.envoys()) == 1


async def test_a_port_that_was_taken_is_listened_on_when_it_is_free(world: Scene) -> None:
    async with app() as application, world.agent():
        stream = await world.stream()
        async with app() as holder:
            inbound(world.board, port=holder.port, app=application.port)
            refused = await stream.wait(lambda m: isinstance(m, Report) and "Address already in use" in m.reason)
            assert isinstance(refused, Report)
        await reported(stream, State.READY)
        assert await get(holder.port) == 200


async def test_an_envoy_that_hangs_makes_the_workload_unhealthy_and_is_replaced(tmp_path: Path) -> None:
    """It is stopped, so that its process lives and its admin interface accepts, but says nothing."""
    (tmp_path / "bootstrap.json").write_text(BOOTSTRAP)
    envoy = Envoy(Command(find(""), ("-c", "bootstrap.json"), tmp_path, Output(os.devnull, os.devnull)))
    status = Status()
    pace = Pace(envoy=0.1, silent=0.5, hung=1.0)
    watcher = Watcher(envoy, Admin(str(tmp_path / "admin.sock")), status=status, task=None, pace=pace)
    try:
        async with running(envoy.run(), watcher.run()), asyncio.timeout(BOUND):
            await wait_reason(status, "waits for its configuration")
            hung = envoy.pid
            os.kill(hung, signal.SIGSTOP)
            await wait_reason(status, "Envoy does not answer")
            await wait_reason(status, "waits for its configuration")
            assert envoy.pid not in (0, hung)
    finally:
        await envoy.stop()


async def wait_reason(status: Status, part: str) -> None:
    seen = None
    while part not in status.verdict.reason:
        seen = await status.wait_other_than(seen)
