"""The agent with a real Envoy: joins, gets ready, recovers, drains, leaves nothing behind."""

import asyncio
import os
import signal
import stat
from base64 import b64decode
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.x509 import load_der_x509_csr

from outrig.wire.stream import Ban, Bye, Rejoin, Renew, Report, State, Welcome, Withdrawn
from tests.envoy.agent_scene import Agent, Scene, app, get, inbound, load, reported, scene, until
from tests.ports import free_port
from tests.unit.agent_server import ONBOARDING, SECRET, TOKEN, refusal

pytestmark = pytest.mark.slow


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[Scene]:
    async with scene(tmp_path) as world:
        yield world


async def test_an_agent_joins_and_is_ready_when_its_application_is(world: Scene) -> None:
    port, application = free_port(), free_port()
    inbound(world.board, port=port, app=application)
    async with world.agent() as agent:
        stream = await world.stream()
        waiting = f"does not accept connections on 127.0.0.1:{application}"
        report = await stream.wait(lambda m: isinstance(m, Report) and waiting in m.reason)
        assert isinstance(report, Report)
        assert report.state == State.STARTING
        status, line = await agent.probe()
        assert status == 503
        assert waiting in line
        assert await agent.probe("/healthy") == (200, "alive")
        async with app(application):
            await reported(stream, State.READY)
            assert await agent.probe() == (200, "ready")
            assert await get(port) == 200
            await until(lambda: '"GET / HTTP/1.1" 200' in agent.out, lambda: agent.out)


async def test_an_application_that_goes_away_makes_the_workload_unhealthy_until_it_is_back(world: Scene) -> None:
    async with world.agent() as agent:
        port = free_port()
        async with app() as application:
            inbound(world.board, port=port, app=application.port)
            stream = await world.stream()
            await reported(stream, State.READY)
        await reported(stream, State.UNHEALTHY)
        async with app(application.port):
            await reported(stream, State.READY)
        assert await agent.probe() in ((200, "ready"), (503, "unhealthy"))


async def test_only_the_owner_can_enter_the_directory_or_talk_to_envoy(world: Scene) -> None:
    async with world.agent() as agent:
        await agent.wait_ready()
        assert stat.S_IMODE(agent.directory.stat().st_mode) == 0o700
        for file in agent.directory.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


async def test_a_killed_envoy_is_started_again_and_the_workload_unhealthy_meanwhile(world: Scene) -> None:
    async with world.agent() as agent:
        stream = await world.stream()
        await reported(stream, State.READY)
        (envoy,) = await _envoys(agent)
        os.kill(envoy, signal.SIGSEGV)
        assert "Envoy is not running" in (await reported(stream, State.UNHEALTHY)).reason
        await reported(stream, State.READY)
        assert await _envoys(agent) != [envoy]
        assert "was killed by signal 11" in agent.log


async def test_sigkill_of_the_agent_leaves_no_envoy(world: Scene) -> None:
    async with world.agent() as agent:
        await agent.wait_ready()
        assert len(await _envoys(agent)) == 1
        agent.process.kill()
        await agent.ended()
        await until(lambda: agent.envoys() == [])


async def test_a_restarted_agent_joins_with_the_same_key(world: Scene) -> None:
    for _ in range(2):
        async with world.agent():
            await world.stream()
    first, second = (load_der_x509_csr(b64decode(request.csr)) for request in world.plane.requests)
    assert first.public_key() == second.public_key()


async def test_a_disk_that_is_full_keeps_the_old_certificates(world: Scene) -> None:
    async with world.agent() as agent:
        stream = await world.stream()
        await reported(stream, State.READY)
        blocked = agent.directory / ".workload.json.new"
        blocked.mkdir()  # stands for any reason why a file cannot be written
        before = (agent.directory / "workload.json").read_text()
        stream.send(Renew("tests want it"))
        await agent.wait_log("OUT517")
        assert (agent.directory / "workload.json").read_text() == before
        blocked.rmdir()
        await agent.wait_log("joined as", times=2)


async def test_a_stream_is_not_followed_elsewhere(world: Scene) -> None:
    """A redirect would lead the agent, with its certificate, where the configuration does not."""
    world.plane.redirect = f"wss://127.0.0.1:{world.plane.port}/elsewhere"
    async with world.agent() as agent:
        await agent.wait_log("refused the stream")
        assert "/elsewhere" not in world.plane.asked


async def test_two_agents_do_not_share_a_directory(world: Scene) -> None:
    async with world.agent() as first:
        await first.wait_ready()
        async with world.agent(name="run") as second:
            assert await second.ended() == 78
            assert "another agent uses it" in second.log
        assert first.process.returncode is None


async def test_secrets_are_never_logged_nor_written(world: Scene) -> None:
    async with world.agent("--log-level", "debug", OUTRIG_DRAIN_SECONDS="1") as agent:
        await agent.wait_ready()
        agent.process.terminate()
        assert await agent.ended() == 0
    written = b"".join(f.read_bytes() for f in world.tmp.rglob("*") if f.is_file())
    assert b"DEBUG" in written
    assert SECRET.encode() not in written
    assert TOKEN.encode() not in written
    assert b"PRIVATE KEY" not in (world.tmp / "run.log").read_bytes()


async def test_losing_control_plane_and_stream_changes_nothing_for_traffic(world: Scene) -> None:
    async with app() as application, world.agent() as agent:
        port = free_port()
        inbound(world.board, port=port, app=application.port)
        stream = await world.stream()
        await reported(stream, State.READY)
        before = await _envoys(agent)
        for _ in range(3):
            stream.drop()
            stream = await world.stream()
            await reported(stream, State.READY)
        assert await get(port) == 200
        assert await _envoys(agent) == before


async def test_a_renewal_swaps_the_certificates_and_the_stream_and_keeps_envoy(world: Scene) -> None:
    async with world.agent() as agent:
        stream = await world.stream()
        await reported(stream, State.READY)
        envoy, first = await _envoys(agent), stream.certificate
        old = (agent.directory / "workload.json").read_text()
        stream.send(Renew("tests want it"))
        second = await world.stream()
        await reported(second, State.READY)
        assert second.certificate != first
        assert (agent.directory / "workload.json").read_text() != old
        assert await _envoys(agent) == envoy


async def test_renewal_comes_by_itself_and_is_tried_again_when_refused(world: Scene) -> None:
    world.plane.template["renew_in"] = 1
    async with world.agent() as agent:
        await world.stream()
        world.plane.refuse.append(refusal(503, code="OUT133", reason="not now"))
        await agent.wait_log("joined as", times=3)
        await agent.wait_log("not now")


async def test_a_rejoin_with_another_identity_starts_envoy_anew(world: Scene) -> None:
    async with world.agent() as agent:
        stream = await world.stream()
        await reported(stream, State.READY)
        before = await _envoys(agent)
        world.plane.template["node_id"] = "bookinfo/ratings-y"
        stream.send(Rejoin("registration deleted"))
        await agent.wait_log("starting Envoy anew")
        await until(lambda: agent.envoys() not in ([], before))
        assert "again in" not in agent.log


async def test_a_ban_stops_envoy_and_ends_the_agent(world: Scene) -> None:
    async with world.agent() as agent:
        stream = await world.stream()
        await reported(stream, State.READY)
        stream.send(Ban("task is quarantined"))
        assert await agent.ended() == 77
        assert agent.envoys() == []
        assert "task is quarantined" in agent.log


async def test_goodbye_makes_the_agent_come_back_later(world: Scene) -> None:
    async with world.agent():
        stream = await world.stream()
        stream.send(Bye("rolling", retry_after=0))
        assert await world.stream()


async def test_garbage_on_the_stream_costs_the_stream_only(world: Scene) -> None:
    async with world.agent() as agent:
        for garbage in ("{", "[]", '{"type":"ban"}', '{"type":"hello","uid":"x","agentVersion":"1"}', "\x00" * 100):
            stream = await world.stream()
            stream.send(Welcome("cp-1"))
            stream.send_text(garbage)
        await world.stream()
        await agent.wait_ready()


async def test_sigterm_drains_before_envoy_ends(world: Scene) -> None:
    """Withdraw first, then let the request in flight finish, then end Envoy."""
    async with app() as application, world.agent() as agent:
        port = free_port()
        inbound(world.board, port=port, app=application.port)
        stream = await world.stream()
        await reported(stream, State.READY)
        application.waiting.clear()
        application.release.clear()
        request = asyncio.create_task(get(port))
        await application.waiting.wait()
        agent.process.terminate()
        await reported(stream, State.DRAINING)
        application.release.set()
        assert await request == 200
        assert await get(port) == 200, "the port stays open until peers have let go"
        application.waiting.clear()
        application.release.clear()
        late = asyncio.create_task(get(port))
        await application.waiting.wait()
        stream.send(Withdrawn(complete=True))
        await agent.wait_log("withdrawn from all peers")
        assert len(await _envoys(agent)) == 1
        application.release.set()
        assert await late == 200
        assert await agent.ended() == 0
        assert agent.envoys() == []


async def test_no_request_fails_through_a_renewal_and_a_drain(world: Scene) -> None:
    """Peers call until they have let go, which the control plane says with `withdrawn`."""
    async with app() as application, world.agent() as agent:
        port = free_port()
        inbound(world.board, port=port, app=application.port)
        stream = await world.stream()
        await reported(stream, State.READY)
        async with load(port) as calls:
            stream.send(Renew("tests want it"))
            stream = await world.stream()
            await calls.more(200)
            agent.process.terminate()
            await reported(stream, State.DRAINING)
            await calls.more(200)
        stream.send(Withdrawn(complete=True))
        assert await agent.ended() == 0
        assert set(calls.answers) == {200}


async def test_a_drain_is_bounded_whatever_the_control_plane_and_the_requests_do(world: Scene) -> None:
    async with app() as application, world.agent(OUTRIG_DRAIN_SECONDS="1") as agent:
        port = free_port()
        inbound(world.board, port=port, app=application.port)
        stream = await world.stream()
        await reported(stream, State.READY)
        application.waiting.clear()
        application.release.clear()
        request = asyncio.create_task(get(port))
        await application.waiting.wait()
        agent.process.terminate()
        assert await agent.ended() == 0
        assert agent.envoys() == []
        with pytest.raises((OSError, IndexError)):
            await request
        application.release.set()


async def test_a_second_sigterm_leaves_at_once(world: Scene) -> None:
    async with world.agent(OUTRIG_DRAIN_SECONDS="120") as agent:
        stream = await world.stream()
        await reported(stream, State.READY)
        agent.process.terminate()
        await reported(stream, State.DRAINING)
        agent.process.send_signal(signal.SIGINT)
        assert await agent.ended() == 143
        assert agent.envoys() == []


async def test_sigterm_while_joining_ends_the_agent_cleanly(world: Scene) -> None:
    world.plane.refuse.extend([refusal()] * 100)
    async with world.agent() as agent:
        await agent.wait_log("Not authorized by OnboardingPolicy")
        agent.process.terminate()
        assert await agent.ended() == 0


async def test_envoys_output_goes_to_the_files_of_the_agent_configuration(world: Scene) -> None:
    file = world.tmp / "access.log"
    agent_config = (
        "apiVersion: config.agent.onboarding.tetrate.io/v1alpha1\nkind: AgentConfiguration\n"
        f"sidecar: {{stdout: {{filename: {file}}}}}\n"
    )
    async with app() as application, world.agent(AGENT_CONFIG=agent_config) as agent:
        port = free_port()
        inbound(world.board, port=port, app=application.port)
        await reported(await world.stream(), State.READY)
        await get(port)
        await until(lambda: "GET / HTTP/1.1" in file.read_text())
        assert agent.out == ""


async def test_envoy_has_nothing_to_warn_of(world: Scene) -> None:
    async with world.agent() as agent:
        await agent.wait_ready()
        assert "[warning]" not in agent.log
        assert "[critical]" not in agent.log
        assert "[error]" not in agent.log


async def test_a_control_plane_given_by_name_is_found_by_agent_and_envoy(world: Scene) -> None:
    by_name = ONBOARDING.format(port=world.plane.port).replace(
        "host: 127.0.0.1", "host: localhost\n  transportSecurity: {tls: {sni: control-plane}}"
    )
    async with world.agent(ONBOARDING_CONFIG=by_name) as agent:
        await agent.wait_ready()


async def test_an_inbound_port_that_is_taken_is_named(world: Scene) -> None:
    async with app() as application, world.agent() as agent:
        inbound(world.board, port=application.port, app=application.port)
        await until(lambda: agent.process.returncode is None and "readiness on" in agent.log)
        stream = await world.stream()
        refused = await stream.wait(lambda m: isinstance(m, Report) and "Address already in use" in m.reason)
        assert isinstance(refused, Report)
        assert refused.state == State.STARTING


async def _envoys(agent: Agent) -> list[int]:
    await until(lambda: len(agent.envoys()) == 1, lambda: f"{agent.envoys()}\n{agent.log}")
    return agent.envoys()
