"""Joining against a real HTTPS server that answers well or badly, and task endpoints that do."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from outrig.agent.configuration import Endpoint, Onboarding
from outrig.agent.control_plane import ControlPlane, skew
from outrig.agent.identity import TaskIdentity
from outrig.agent.joining import Joined, Joiner
from outrig.agent.membership import Membership, asked_wait
from outrig.agent.problems import BadAnswer, JoinRefused, TaskEndpointFailed, Unreachable, Untrusted
from outrig.agent.setup import TaskAddress
from outrig.agent.status import Status
from outrig.errors import OutrigError
from outrig.kit.repeats import Repeats
from outrig.wire.join import Discovery
from outrig.wire.proof import authorization
from tests.unit.agent_server import (
    CREDENTIALS_PATH,
    SECRET,
    TASK_ARN,
    Ca,
    Ecs,
    FakeControlPlane,
    control_plane,
    ecs_endpoint,
    refusal,
)


@dataclass
class World:
    ecs: Ecs
    plane: FakeControlPlane
    key: ec.EllipticCurvePrivateKey

    def joiner(self, roots: str = "", **endpoint: Any) -> Joiner:
        at = Endpoint(**{"host": "127.0.0.1", "port": self.plane.port, **endpoint})
        onboarding = Onboarding(at, "bookinfo", "ratings", labels={"version": "v5"})
        task = TaskAddress(f"{self.ecs.url}/v4/c1", CREDENTIALS_PATH, self.ecs.url)
        plane = ControlPlane(at, roots or self.plane.ca.pem)
        return Joiner(plane, onboarding, key=self.key, identity=TaskIdentity(task), envoy_version="1.40.0")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with ecs_endpoint() as ecs, control_plane(Ca(), tmp_path) as plane:
        yield World(ecs, plane, ec.generate_private_key(ec.SECP256R1()))


async def refused(joiner: Joiner, kind: type[OutrigError], *says: str) -> str:
    with pytest.raises(kind) as caught:
        await joiner.join()
    for part in says:
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


async def test_a_join_sends_the_tasks_facts_and_a_proof_and_no_secret(world: World) -> None:
    joined = await world.joiner().join()
    assert joined.response.node_id == "bookinfo/ratings-x"
    (request,) = world.plane.requests
    assert (request.ecs.cluster, request.ecs.task_arn) == ("bookinfo", TASK_ARN)
    assert [address.ip for address in request.addresses] == ["10.0.1.7"]
    assert request.labels == {"version": "v5"}
    assert request.aws.region == "us-east-1"
    assert "us-east-1/sts/aws4_request" in authorization(request.aws)
    assert SECRET not in str(request)


async def test_credentials_are_fetched_anew_for_every_proof(world: World) -> None:
    joiner = world.joiner()
    await joiner.join()
    await joiner.join()
    assert world.ecs.asked.count(CREDENTIALS_PATH) == 2
    assert world.plane.asked.count("/v1/challenge") == 2
    assert world.plane.asked.count("/v1/discovery") == 1


async def test_a_proxy_in_the_environment_is_not_used(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    await world.joiner().join()


async def test_a_refusal_names_reason_hint_and_reference(world: World) -> None:
    world.plane.refuse.append(refusal(reason="Not authorized\nby OnboardingPolicy", retry_after=7))
    with pytest.raises(JoinRefused) as caught:
        await world.joiner().join()
    assert "Not authorized by OnboardingPolicy [OUT118, reference r1] (apply one)" in str(caught.value)
    assert 7 <= asked_wait(caught.value) <= 8.4


async def test_a_refusal_with_a_wrong_clock_says_by_how_much(world: World) -> None:
    world.plane.behind = timedelta(hours=1)
    world.plane.refuse.append(refusal(reason="the proof is from the future"))
    await refused(world.joiner(), JoinRefused, "this task's clock is 36", "s ahead of the control plane's")


def test_a_skew_is_said_from_a_minute_on() -> None:
    date, sent = "Sun, 22 Nov 2026 00:00:00 GMT", datetime(2026, 11, 22, tzinfo=UTC)
    assert skew(date, sent + timedelta(seconds=59)) == ""
    assert skew(date, sent + timedelta(seconds=90)) == "this task's clock is 90 s ahead of the control plane's"
    assert skew(date, sent - timedelta(hours=1)) == "this task's clock is 3600 s behind the control plane's"


@pytest.mark.parametrize("date", ["", "yesterday", "Thu, 99 Foo 2026"])
def test_a_date_that_cannot_be_read_says_nothing(date: str) -> None:
    assert skew(date, datetime.now(UTC)) == ""


async def test_another_authority_is_not_believed_and_learns_nothing(world: World) -> None:
    await refused(world.joiner(roots=Ca("other").pem), Untrusted, "ONBOARDING_AGENT_ROOT_CERTS")
    assert world.plane.asked == []


async def test_a_certificate_for_another_name_is_not_believed(world: World) -> None:
    await refused(world.joiner(sni="other.example"), Untrusted, "transportSecurity.tls.sni")
    assert world.plane.asked == []
    await world.joiner(sni="control-plane").join()


async def test_an_expired_certificate_points_at_the_clock(world: World, tmp_path: Path) -> None:
    expired = world.plane.ca.server(tmp_path, lifetime=timedelta(hours=-1))
    async with control_plane(world.plane.ca, tmp_path, tls=expired) as plane:
        await refused(world.joiner(port=plane.port), Untrusted, "expired", "this task's clock says")


async def test_without_verification_anybody_is_believed(world: World) -> None:
    await world.joiner(roots=Ca("other").pem, verify=False).join()


async def test_an_older_tls_is_not_spoken(world: World, tmp_path: Path) -> None:
    old = world.plane.ca.server(tmp_path)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    async with control_plane(world.plane.ca, tmp_path, tls=old) as plane:
        said = await refused(world.joiner(port=plane.port), OutrigError)
        assert "no TLS 1.3 connection" in said or "the connection was cut" in said
        assert plane.asked == []


async def test_a_port_that_speaks_no_tls_is_named_as_such(world: World) -> None:
    async def plain(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        await refused(world.joiner(port=port), Untrusted, "is it the control plane's port for agents, 5678 or 15443?")


async def test_nobody_there_is_said_plainly(world: World) -> None:
    await refused(world.joiner(port=1), Unreachable, "connection refused")


async def test_a_name_that_does_not_resolve_is_said_plainly(world: World) -> None:
    await refused(world.joiner(host="no-such-host.invalid"), Unreachable, "does not resolve", "onboardingEndpoint.host")


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (404, b"<html>", "status 404"),
        (500, b"", "status 500"),
        (200, b"{}", "missing field"),
        (200, b"\xff", "not JSON"),
        (200, b"[" * 100_000, "not JSON"),
        (403, b'{"code":1}', "status 403"),
        (301, b"", "status 301"),
    ],
)
async def test_nonsense_instead_of_an_answer_is_an_error_not_a_crash(
    world: World, status: int, body: bytes, says: str
) -> None:
    world.plane.refuse.append((status, body))
    await refused(world.joiner(), BadAnswer, says)


async def test_an_answer_without_end_is_cut_off(world: World) -> None:
    world.plane.refuse.append((200, b"x" * 2_000_000))
    await refused(world.joiner(), Unreachable, "longer than")


async def test_another_protocol_version_is_named(world: World) -> None:
    world.plane.discovery = Discovery((2, 3), "a", "9")
    await refused(world.joiner(), BadAnswer, "speaks protocol 2, 3, this agent speaks 1")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("control_chain", "other key"),
        ("workload_chain", "expired"),
        ("workload_chain", "not PEM"),
        ("control_roots", ""),
        ("xds_port", 0),
        ("node_id", ""),
        ("renew_in", 0),
    ],
)
async def test_an_answer_envoy_could_not_use_is_refused(world: World, field: str, value: Any) -> None:
    ca = world.plane.ca
    stranger = ec.generate_private_key(ec.SECP256R1()).public_key()
    bad = {
        "other key": ca.issue(stranger, "spiffe://x"),
        "expired": ca.issue(world.key.public_key(), "spiffe://x", lifetime=timedelta(seconds=-1)),
    }
    world.plane.template[field] = bad.get(value, value)
    await refused(world.joiner(), BadAnswer, "join answer")


@pytest.mark.parametrize(
    ("path", "answer", "says"),
    [
        ("/v4/c1", (200, b"{}"), "networkMode awsvpc"),
        ("/v4/c1", (200, b'{"Networks":[{"IPv4Addresses":7}]}'), "networkMode awsvpc"),
        ("/v4/c1", (200, b"[]"), "JSON object"),
        ("/v4/c1", (200, b"x" * 1_100_000), "longer than"),
        ("/v4/c1/task", (404, b""), "status 404"),
        ("/v4/c1/task", (302, b""), "status 302"),
        ("/v4/c1/task", (200, b"<html>"), "did not answer with JSON"),
        ("/v4/c1/task", (200, b'{"Cluster":"c"}'), "TaskARN"),
        ("/v4/c1/task", (200, b'{"Cluster":"c","TaskARN":"arn:aws:s3:::x"}'), "not the ARN of an ECS task"),
        ("/v4/c1/task", (200, json.dumps({"Cluster": 1, "TaskARN": TASK_ARN}).encode()), "Cluster"),
        (CREDENTIALS_PATH, (200, b'{"AccessKeyId":"A"}'), "SecretAccessKey"),
        (CREDENTIALS_PATH, (500, b""), "status 500"),
    ],
)
async def test_a_task_endpoint_that_answers_badly_is_named(
    world: World, path: str, answer: tuple[int, bytes], says: str
) -> None:
    world.ecs.answers[path] = answer
    await refused(world.joiner(), TaskEndpointFailed, says)
    assert "/v1/join" not in world.plane.asked


async def test_a_cluster_given_by_arn_is_passed_on(world: World) -> None:
    arn = "arn:aws:ecs:us-east-1:123456789012:cluster/bookinfo"
    world.ecs.answers["/v4/c1/task"] = (200, json.dumps({"Cluster": arn, "TaskARN": TASK_ARN}).encode())
    await world.joiner().join()
    assert world.plane.requests[0].ecs.cluster == arn


class Flaky:
    """Fails as told, then joins."""

    def __init__(self, joiner: Joiner, failures: list[OutrigError]) -> None:
        self._joiner, self._failures = joiner, failures

    async def join(self) -> Joined:
        if self._failures:
            raise self._failures.pop(0)
        return await self._joiner.join()


async def test_joining_is_tried_until_it_works(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("outrig.agent.membership.FIRST_WAIT", 0.001)
    failures = [Unreachable("cp", "down"), JoinRefused("cp", "no policy"), BadAnswer("cp", "odd")]
    joined = await anext(Membership(Flaky(world.joiner(), failures), Status()).joins())
    assert joined.response.uid == "uid-1"
    assert not failures


def test_equal_reasons_are_said_once_and_then_every_tenth_time() -> None:
    repeats = Repeats()
    said = [repeats.heard(f"no policy [OUT118, reference {i}]") for i in range(25)]
    assert [i for i, line in enumerate(said) if line] == [0, 9, 19]
    assert "(10 times)" in said[9]
    assert repeats.heard("another") == "another"
    assert repeats.heard("no policy [OUT118, reference 99]")


def test_a_wish_to_wait_is_bounded() -> None:
    assert asked_wait(JoinRefused("cp", "x", retry_after=10**9)) <= 360
    assert asked_wait(Unreachable("cp", "x")) == 0
