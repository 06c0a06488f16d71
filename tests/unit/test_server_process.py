"""`outrig cp` as a program: what a first start leaves, what a second one keeps, and how it ends."""

import asyncio
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import yaml

pytestmark = pytest.mark.slow

PORTS = ("agents", "onboarding", "xds", "diagnostics", "api_http", "api_https")
BOUND = 60


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "outrig", "cp", *words]


def environment(**variables: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("OUTRIG_", "GRPC_"))}
    return inherited | {f"OUTRIG_{name.upper()}_PORT": "0" for name in PORTS} | {"OUTRIG_BIND": "127.0.0.1"} | variables


def run(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """The command, run to its end."""
    return subprocess.run(
        command(*words), env=environment(**variables), capture_output=True, text=True, timeout=BOUND, check=False
    )


class Plane:
    """A control plane that said it is ready."""

    def __init__(self, process: asyncio.subprocess.Process, home: Path) -> None:
        self.process, self.home = process, home
        self.ports: dict[str, int] = json.loads((home / "ports.json").read_text())

    def url(self, port: str, path: str) -> str:
        return f"http{'s' if port == 'apiHttps' else ''}://127.0.0.1:{self.ports[port]}{path}"

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """Its exit status and what it wrote to standard error."""
        self.process.send_signal(number)
        async with asyncio.timeout(BOUND):
            _, errors = await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode, errors.decode()


@asynccontextmanager
async def running(home: Path, *words: str, **variables: str) -> AsyncIterator[Plane]:
    process = await asyncio.create_subprocess_exec(
        *command("run", "--data-dir", str(home), *words),
        env=environment(**variables),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(BOUND):
            assert await process.stdout.readline() == b"control plane ready\n"
        yield Plane(process, home)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def trust(plane: Plane) -> ssl.SSLContext:
    """What an agent trusts."""
    return ssl.create_default_context(cadata=(plane.home / "onboarding-root.pem").read_text())


def client(plane: Plane) -> httpx.AsyncClient:
    """A client of the API with the administrator's token."""
    token = (plane.home / "admin-token").read_text().strip()
    return httpx.AsyncClient(verify=trust(plane), headers={"authorization": f"Bearer {token}"}, timeout=BOUND)


async def test_the_first_start_writes_what_one_needs_and_says_ready_when_it_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    async with running(tmp_path) as plane, client(plane) as caller:
        assert (await caller.get(plane.url("diagnostics", "/ready"))).status_code == 200
        assert (await caller.get(plane.url("apiHttps", "/api/v1/namespaces/default"))).status_code == 200
        assert plane.ports.keys() == {"xds", "agents", "onboarding", "diagnostics", "apiHttp", "apiHttps"}
        cluster = yaml.safe_load((tmp_path / "kubeconfig").read_text())["clusters"][0]["cluster"]
        assert cluster["server"] == plane.url("apiHttps", "")
        secret = ("admin-token", "audit.log", "kubeconfig", "outrig.db", "tls/server-key.pem")
        assert {(tmp_path / name).stat().st_mode & 0o077 for name in secret} == {0}
        await writes_are_audited_in_a_file_that_may_be_moved_away(plane, caller)
        assert await plane.stop() == (0, "")


async def writes_are_audited_in_a_file_that_may_be_moved_away(plane: Plane, caller: httpx.AsyncClient) -> None:
    namespaces = plane.url("apiHttps", "/api/v1/namespaces")
    log, before = plane.home / "audit.log", plane.home / "audit.1"
    for name, number in (("first", signal.SIGHUP), ("second", None)):
        document = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        assert (await caller.post(namespaces, json=document)).status_code == 201
        if number:
            log.rename(before)
            plane.process.send_signal(number)
            async with asyncio.timeout(BOUND):
                while not log.exists():
                    await asyncio.sleep(0.01)
    lines = [json.loads(text) for file in (before, log) for text in file.read_text().splitlines()]
    assert [(line["name"], line["user"], line["code"]) for line in lines] == [
        ("first", "admin", 201),
        ("second", "admin", 201),
    ]
    certificates = (await caller.get(plane.url("apiHttps", "/outrig/v1/certificates"))).json()["items"]
    assert [(row["user"], row["issuedBy"]) for row in certificates] == [("admin", "outrig")]


async def test_a_second_start_keeps_the_credentials_of_the_first(tmp_path: Path) -> None:
    kept = ("admin-token", "kubeconfig", "onboarding-root.pem", "tls/control-ca.pem", "tls/clients-ca.pem")
    async with running(tmp_path) as plane:
        before = {name: (tmp_path / name).read_bytes() for name in kept}
        port = str(plane.ports["apiHttps"])
        assert (await plane.stop(signal.SIGINT))[0] == 0
    said = ("--set", f"api_https_port={port}", "--log-level", "debug")
    async with running(tmp_path, *said) as plane, client(plane) as caller:
        assert {name: (tmp_path / name).read_bytes() for name in kept} == before
        assert (await caller.get(plane.url("apiHttps", "/api/v1/namespaces?limit=7"))).status_code == 200
        document = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a", "labels": {"secret": "hush"}}}
        assert (await caller.post(plane.url("apiHttps", "/api/v1/namespaces"), json=document)).status_code == 201
        wrong = {"authorization": "Bearer nearly"}
        assert (await caller.get(plane.url("apiHttps", "/config"), headers=wrong)).status_code == 401
        _, errors = await plane.stop()
    every_answer_is_a_line_at_debug(errors, before["admin-token"].decode())


def every_answer_is_a_line_at_debug(errors: str, token: str) -> None:
    lines = [line.split(" event=")[1].strip('"') for line in errors.splitlines() if " event=" in line]
    assert [line for line in lines if line.startswith("request ")] == [
        "request user='admin' verb=list path='/api/v1/namespaces' code=200",
        "request user='admin' verb=create path='/api/v1/namespaces' code=201",
        "request user='' verb=get path='/config' code=401",
    ]
    for secret in (token.strip(), "nearly", "hush", "limit"):
        assert secret not in errors


def turned_away(port: int, context: ssl.SSLContext | None) -> bool:
    """Whether the connection is ended on a caller that has no certificate of ours."""
    with socket.create_connection(("127.0.0.1", port), timeout=BOUND) as plain:
        try:
            with context.wrap_socket(plain, server_hostname="127.0.0.1") if context else plain as caller:
                caller.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
                return caller.recv(1) == b""
        except (ConnectionError, ssl.SSLError):
            return True


async def test_it_ends_well_and_without_a_line_after_strangers_at_the_xds_port_and_while_somebody_watches(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as plane, client(plane) as caller:
        context = trust(plane)
        context.set_alpn_protocols(["h2"])
        for offered in (None, context):
            assert await asyncio.to_thread(turned_away, plane.ports["xds"], offered)
        watch = caller.stream("GET", plane.url("apiHttps", "/api/v1/namespaces?watch=true"))
        async with watch as events:
            lines = events.aiter_lines()
            shown = [json.loads(await anext(lines))["object"]["metadata"]["name"] for _ in range(2)]
            assert set(shown) == {"default", "kuma-default"}
            assert await plane.stop() == (0, "")
            assert [line async for line in lines] == []


async def test_variables_that_are_no_settings_are_logged_and_refuse_nothing(tmp_path: Path) -> None:
    async with running(tmp_path, OUTRIG_XDS_PRT="1", KUMA_MODE="zone", OUTRIG_ENVOY="/envoy") as plane:
        status, errors = await plane.stop()
    assert status == 0
    assert [line.split(" name=")[1].split()[0] for line in errors.splitlines()] == ["OUTRIG_XDS_PRT", "KUMA_MODE"]
    assert all("level=warning" in line for line in errors.splitlines())


async def test_a_start_without_aws_credentials_names_who_will_be_refused(tmp_path: Path) -> None:
    nowhere = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_SHARED_CREDENTIALS_FILE": "", "AWS_CONFIG_FILE": ""}
    given = {name: "" for name in os.environ if name.startswith("AWS_")} | nowhere
    asked = {"KUMA_DP_SERVER_AUTHN_DP_PROXY_TYPE": "aws-iam", "KMESH_AWSIAM_AUTHORIZEDACCOUNTIDS": "123456789012"}
    async with running(tmp_path, **given, **asked) as plane:
        status, errors = await plane.stop()
    assert status == 0
    (line,) = errors.splitlines()
    assert 'event="no AWS credentials of the control plane\'s own were found"' in line
    assert "data planes that join by aws-iam, ECS tasks that join WorkloadGroups will be refused with OUT131" in line
    assert "zone proxies" not in line


def test_settings_shows_what_would_be_in_force(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("drain_bound: 30s\nabsence_grace: 1m\naws_regions: [eu-west-1, us-east-1]\n")
    shown = run("settings", "--config", str(file), "--set", "drain_bound=20s", "--data-dir", str(tmp_path))
    lines = dict(line.split("=", 1) for line in shown.stdout.splitlines())
    assert (shown.returncode, shown.stderr) == (0, "")
    assert lines["OUTRIG_DRAIN_BOUND"] == "20s"
    assert lines["OUTRIG_ABSENCE_GRACE"] == "1m"
    assert lines["OUTRIG_AWS_REGIONS"] == "eu-west-1,us-east-1"
    assert lines["OUTRIG_DATA_DIR"] == str(tmp_path)
    assert lines["OUTRIG_XDS_PORT"] == "0"
    assert run("settings", **lines).stdout == shown.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--set", "xds_port=off"), "OUT001 --set: xds_port: 'off' is not a port"),
        (("--set", "xds_prt=1"), "did you mean 'xds_port'?"),
        (("--config", "/nonexistent/settings.yaml"), "OUT001 /nonexistent/settings.yaml: cannot be read"),
    ],
)
def test_what_is_wrong_is_one_line_and_status_2(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    refused = run("run", "--data-dir", str(tmp_path), *words)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert said in refused.stderr
    assert refused.stderr.count("\n") == 1
