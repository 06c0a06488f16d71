"""Certificates of a running task: renewed under load, and not renewed for longer than they live."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.envoy.agent_scene import Scene, app, get, inbound, load, scene, until
from tests.ports import free_port
from tests.unit.agent_server import refusal

pytestmark = pytest.mark.slow


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[Scene]:
    async with scene(tmp_path) as world:
        yield world


async def test_renewals_under_load_lose_nothing(world: Scene) -> None:
    world.plane.template["renew_in"] = 1
    async with app() as application, world.agent() as agent:
        port = free_port()
        inbound(world.board, port=port, app=application.port)
        await agent.wait_ready()
        envoys = agent.envoys()
        async with load(port) as calls:
            await agent.wait_log("joined as", times=4)
            await calls.more(50)
        assert set(calls.answers) == {200}
        assert agent.envoys() == envoys


async def test_certificates_that_expired_are_replaced_by_a_later_join_in_the_same_task(world: Scene) -> None:
    """Nothing is restarted: not the agent, not Envoy, whose stream to the control plane had ended with the old ones."""
    world.plane.lifetime, world.plane.template["renew_in"] = timedelta(seconds=3), 1
    async with app() as application, world.agent() as agent:
        port = free_port()
        inbound(world.board, port=port, app=application.port)
        await agent.wait_ready()
        world.plane.refuse.extend([refusal(503, code="OUT133", reason="not now")] * 5)
        await agent.wait_log("not now")
        envoys, held = agent.envoys(), (agent.directory / "workload.json").read_text()
        async with load(port) as calls:
            await until(lambda: not world.plane.refuse)
            assert (agent.directory / "workload.json").read_text() == held, "it keeps what it has"
            joined = agent.log.count("joined as")
            world.plane.lifetime = timedelta(hours=1)
            await agent.wait_log("joined as", times=joined + 2)
            await calls.more(50)
        assert set(calls.answers) == {200}
        other = free_port()
        inbound(world.board, port=other, app=application.port)  # Envoy hears of it: it has a stream again

        async def answers() -> bool:
            try:
                return await get(other) == 200
            except (OSError, IndexError):
                return False

        async with asyncio.timeout(30):
            while not await answers():
                await asyncio.sleep(0.05)
        assert agent.envoys() == envoys
