"""What the agent writes, what it starts Envoy with, and where it answers."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from outrig.agent import health_check, probe, rundir
from outrig.agent.bootstrap import XdsServer, bootstrap, concurrency, envoy_arguments, xds_server
from outrig.agent.envoy import find, version_of
from outrig.agent.joining import signing_request
from outrig.agent.leaving import Applications
from outrig.agent.memory import memory
from outrig.agent.problems import CannotWrite, InvalidConfiguration, NoEnvoy, UnusableDirectory
from outrig.agent.readiness import Verdict
from outrig.agent.sds import secret_files
from outrig.agent.status import Status
from outrig.wire.join import JoinResponse
from outrig.wire.stream import State

KEY = ec.generate_private_key(ec.SECP256R1())
JOINED = JoinResponse(
    namespace="bookinfo", registration="r", uid="u", node_id="bookinfo/r", control_chain="CONTROL",
    control_roots="ROOTS", control_plane="spiffe://cluster.local/cp", workload_chain="WORKLOAD", xds_port=5679,
    expires_in=3600, renew_in=1800,
)  # fmt: skip


def test_certificate_and_key_share_a_file_so_that_one_rename_swaps_both() -> None:
    files = secret_files(JOINED, KEY)
    assert sorted(files) == ["control-roots.json", "control.json", "workload.json"]
    (secret,) = json.loads(files["workload.json"])["resources"]
    assert secret["name"] == "workload"
    assert secret["tls_certificate"]["certificate_chain"] == {"inline_string": "WORKLOAD"}
    assert "PRIVATE KEY" in secret["tls_certificate"]["private_key"]["inline_string"]
    (roots,) = json.loads(files["control-roots.json"])["resources"]
    assert roots["validation_context"] == {"trusted_ca": {"inline_string": "ROOTS"}}


def test_a_bootstrap_names_the_node_and_exactly_one_control_plane() -> None:
    found = json.loads(bootstrap(JOINED, "bookinfo/ratings", XdsServer("cp.example", 5679)))
    (cluster,) = found["static_resources"]["clusters"]
    tls = cluster["transport_socket"]["typed_config"]
    names = tls["common_tls_context"]["combined_validation_context"]["default_validation_context"]
    assert found["node"] == {"id": "bookinfo/r", "cluster": "bookinfo/ratings"}
    assert names["match_typed_subject_alt_names"] == [
        {"san_type": "URI", "matcher": {"exact": "spiffe://cluster.local/cp"}}
    ]
    assert cluster["type"] == "STRICT_DNS"
    assert tls["sni"] == "cp.example"
    assert '"/' not in json.dumps(found).replace('"/v', ""), "paths are relative to the agent's directory"


def test_a_bootstrap_keeps_names_that_yaml_would_take_for_booleans() -> None:
    joined = JoinResponse(**{**{f: getattr(JOINED, f) for f in JoinResponse.__slots__}, "node_id": "n"})
    assert json.loads(bootstrap(joined, "g", XdsServer("cp", 1)))["node"]["id"] == "n"


@pytest.mark.parametrize("host", ["10.0.0.1", "fd00::1"])
def test_an_address_is_not_looked_up_and_is_no_sni(host: str) -> None:
    (cluster,) = json.loads(bootstrap(JOINED, "g", XdsServer(host, 1)))["static_resources"]["clusters"]
    assert cluster["type"] == "STATIC"
    assert "sni" not in cluster["transport_socket"]["typed_config"]


def test_xds_is_at_the_host_joined_at_unless_another_is_named() -> None:
    assert xds_server(JOINED, "a") == XdsServer("a", 5679)
    other = JoinResponse(**{**{f: getattr(JOINED, f) for f in JoinResponse.__slots__}, "xds_host": "b"})
    assert xds_server(other, "a") == XdsServer("b", 5679)


@pytest.mark.parametrize(("cpus", "threads"), [(0, 2), (0.25, 1), (1, 1), (2.5, 2), (16, 4), (float("inf"), 4)])
def test_worker_threads_follow_the_tasks_cpu_limit(cpus: float, threads: int) -> None:
    assert concurrency(cpus) == threads


def test_envoy_never_hot_restarts_and_drains_for_seconds() -> None:
    arguments = envoy_arguments(concurrency=1, log_level="warning")
    assert "--disable-hot-restart" in arguments
    assert arguments[arguments.index("--drain-time-s") + 1] == "5"


def test_a_csr_names_nobody_and_proves_possession() -> None:
    request = x509.load_der_x509_csr(signing_request(KEY))
    assert request.is_signature_valid
    assert list(request.subject) == []
    assert list(request.extensions) == []


def test_a_key_is_made_once(tmp_path: Path) -> None:
    with rundir.opened(str(tmp_path / "d")) as directory:
        first = directory.key().public_key()
    with rundir.opened(str(tmp_path / "d")) as directory:
        assert directory.key().public_key() == first


@pytest.mark.parametrize(
    "content", [b"", b"garbage", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_a_spoilt_key_is_named_and_not_replaced(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "key.pem").write_bytes(content)
    with rundir.opened(str(tmp_path)) as directory, pytest.raises(UnusableDirectory, match=r"key\.pem"):
        directory.key()
    assert (tmp_path / "key.pem").read_bytes() == content


def test_a_directory_is_used_by_one_agent_and_free_afterwards(tmp_path: Path) -> None:
    with (
        rundir.opened(str(tmp_path)),
        pytest.raises(UnusableDirectory, match="another agent"),
        rundir.opened(str(tmp_path)),
    ):
        pass
    with rundir.opened(str(tmp_path)):
        pass


def test_a_file_a_link_or_a_long_path_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path)
    for path in (tmp_path / "file", tmp_path / "link", tmp_path / "file" / "below", tmp_path / ("x" * 100)):
        with pytest.raises(UnusableDirectory), rundir.opened(str(path)):
            pass


def test_a_write_is_whole_private_and_does_not_follow_links(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    with rundir.opened(str(tmp_path)) as directory:
        (tmp_path / ".a.json.new").symlink_to(tmp_path / "precious")
        with pytest.raises(CannotWrite):
            directory.write("a.json", "x")
        directory.write("b.json", "y")
    assert (tmp_path / "precious").read_text() == "mine"
    assert (tmp_path / "b.json").stat().st_mode & 0o777 == 0o600


@pytest.fixture
async def served() -> AsyncIterator[tuple[Status, int]]:
    status = Status()
    async with probe.serving(status, 0, Applications()) as port:
        yield status, port


async def _status(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer.partition(b"\r\n")[0].removeprefix(b"HTTP/1.1 ")


async def test_the_probe_follows_the_state(served: tuple[Status, int]) -> None:
    status, port = served
    assert await asyncio.to_thread(health_check.ask, port) == (False, "starting: not joined yet")
    status.update(Verdict(State.READY))
    assert await asyncio.to_thread(health_check.ask, port) == (True, "ready")
    status.update(Verdict(State.DRAINING))
    status.update(Verdict(State.READY))
    assert await asyncio.to_thread(health_check.ask, port) == (False, "draining")


async def test_the_probe_survives_whatever_is_sent_to_it(served: tuple[Status, int]) -> None:
    _, port = served
    assert await _status(port, b"GET /healthy HTTP/1.0\r\n\r\n") == b"200 OK"
    assert await _status(port, b"HEAD /ready HTTP/1.0\r\n\r\n") == b"503 Service Unavailable"
    assert await _status(port, b"GET / HTTP/1.1\r\n\r\n") == b"404 Not Found"
    assert await _status(port, b"POST /ready HTTP/1.1\r\n\r\n") == b"405 Method Not Allowed"
    assert await _status(port, b"\r\n\r\n") == b"405 Method Not Allowed"
    assert await _status(port, b"GET /ready") == b""
    assert await _status(port, b"x" * 20_000) == b""
    assert await _status(port, b"GET /healthy HTTP/1.1\r\n\r\n") == b"200 OK"


async def test_a_taken_readiness_port_is_named(served: tuple[Status, int]) -> None:
    with pytest.raises(InvalidConfiguration, match="OUTRIG_READINESS_PORT"):
        async with probe.serving(Status(), served[1], Applications()):
            pass


def test_no_agent_is_not_healthy() -> None:
    ready, line = health_check.ask(1)
    assert not ready
    assert "no agent answers" in line


async def test_a_binary_that_is_not_envoy_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none", Path("/bin/true"), Path("/bin/false")):
        with pytest.raises(NoEnvoy):
            await version_of(str(path))


async def test_the_installed_envoy_is_found_and_says_its_version() -> None:
    version = await version_of(find(""))
    assert version.split(".")[0].isdecimal()


def test_memory_is_measured() -> None:
    own = memory()
    assert own.rss >= own.pss > 1000
    assert memory(os.getpid()).rss > 1000
    assert memory(2**22 + 1).rss == 0
