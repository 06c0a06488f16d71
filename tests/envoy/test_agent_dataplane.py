"""`kuma-dp run` against a real control plane, with a real Envoy: in by token and by role tags, and out again."""

import asyncio
import base64
import json
import signal
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from outrig.ca.authority import new_authority, write_authority
from tests.attacks.scene import AwsServer
from tests.envoy.agent_scene import app, get, load, until
from tests.envoy.dataplane_scene import (
    TEMPLATE,
    DataplaneScene,
    add_address,
    aws_settings,
    own_network,
    scene,
    tell_task,
    variables,
)
from tests.unit.agent_server import ecs_endpoint

pytestmark = pytest.mark.slow
ADDRESS, OTHER = "10.7.1.2", "10.7.1.3"
KV, DEMO = variables("kv-1", ADDRESS), variables("demo-1", OTHER)
PROBED = TEMPLATE.replace(
    "    servicePort: 5050\n",
    "    servicePort: 5050\n    serviceProbe: {interval: 100ms, timeout: 1s, unhealthyThreshold: 1, tcp: {}}\n",
)
CALLER = """
type: Dataplane
mesh: "{{ mesh }}"
name: "{{ dpname }}"
networking:
  address: "{{ address }}"
  inbound:
  - port: 15000
    tags: {kuma.io/service: demo-app, kuma.io/protocol: http}
  outbound:
  - port: 15051
    tags: {kuma.io/service: kv}
"""
BYTES = TEMPLATE.replace("protocol: http", "protocol: kafka")
ALL = {"targetRef": {"kind": "Mesh"}}
EVERYBODY = {
    "type": "MeshTrafficPermission",
    "mesh": "default",
    "name": "all",
    "spec": {**ALL, "from": [{**ALL, "default": {"action": "Allow"}}]},
}


def mtls(backend: Mapping[str, Any]) -> dict[str, Any]:
    """Mutual TLS by that backend alone."""
    return {"enabledBackend": "ca-1", "backends": [{"name": "ca-1", "mode": "STRICT", **backend}]}


@pytest.fixture
def network() -> Iterator[None]:
    with own_network(ADDRESS, OTHER):
        yield


@pytest.fixture
async def mesh(tmp_path: Path, network: None) -> AsyncIterator[DataplaneScene]:
    async with scene(tmp_path) as made:
        yield made


def is_ready(overview: dict[str, Any]) -> bool:
    subscriptions = overview.get("dataplaneInsight", {}).get("subscriptions", ())
    return bool(subscriptions) and "disconnectTime" not in subscriptions[-1]


async def answers(port: int, status: int) -> None:
    """Calls to the caller's outbound get that answer in the end."""
    async with asyncio.timeout(30):
        while True:
            try:
                if await get(port) == status:
                    return
            except (OSError, IndexError, ValueError):
                pass
            await asyncio.sleep(0.02)


async def closes(port: int) -> None:
    """Calls to the caller's outbound are closed in the end."""
    async with asyncio.timeout(30):
        while True:
            try:
                await get(port)
            except (OSError, IndexError, ValueError):
                return
            await asyncio.sleep(0.02)


async def revoke(mesh: DataplaneScene, token: str) -> None:
    claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    revoked = {"data": base64.b64encode(claims["jti"].encode()).decode()}
    name = "dataplane-token-revocations-default"
    await mesh.write("secrets", {"type": "Secret", "mesh": "default", "name": name, **revoked})


async def test_a_data_plane_joins_by_token_is_called_drains_and_is_gone(mesh: DataplaneScene) -> None:
    async with (
        mesh.agent(*KV, "--drain-time", "20s", KUMA_DATAPLANE_RUNTIME_TOKEN=await mesh.token("kv-1")) as kv,
        mesh.agent(*DEMO, template=CALLER, name="demo", KUMA_DATAPLANE_RUNTIME_TOKEN=await mesh.token()) as demo,
        app(5050) as application,
    ):
        await kv.wait_ready()
        await demo.wait_ready()
        assert await kv.probe() == (200, "READY")
        await answers(15051, 200)
        application.release.clear()
        application.waiting.clear()
        held = asyncio.create_task(get(15051))
        await application.waiting.wait()
        kv.process.send_signal(signal.SIGTERM)
        await kv.wait_log("withdrawn from all peers")
        assert await kv.probe() == (503, "TERMINATING")
        application.release.set()
        assert await held == 200
        assert await kv.ended() == 0
        assert kv.envoys() == []
        await mesh.wait_overview("kv-1", lambda found: not found)
        assert await get(15051) == 503, "its listener stays"
        assert is_ready(await mesh.overview("demo-1"))


async def test_a_task_joins_by_the_tags_of_its_role(tmp_path: Path, network: None) -> None:
    aws = AwsServer()
    try:
        tags = {"kuma.io/type": "dataplane", "kuma.io/mesh": "default", "kuma.io/service": "kv"}
        task, wrong = aws.task(aws.role("kv", tags=tags)), aws.task(aws.role("untagged"))
        add_address(task.ip)
        async with scene(tmp_path, **aws_settings(aws)) as mesh, ecs_endpoint() as ecs:
            words = (*variables("kv-1", task.ip), "--auth-type=aws")
            tell_task(ecs, wrong)
            async with mesh.agent(*words, link_local=ecs.url, **ecs.environment) as agent:
                await agent.wait_log("kuma.io/type")
                assert (await agent.probe())[0] == 503
                assert "NOT_READY: OUT515" in (await agent.probe())[1]
            tell_task(ecs, task)
            async with mesh.agent(*words, name="again", link_local=ecs.url, **ecs.environment) as agent:
                await agent.wait_ready()
                assert task.credentials.secret_key not in agent.log
                await mesh.wait_overview("kv-1", is_ready)
    finally:
        aws.close()


async def test_an_inbound_is_in_the_mesh_while_its_service_probe_succeeds(mesh: DataplaneScene) -> None:
    token = await mesh.token()
    async with (
        mesh.agent(*KV, template=PROBED, KUMA_DATAPLANE_RUNTIME_TOKEN=token) as kv,
        mesh.agent(*DEMO, template=CALLER, name="demo", KUMA_DATAPLANE_RUNTIME_TOKEN=token) as demo,
    ):
        await kv.wait_ready()
        await kv.wait_log("inbound 15050 is not ready: connection to 127.0.0.1:5050: Connection refused")
        await demo.wait_ready()
        await answers(15051, 503)
        async with app(5050):
            await answers(15051, 200)
        await answers(15051, 503)
        await kv.wait_log("inbound 15050 is not ready: connection to 127.0.0.1:5050: Connection refused", times=2)
        await kv.wait_log("inbound 15050 is ready", times=1)
        async with app(5050):
            await answers(15051, 200)
        assert await kv.probe() == (200, "READY")  # the workload was ready all the time
        assert kv.log.count("workload is ready") == 1


async def test_a_deleted_data_plane_comes_back_by_itself_with_the_token_of_that_time(
    mesh: DataplaneScene, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text(await mesh.token("kv-1"))
    async with mesh.agent(*KV, "--dataplane-token-file", str(file)) as agent, app(5050):
        await agent.wait_ready()
        (envoy,) = agent.envoys()
        file.write_text("rotated away")
        assert (await mesh.ask("DELETE", "/meshes/default/dataplanes/kv-1")).status_code == 200
        await agent.wait_log(f"OUT518 {file}: does not hold one signed token")
        await agent.wait_probe(200, "READY: not renewed: OUT518")
        assert not await mesh.overview("kv-1")
        file.write_text(await mesh.token("kv-1"))
        await agent.wait_log("joined as kuma-default/kv-1", times=2)
        await mesh.wait_overview("kv-1", is_ready)
        assert agent.envoys() == [envoy]
        assert await agent.probe() == (200, "READY")
        assert agent.log.count("joining anew") == 1


async def test_a_token_that_was_replaced_in_its_file_can_be_revoked_and_the_proxy_stays(
    mesh: DataplaneScene, tmp_path: Path
) -> None:
    first, file = await mesh.token("kv-1"), tmp_path / "token"
    file.write_text(first)
    async with mesh.agent(*KV, "--dataplane-token-file", str(file)) as agent, app(5050):
        await agent.wait_ready()
        (envoy,) = agent.envoys()
        file.write_text(await mesh.token("kv-1"))
        await revoke(mesh, first)
        await agent.wait_log("joined as kuma-default/kv-1", times=2)
        await mesh.wait_overview("kv-1", is_ready)
        assert agent.envoys() == [envoy]


async def test_traffic_goes_on_while_the_control_plane_is_away_and_it_is_found_again(
    tmp_path: Path,
    network: None,
) -> None:
    made = DataplaneScene(tmp_path / "cp", {}, tmp_path)
    made.home.mkdir(mode=0o755)
    async with app(5050):
        async with made.control_plane() as plane:
            agents = made.agent(*KV, KUMA_DATAPLANE_RUNTIME_TOKEN=await made.token())
            agent = await agents.__aenter__()
            try:
                await agent.wait_ready()
                async with load(15050, ADDRESS) as calls:
                    await calls.more(20)
                    plane.process.kill()
                    await plane.process.wait()
                    await agent.wait_log("stream: ")
                    await calls.more(50)
            except BaseException:
                await agents.__aexit__(None, None, None)
                raise
        try:
            async with made.control_plane():
                await agent.wait_log("connected to", times=2)
                await made.wait_overview("kv-1", is_ready)
                assert set(calls.answers) == {200}
        finally:
            await agents.__aexit__(None, None, None)


async def test_of_two_data_planes_that_start_at_once_with_one_name_one_is_in_and_the_other_says_why_it_is_not(
    mesh: DataplaneScene, tmp_path: Path
) -> None:
    files = [tmp_path / "one", tmp_path / "two"]
    for file in files:
        file.write_text(await mesh.token())
    words = [
        (*variables("kv-1", address), "--dataplane-token-file", str(file))
        for address, file in zip((ADDRESS, OTHER), files, strict=True)
    ]
    async with mesh.agent(*words[0]) as one, mesh.agent(*words[1], name="second") as two:
        await until(lambda: "workload is ready" in one.log + two.log and "OUT128" in one.log + two.log)
        (first, second, file) = (one, two, files[1]) if "OUT128" in two.log else (two, one, files[0])
        assert "OUT128" not in first.log
        await second.wait_probe(503, "NOT_READY: OUT515", "is that of a proxy that is connected", "[OUT128, ")
        assert "joined as" not in second.log
        await revoke(mesh, file.read_text())
        await second.wait_probe(503, "NOT_READY: OUT515", "it is revoked [OUT122, ")
        file.write_text(await mesh.token())
        assert await first.probe() == (200, "READY")
        first.process.kill()
        await second.wait_ready()  # the name is free
        assert await second.probe() == (200, "READY")
        assert "joining anew" not in one.log + two.log
        address = OTHER if second is two else ADDRESS
        assert (await mesh.overview("kv-1"))["dataplane"]["networking"]["address"] == address


async def test_an_agent_that_is_started_again_in_place_is_who_it_was(mesh: DataplaneScene) -> None:
    token = await mesh.token()
    names: list[x509.SubjectAlternativeName] = []
    for _ in range(2):
        async with mesh.agent(*KV, KUMA_DATAPLANE_RUNTIME_TOKEN=token) as agent:
            await agent.wait_log("connected to", times=len(names) + 1)
            assert "is that of a proxy that is connected" not in agent.log
            leaf = x509.load_pem_x509_certificate((agent.directory / "control.pem").read_bytes())
            names.append(leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    assert names[0] == names[1]


async def test_a_new_authority_of_the_mesh_renews_certificates_and_loses_no_call(mesh: DataplaneScene) -> None:
    """Each call is a connection, and a handshake, of its own: the service is one of bytes."""
    await mesh.write("meshtrafficpermissions", EVERYBODY)
    await mesh.write("", {"type": "Mesh", "name": "default", "mtls": mtls({"type": "builtin"})})
    token = await mesh.token()
    async with (
        mesh.agent(*KV, template=BYTES, KUMA_DATAPLANE_RUNTIME_TOKEN=token) as kv,
        mesh.agent(*DEMO, template=CALLER, name="demo", KUMA_DATAPLANE_RUNTIME_TOKEN=token) as demo,
        app(5050),
    ):
        await kv.wait_ready()
        await demo.wait_ready()
        await answers(15051, 200)
        files = [one.directory / "workload.json" for one in (kv, demo)]
        old, envoys = {file: file.read_text() for file in files}, kv.envoys()
        async with load(15051) as calls:
            await calls.more(20)
            own = new_authority("own", now=datetime.now(UTC), lifetime=timedelta(days=1))
            data = base64.b64encode(write_authority(own)["key"].encode()).decode()
            await mesh.write("secrets", {"type": "Secret", "mesh": "default", "name": "own-key", "data": data})
            conf = {"cert": {"inlineString": own.pem}, "key": {"secret": "own-key"}}
            given = {"type": "Mesh", "name": "default", "mtls": mtls({"type": "provided", "conf": conf})}
            await mesh.write("", given)
            await until(lambda: all(file.read_text() != text for file, text in old.items()))
            await calls.more(20)
        assert set(calls.answers) == {200}
        assert kv.envoys() == envoys
        assert await kv.probe() == (200, "READY")


def written(name: str, address: str, service: str, *outbounds: str) -> dict[str, Any]:
    """A Dataplane that somebody writes, of bytes, which calls these services at 15051 and up."""
    tags = {"kuma.io/service": service, "kuma.io/protocol": "tcp"}
    inbound = [{"port": 15050, "servicePort": 5050, "tags": tags}]
    outbound = [{"port": 15051 + at, "tags": {"kuma.io/service": one}} for at, one in enumerate(outbounds)]
    networking = {"address": address, "inbound": inbound, "outbound": outbound}
    return {"type": "Dataplane", "mesh": "default", "name": name, "networking": networking}


def permission(service: str) -> dict[str, Any]:
    """That service may call all."""
    callers = {"targetRef": {"kind": "MeshSubset", "tags": {"kuma.io/service": service}}}
    return {**EVERYBODY, "spec": {**ALL, "from": [{**callers, "default": {"action": "Allow"}}]}}


async def test_who_gets_other_tags_is_called_as_them_at_once_and_loses_what_the_old_ones_were_allowed(
    mesh: DataplaneScene,
) -> None:
    """Each call is a connection of its own, as a connection keeps the identity it was opened with."""
    await mesh.write("meshtrafficpermissions", permission("caller"))
    await mesh.write("", {"type": "Mesh", "name": "default", "mtls": mtls({"type": "builtin"})})
    await mesh.write("dataplanes", written("kv-1", ADDRESS, "kv"))
    await mesh.write("dataplanes", written("demo-1", OTHER, "caller", "kv", "other"))
    token = await mesh.token()
    names = [("--name", name, "--mesh", "default") for name in ("kv-1", "demo-1")]
    async with (
        mesh.agent(*names[0], template="", KUMA_DATAPLANE_RUNTIME_TOKEN=token) as kv,
        mesh.agent(*names[1], template="", name="demo", KUMA_DATAPLANE_RUNTIME_TOKEN=token) as demo,
        app(5050),
    ):
        await kv.wait_ready()
        await demo.wait_ready()
        await answers(15051, 200)
        await mesh.write("dataplanes", written("kv-1", ADDRESS, "other"))
        await answers(15052, 200)
        await mesh.write("dataplanes", written("demo-1", OTHER, "renamed", "kv", "other"))
        await closes(15052)
        await mesh.write("meshtrafficpermissions", permission("renamed"))
        await answers(15052, 200)
        for agent in (kv, demo):
            assert agent.log.count("are no longer those of its certificate") == 1
        assert await kv.probe() == (200, "READY")


async def test_a_zone_ingress_is_registered_and_says_that_it_carries_nothing(mesh: DataplaneScene) -> None:
    answer = await mesh.ask("POST", "/tokens/zone", json={"zone": "default", "scope": ["ingress"], "validFor": "1h"})
    template = "{type: ZoneIngress, name: in-1, networking: {address: '%s', port: 10001}}" % ADDRESS  # noqa: UP031
    words = {"template": template, "KUMA_DATAPLANE_RUNTIME_TOKEN": answer.text}
    async with mesh.agent("--proxy-type", "ingress", **words) as agent:
        await agent.wait_log("joined as zoneingress in-1; ")
        await agent.wait_log("connected to")
        status, said = await agent.probe()
        assert (status, said.partition(":")[0]) == (503, "NOT_READY")
        assert "routing is not supported yet" in said
        assert (await mesh.ask("GET", "/zoneingresses/in-1")).status_code == 200
        agent.process.send_signal(signal.SIGTERM)
        assert await agent.ended() == 0


async def test_a_refusal_is_shown_whole(mesh: DataplaneScene) -> None:
    wrong = TEMPLATE.replace("servicePort: 5050", "servicePrt: 5050\n    labls: {}")
    async with mesh.agent(*KV, template=wrong, KUMA_DATAPLANE_RUNTIME_TOKEN=await mesh.token()) as agent:
        await agent.wait_log("networking.inbound[0].servicePrt: unknown field")
        assert "networking.inbound[0].labls: unknown field" in agent.log
    async with mesh.agent(*KV, name="b") as agent:
        await agent.wait_log("joining without a proof")
        await agent.wait_log("OUT515")
