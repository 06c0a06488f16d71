"""Bad input at the agents' ports, and agents that are given bad input: one clear line, in the right place."""

import json
import os
import re
import socket
import ssl
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from outrig.agent.configuration import Endpoint, Onboarding
from outrig.agent.control_plane import ControlPlane as Connection
from outrig.agent.identity import TaskIdentity
from outrig.agent.joining import Joiner
from outrig.agent.setup import TaskAddress
from outrig.ca.authority import new_authority
from outrig.errors import OutrigError
from outrig.wire.stream import PATH, SUBPROTOCOL
from tests.attacks.scene import AwsServer, Caller, RunningTask
from tests.e2e.bad_input import (
    DEADLINE,
    GUIDE,
    Answer,
    ControlPlane,
    Member,
    challenge,
    control_plane,
    eventually,
    exchange,
    foreign_client,
    join_request,
    joined,
    post_join,
    read_answer,
    unhurt,
    written,
)

pytestmark = pytest.mark.slow
UPGRADE = {
    "connection": "Upgrade",
    "upgrade": "websocket",
    "sec_websocket_key": "AAAAAAAAAAAAAAAAAAAAAA==",
    "sec_websocket_version": "13",
    "sec_websocket_protocol": SUBPROTOCOL,
    "content_length": "",
}


@pytest.fixture(scope="module")
def aws() -> Iterator[AwsServer]:
    server = AwsServer()
    yield server
    server.close()


@pytest.fixture(scope="module")
def role(aws: AwsServer) -> str:
    return aws.role("ratings")


@pytest.fixture(scope="module")
def member(tmp_path_factory: pytest.TempPathFactory, aws: AwsServer, role: str) -> Iterator[Member]:
    """A control plane with the guide's documents, that one task has joined."""
    directory = tmp_path_factory.mktemp("agents")
    with control_plane(directory / "cp", aws) as plane:
        assert plane.kubectl("apply", "-f", "-", stdin=GUIDE).returncode == 0
        yield joined(plane, aws.task(role), directory)


@pytest.fixture
def plane(member: Member) -> Iterator[ControlPlane]:
    """That control plane, which no test may hurt."""
    with unhurt(member.plane):
        yield member.plane


def refused(answer: Answer, *statuses: int) -> str:
    """What a refusal says."""
    assert answer.status in statuses, answer
    assert set(answer.json) == {"code", "reason", "hint", "reference", "retryAfter"}
    return str(answer.json["reason"])


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"", 400), (b"{", 400), (b"null", 400), (b"\xff", 400), (b"[" * 20_000, 400), (b'{"version":1,"version":1}', 400),
     (b"x" * 80_000, 413), (b"x" * 10_000_000, 413)],
    ids=range(8),
)  # fmt: skip
def test_a_join_that_is_no_join_is_refused(plane: ControlPlane, body: bytes, status: int) -> None:
    assert post_join(plane, body).status == status


def test_every_field_of_a_join_is_checked(member: Member, aws: AwsServer, role: str) -> None:
    plane = member.plane
    sound = join_request(plane, aws.task(role), Caller())
    wrong: list[Any] = [None, "\n", [], {}, True, "\u00e9", "x" * 5000]
    with unhurt(plane):
        told = [post_join(plane, {**sound, "unknown": 1})]
        for value in wrong:
            told += [
                post_join(plane, {**sound, name: value}) for name in ("namespace", "csr", "aws", "ecs", "addresses")
            ]
        for name in sound["aws"]:
            told += [post_join(plane, {**sound, "aws": {**sound["aws"], name: value}}) for value in wrong[:2]]
        for answer in told:
            assert refused(answer, 400, 403)
    assert post_join(plane, sound).status == 200, "the challenge was used up by what was no proof"


def test_an_answer_to_a_challenge_counts_once(member: Member, aws: AwsServer, role: str) -> None:
    request = join_request(member.plane, aws.task(role), Caller())
    assert post_join(member.plane, request).status == 200
    assert "nonce: is unknown, used or expired" in refused(post_join(member.plane, request), 403)


def upgraded(member: Member) -> ssl.SSLSocket:
    """An open stream, nothing said yet."""
    connection = member.plane.connect("agents", certificate=member.identity.files)
    connection.settimeout(DEADLINE)
    connection.sendall(written("GET", PATH, **UPGRADE))
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += connection.recv(1)
    assert b" 101 " in answer, answer
    return connection


def frame(payload: bytes, *, opcode: int = 1, fin: bool = True) -> bytes:
    """A masked frame."""
    length = len(payload)
    head = bytes([fin << 7 | opcode])
    head += bytes([0x80 | length]) if length < 126 else bytes([0x80 | 127]) + struct.pack(">Q", length)
    return head + bytes(4) + payload


HELLO = {"type": "hello", "uid": "another", "agentVersion": "1"}


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame(b"{"), 1008),
        (frame(b"\xff\xfe"), 1008),
        (frame(b"\0" * 10, opcode=2), 1008),
        (frame(json.dumps(HELLO).encode()), 1008),
        (frame(json.dumps({**HELLO, "more": 1}).encode()), 1008),
        (frame(b"x" * 100_000)[:1_000], 1009),  # judged by what it says it will be: nobody waits for the rest
        (b"\x81\xff" + struct.pack(">Q", 2**62) + b"maskxxxx", 1009),
        (b"\x81\x05hello", 1002),
        (b"\xf1\x80mask", 1002),
    ],
    ids=range(9),
)
def test_frames_that_are_not_the_protocol_end_their_stream(member: Member, sent: bytes, code: int) -> None:
    with unhurt(member.plane), upgraded(member) as connection:
        connection.sendall(sent)
        assert closed_with(connection) == code


def closed_with(connection: ssl.SSLSocket) -> int:
    """The code of the close frame, whatever (short) frames come before it."""
    while True:
        opcode, length = connection.recv(1)[0] & 15, connection.recv(1)[0]
        payload = b"".join(connection.recv(1) for _ in range(length))
        if opcode == 8:
            return int.from_bytes(payload[:2], "big")


@pytest.mark.parametrize(
    "sent", [frame(b"x" * 5_000_000), frame(b"", fin=False) + frame(b"x" * 60_000, opcode=0, fin=False) * 100]
)
def test_a_message_of_megabytes_is_cut_off_before_it_ends(member: Member, sent: bytes) -> None:
    before = member.plane.log.read_text().count("code=1009")
    with unhurt(member.plane), upgraded(member) as connection:
        exchange(connection, sent)
        eventually(lambda: member.plane.log.read_text().count("code=1009") > before, "the stream is closed")


def test_frames_that_never_end_or_say_nothing_end_with_the_wait_for_hello(member: Member) -> None:
    endless = frame(b"", fin=False) + frame(b"", opcode=0, fin=False) * 100_000
    with unhurt(member.plane), upgraded(member) as connection, upgraded(member) as silent:
        connection.sendall(endless)
        for waiting in (connection, silent):
            assert closed_with(waiting) in (1008, 1011)  # 1011: its pings were not answered


def test_frames_ahead_of_the_handshake_are_no_fault_of_the_server(plane: ControlPlane) -> None:
    for early in (b"\x81\x05hello", b"\xff" * 2000, frame(b"{") * 1000):
        plane.send("agents", written("GET", PATH, **UPGRADE) + early)
    assert "without completing handshake" not in plane.log.read_text()


def test_a_stream_needs_a_certificate_of_ours(plane: ControlPlane, tmp_path: Path) -> None:
    ask = written("GET", PATH, **UPGRADE)
    assert read_answer(plane.send("agents", ask)).status == 401
    for certificate in (plane.admin, foreign_client(tmp_path).files):
        assert through_tls(plane, ask, certificate) == b""


def through_tls(plane: ControlPlane, sent: bytes, certificate: tuple[Path, Path]) -> bytes:
    """What comes back; nothing if TLS already refuses."""
    try:
        return plane.send("agents", sent, certificate=certificate)
    except OSError:
        return b""


def test_who_asks_too_often_waits_and_nobody_else(plane: ControlPlane) -> None:
    ask = written("POST", "/v1/challenge", connection="keep-alive") * 300 + written("POST", "/v1/challenge")
    answered = asked_from("127.0.0.77", plane, ask).split(b"HTTP/1.1 ")[1:]
    statuses = [int(part[:3]) for part in answered]
    assert set(statuses) == {200, 429}
    assert all(b"retry-after: " in part for part in answered if part.startswith(b"429"))
    assert read_answer(asked_from("127.0.0.78", plane, written("POST", "/v1/challenge"))).status == 200


def asked_from(address: str, plane: ControlPlane, sent: bytes) -> bytes:
    """Ask from an address of this machine."""
    context = ssl.create_default_context(cafile=str(plane.root))
    plain = socket.create_connection(("127.0.0.1", plane.ports["agents"]), source_address=(address, 0))
    with context.wrap_socket(plain, server_hostname="127.0.0.1") as connection:
        return exchange(connection, sent)


@contextmanager
def endpoints(task: RunningTask, role: str) -> Iterator[str]:
    """The two endpoints that ECS gives a container: metadata and credentials."""
    metadata = {"TaskARN": task.arn, "Cluster": task.cluster, "AvailabilityZone": "us-east-1a"}
    credentials = {
        "RoleArn": role,
        "AccessKeyId": task.credentials.access_key,
        "SecretAccessKey": task.credentials.secret_key,
        "Token": task.credentials.token,
    }
    found = {
        "/v4/c/task": metadata,
        "/v4/c": {"Networks": [{"NetworkMode": "awsvpc", "IPv4Addresses": [task.ip]}]},
        "/creds": credentials,
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(found[self.path]).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class Agent:
    """The agent's own code for joining, in this process."""

    plane: ControlPlane
    task: RunningTask
    url: str
    roots: str = ""
    sni: str = ""
    port: int = 0
    group: str = "ratings"
    ahead: timedelta = timedelta()

    async def refused(self) -> str:
        """The one line that its log would show."""
        endpoint = Endpoint("127.0.0.1", self.port or self.plane.ports["agents"], sni=self.sni)
        clock = lambda: datetime.now(UTC) + self.ahead  # noqa: E731
        connection = Connection(endpoint, self.roots or self.plane.root.read_text(), clock)
        joiner = Joiner(
            connection,
            Onboarding(endpoint, "bookinfo", self.group),
            key=ec.generate_private_key(ec.SECP256R1()),
            identity=TaskIdentity(TaskAddress(f"{self.url}/v4/c", "/creds", self.url)),
            envoy_version="1.40.0",
        )
        joiner.clock = clock
        with pytest.raises(OutrigError) as error:
            await joiner.join()
        assert "\n" not in str(error.value)
        return str(error.value)


@pytest.fixture
def agent(plane: ControlPlane, aws: AwsServer, role: str) -> Iterator[Agent]:
    task = aws.task(role)
    with endpoints(task, role) as url:
        yield Agent(plane, task, url)


@pytest.mark.parametrize(("minutes", "way"), [(-10, "behind"), (10, "ahead of")])
async def test_a_clock_that_is_off_is_told_by_how_much(agent: Agent, minutes: int, way: str) -> None:
    agent.ahead = timedelta(minutes=minutes)
    said = await agent.refused()
    assert re.search(rf"this task's clock is (59|60)\d s {way} the control plane's", said), said


async def test_a_clock_years_off_is_told_where_the_certificate_is_judged(agent: Agent) -> None:
    agent.ahead = timedelta(days=-4000)
    assert "clock is 34" in await agent.refused()


async def test_a_wrong_ca_names_the_setting(agent: Agent) -> None:
    agent.roots = new_authority("outrig control plane", now=datetime.now(UTC), lifetime=timedelta(days=1)).pem
    assert "hold the CA of this control plane?" in await agent.refused()


async def test_a_name_that_is_not_the_certificates_names_the_field(agent: Agent) -> None:
    agent.sni = "other.example"
    said = await agent.refused()
    assert "certificate is not valid for 'other.example'" in said
    assert "set transportSecurity.tls.sni to a name the certificate carries" in said


async def test_a_control_plane_that_is_not_there_is_said_so(agent: Agent) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        agent.port = free.getsockname()[1]
    assert "is the control plane running there?" in await agent.refused()


@pytest.mark.parametrize("port", ["xds", "apiHttp", "apiHttps", "diagnostics"])
async def test_a_port_of_something_else_is_one_line(agent: Agent, port: str) -> None:
    agent.port = agent.plane.ports[port]
    said = await agent.refused()
    assert "port for agents, 5678 or 15443?" in said or "something else?" in said or "running there?" in said


async def test_a_missing_group_is_told_to_both_sides(agent: Agent) -> None:
    agent.group = "nosuch"
    said = await agent.refused()
    assert "nosuch" in said
    events = agent.plane.kubectl("get", "events", "-n", "bookinfo")
    assert "OnboardingDenied" in events.stdout
    assert "nosuch" in events.stdout


async def test_credentials_that_aws_does_not_know_are_told(agent: Agent, aws: AwsServer, role: str) -> None:
    gone = RunningTask(agent.task.arn, agent.task.cluster, agent.task.ip, replace(agent.task.credentials, token="gone"))
    with endpoints(gone, role) as url:
        said = await replace(agent, url=url).refused()
    assert "refused by" in said
    assert "credentials" in said


def test_a_proof_for_another_control_plane_is_refused(
    plane: ControlPlane, aws: AwsServer, role: str, tmp_path: Path
) -> None:
    task = aws.task(role)
    with control_plane(tmp_path / "other", aws) as other:
        assert other.kubectl("apply", "-f", "-", stdin=GUIDE).returncode == 0
        with unhurt(other):
            assert refused(post_join(other, join_request(plane, task, Caller())), 403)
            caller, mine, theirs = Caller(), challenge(plane), challenge(other)
            proof = caller.prove(task.credentials, theirs["nonce"], mine["audience"])
            assert "proof" in refused(post_join(other, caller.request(task, proof)), 403)
        foreign = joined(other, task, tmp_path)
        assert through_tls(plane, written("GET", PATH, **UPGRADE), foreign.identity.files) == b""


CONFIGURATION = {
    "apiVersion": "config.agent.onboarding.tetrate.io/v1alpha1",
    "kind": "OnboardingConfiguration",
    "onboardingEndpoint": {"host": "cp"},
    "workloadGroup": {"namespace": "bookinfo", "name": "ratings"},
}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not YAML or JSON"),
        ("[]", "ONBOARDING_CONFIG"),
        (json.dumps({**CONFIGURATION, "kind": "Deployment"}), "kind"),
        (json.dumps({**CONFIGURATION, "workloadGrop": {}}), "did you mean 'workloadGroup'?"),
        (
            json.dumps({**CONFIGURATION, "workloadGroup": {"namespace": 5, "name": "ratings"}}),
            "workloadGroup.namespace",
        ),
        (json.dumps({**CONFIGURATION, "onboardingEndpoint": {"host": "cp", "port": "x"}}), "onboardingEndpoint.port"),
        (json.dumps({**CONFIGURATION, "onboardingEndpoint": None}), "onboardingEndpoint"),
        ("a: &a [*a]", "ONBOARDING_CONFIG"),
        ("[" * 50_000, "ONBOARDING_CONFIG"),
    ],
    ids=range(9),
)
def test_an_agent_with_a_wrong_configuration_does_not_start(tmp_path: Path, text: str, says: str) -> None:
    environment = {"PATH": os.environ["PATH"], "ONBOARDING_CONFIG": text, "OUTRIG_AGENT_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "outrig", "agent", "run"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert done.returncode == 78, done.stderr
    assert says in done.stderr
    assert "ONBOARDING_CONFIG" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""


def test_a_control_plane_stops_in_time_with_agents_connected(aws: AwsServer, role: str, tmp_path: Path) -> None:
    with control_plane(tmp_path / "cp", aws) as plane:
        assert plane.kubectl("apply", "-f", "-", stdin=GUIDE).returncode == 0
        one = joined(plane, aws.task(role), tmp_path)
        with upgraded(one) as connection:
            hello = {"type": "hello", "uid": one.response["uid"], "agentVersion": "1"}
            connection.sendall(frame(json.dumps(hello).encode()))
            eventually(lambda: "outrig_agents_connected 1.0" in metrics(plane), "the agent is connected")
            assert plane.stop() == 0
            assert b"restarting" in exchange(connection, b"")


def metrics(plane: ControlPlane) -> str:
    """All of them."""
    with socket.create_connection(("127.0.0.1", plane.ports["diagnostics"])) as connection:
        return exchange(connection, written("GET", "/metrics")).decode()
