"""What the tests of bad input share: a running control plane, raw connections to it, a proof that it is unhurt."""

import base64
import hashlib
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar
from urllib.request import urlopen

import yaml
from cryptography.hazmat.primitives import serialization

from outrig.ca.authority import CLIENT, Authority, Leaf, key_pem, new_authority
from tests.attacks.scene import AwsServer, Caller, RunningTask

REPOSITORY = Path(__file__).parents[2]
KUBECTL = REPOSITORY / ".cache" / "kubectl" / "1.37.1" / "kubectl"
OUTRIG = Path(sys.executable).with_name("outrig")
PORTS = ("AGENTS", "ONBOARDING", "XDS", "DIAGNOSTICS", "API_HTTP", "API_HTTPS")
DEADLINE = 60.0
ISTIO, TETRATE = "/apis/networking.istio.io/v1", "/apis/authorization.onboarding.tetrate.io/v1alpha1"
COLLECTIONS = (
    *(f"/api/v1/{plural}" for plural in ("namespaces", "serviceaccounts", "services")),
    *(f"{ISTIO}/{plural}" for plural in ("workloadgroups", "workloadentries", "sidecars")),
    "/apis/security.istio.io/v1/peerauthentications",
    f"{TETRATE}/onboardingpolicies",
    "/apis/runtime.onboarding.tetrate.io/v1alpha1/workloadautoregistrations",
)

T = TypeVar("T")


def eventually(look: Callable[[], T], what: str) -> T:
    """The first true answer."""
    deadline = time.monotonic() + DEADLINE
    while not (seen := look()):
        assert time.monotonic() < deadline, f"{what}; last seen: {seen!r}"
        time.sleep(0.05)
    return seen


def settings_of(data: Path, aws: AwsServer | None = None, **settings: str) -> dict[str, str]:
    """The environment of a control plane: every port free, nothing taken over from this process."""
    environment = {"HOME": str(data.parent), "PATH": os.environ["PATH"], "OUTRIG_DATA_DIR": str(data)}
    environment |= {f"OUTRIG_{port}_PORT": "0" for port in PORTS} | {"OUTRIG_BIND": "127.0.0.1"}
    if aws is not None:
        key, secret = aws.own
        environment |= {"OUTRIG_AWS_ENDPOINT_URL": aws.url, "AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret}
    return environment | {f"OUTRIG_{name.upper()}": value for name, value in settings.items()}


def start(environment: Mapping[str, str], log: Path, *arguments: str) -> "subprocess.Popen[str]":
    """`outrig cp run`, its standard error appended to a file."""
    with log.open("ab") as errors:
        return subprocess.Popen(
            [OUTRIG, "cp", "run", *arguments], env=environment, stdout=subprocess.PIPE, stderr=errors, text=True
        )


def refused_start(environment: Mapping[str, str], *arguments: str) -> str:
    """The one sentence of a control plane that cannot start."""
    ended = subprocess.run(
        [OUTRIG, "cp", "run", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert ended.returncode == 2, f"status {ended.returncode}: {ended.stdout}{ended.stderr}"
    assert "Traceback" not in ended.stderr, ended.stderr
    assert ended.stdout == ""
    assert len(ended.stderr.splitlines()) == 1, ended.stderr
    return ended.stderr


@dataclass
class ControlPlane:
    """A control plane in a process of its own."""

    environment: dict[str, str]
    process: "subprocess.Popen[str]"
    log: Path

    @property
    def data(self) -> Path:
        """Its directory."""
        return Path(self.environment["OUTRIG_DATA_DIR"])

    @cached_property
    def ports(self) -> dict[str, int]:
        """By name."""
        ports: dict[str, int] = json.loads((self.data / "ports.json").read_text())
        return ports

    @cached_property
    def admin(self) -> tuple[Path, Path]:
        """The administrator's certificate and key, as files."""
        user = yaml.safe_load((self.data / "kubeconfig").read_text())["users"][0]["user"]
        chain, key = self.data / "admin.pem", self.data / "admin-key.pem"
        chain.write_bytes(base64.b64decode(user["client-certificate-data"]))
        key.write_bytes(base64.b64decode(user["client-key-data"]))
        return chain, key

    @property
    def token(self) -> str:
        """The administrator's."""
        return (self.data / "admin-token").read_text().strip()

    @property
    def root(self) -> Path:
        """The authority of its server certificate."""
        return self.data / "onboarding-root.pem"

    def is_ready(self) -> bool:
        """Whether `/ready` answers 200."""
        with urlopen(f"http://127.0.0.1:{self.ports['diagnostics']}/ready", timeout=DEADLINE) as answer:
            return bool(answer.status == 200)

    def kubectl(self, *arguments: str, stdin: str | bytes = "") -> "subprocess.CompletedProcess[str]":
        """Run kubectl as the administrator."""
        fixed = [f"--kubeconfig={self.data}/kubeconfig", f"--cache-dir={self.data}/cache"]
        given = stdin if isinstance(stdin, bytes) else stdin.encode(errors="surrogateescape")
        ended = subprocess.run(
            [KUBECTL, *fixed, *arguments], input=given, capture_output=True, timeout=DEADLINE, check=False,
            env={"HOME": str(self.data), "PATH": os.environ["PATH"]},
        )  # fmt: skip
        return subprocess.CompletedProcess(
            ended.args, ended.returncode, ended.stdout.decode(errors="replace"), ended.stderr.decode(errors="replace")
        )

    def contents(self) -> list[Any]:
        """All that users wrote or that was written for them, Events and status aside."""
        bearer = {"authorization": f"Bearer {self.token}"}
        asked = [written("GET", path, connection="keep-alive", **bearer) for path in COLLECTIONS]
        answered = self.send("apiHttps", b"".join(asked) + written("GET", "/version", **bearer))
        answers = [read_answer(b"HTTP/1.1 " + part) for part in answered.split(b"HTTP/1.1 ")[1:]]
        assert [answer.status for answer in answers] == [200] * (len(COLLECTIONS) + 1)
        return [_lasting(item) for answer in answers[:-1] for item in answer.json["items"]]

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait; gives the exit status."""
        self.process.send_signal(number)
        return self.process.wait(DEADLINE)

    def connect(self, port: str, *, certificate: tuple[Path, Path] | None = None) -> ssl.SSLSocket:
        """A TLS connection, verified as a client of ours would."""
        context = ssl.create_default_context(cafile=str(self.root))
        if certificate:
            context.load_cert_chain(*certificate)
        plain = socket.create_connection(("127.0.0.1", self.ports[port]), timeout=DEADLINE)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            return context.wrap_socket(plain, server_hostname="127.0.0.1")
        except BaseException:
            plain.close()
            raise

    def send(
        self, port: str, request: bytes | Sequence[bytes], *, certificate: tuple[Path, Path] | None = None
    ) -> bytes:
        """Send bytes on one connection; gives all that comes back until the server closes it."""
        with self.connect(port, certificate=certificate) as connection:
            return exchange(connection, request)

    def api(self, method: str, path: str, body: bytes = b"", **headers: str) -> "Answer":
        """One API request as the administrator, by token."""
        given = {"authorization": f"Bearer {self.token}", "content_type": "application/json", **headers}
        return read_answer(self.send("apiHttps", written(method, path, body, **given)))


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer."""

    status: int
    head: str
    body: bytes

    @property
    def json(self) -> Any:
        """Its body."""
        return json.loads(self.body)

    @property
    def message(self) -> str:
        """What a Kubernetes Status says."""
        return str(self.json["message"])


def _lasting(item: dict[str, Any]) -> dict[str, Any]:
    """An object without what follows the connections of agents: status, and the revision that it moves."""
    metadata = {name: value for name, value in item["metadata"].items() if name != "resourceVersion"}
    return {name: value for name, value in item.items() if name != "status"} | {"metadata": metadata}


def written(method: str, path: str, body: bytes = b"", **headers: str) -> bytes:
    """An HTTP/1.1 request that ends its connection. Header names are written with `_` for `-`."""
    given = {"host": "127.0.0.1", "connection": "close", "content_length": str(len(body)), **headers}
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in given.items() if value)
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + body


def exchange(connection: socket.socket, request: bytes | Sequence[bytes]) -> bytes:
    """Send, and read to the end. A server that does not want the rest may close early: what it said still counts."""
    connection.settimeout(DEADLINE)
    answer = bytearray()
    try:
        for part in [request] if isinstance(request, bytes) else request:
            connection.sendall(part)
    except OSError:
        pass
    try:
        while part := connection.recv(65536):
            answer += part
    except (ConnectionError, ssl.SSLError):
        pass
    return bytes(answer)


def read_answer(taken: bytes) -> Answer:
    """The (last) HTTP answer in some bytes."""
    head, _, body = taken.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1."), taken[:200]
    return Answer(int(head.split()[1]), head.decode("latin-1"), body)


@contextmanager
def control_plane(data: Path, aws: AwsServer | None = None, **settings: str) -> Iterator[ControlPlane]:
    """A control plane that is ready. Whatever happens to it, it must not leave a traceback in its log."""
    environment, log = settings_of(data, aws, **settings), data.with_suffix(".log")
    plane = ControlPlane(environment, start(environment, log), log)
    try:
        wait_ready(plane.process, log)
        yield plane
        if plane.process.poll() is None:
            assert plane.kubectl("get", "namespaces").returncode == 0
            assert plane.stop() == 0
    finally:
        if plane.process.poll() is None:
            plane.process.kill()
            plane.process.wait()
        if plane.process.stdout:
            plane.process.stdout.close()
    assert "Traceback" not in log.read_text(errors="replace"), log.read_text(errors="replace")


def wait_ready(process: "subprocess.Popen[str]", log: Path) -> None:
    """It says so itself."""
    assert process.stdout
    assert process.stdout.readline() == "control plane ready\n", log.read_text(errors="replace")


@contextmanager
def unhurt(plane: ControlPlane) -> Iterator[None]:
    """After the block it is ready, what is stored is what was, and no fault was logged."""
    before = plane.contents()
    yield
    assert plane.is_ready()
    assert plane.contents() == before
    log = plane.log.read_text(errors="replace")
    assert "Traceback" not in log, log[log.index("Traceback") - 500 :][:4000]


@dataclass
class Identity:
    """A key, and the certificate that an authority gave it, as files."""

    chain: Path
    key: Path

    @property
    def files(self) -> tuple[Path, Path]:
        """Both."""
        return self.chain, self.key


def write_identity(directory: Path, name: str, chain: str, key: Any) -> Identity:
    """Write them."""
    identity = Identity(directory / f"{name}.pem", directory / f"{name}-key.pem")
    identity.chain.write_text(chain)
    identity.key.write_text(key_pem(key))
    return identity


def foreign_client(directory: Path, *, group: str = "outrig:admins", like: Authority | None = None) -> Identity:
    """A client certificate of an authority that is nobody's here, whatever it claims."""
    now = datetime.now(UTC)
    authority = like or new_authority("outrig clients", now=now, lifetime=timedelta(days=1))
    key = new_authority("key", now=now, lifetime=timedelta(days=1)).key
    leaf = Leaf(key.public_key(), (CLIENT,), common_name="admin", groups=(group,))
    issued = authority.sign(leaf, start=now - timedelta(minutes=1), end=now + timedelta(hours=1))
    return write_identity(directory, "foreign", issued.chain, key)


GUIDE = """
apiVersion: v1
kind: Namespace
metadata: {name: bookinfo}
---
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: {name: ratings, namespace: bookinfo, labels: {app: ratings}}
spec: {template: {labels: {app: ratings}, serviceAccount: bookinfo-ratings}}
---
apiVersion: authorization.onboarding.tetrate.io/v1alpha1
kind: OnboardingPolicy
metadata: {name: allow-ecs, namespace: bookinfo}
spec:
  allow:
  - workloads: [{aws: {accounts: ["123456789012"], ecs: {}}}]
    onboardTo: [{workloadGroupSelector: {}}]
"""


@dataclass
class Member:
    """A task that has joined, by its control identity."""

    plane: ControlPlane
    task: RunningTask
    response: dict[str, Any]
    identity: Identity
    caller: Caller = field(default_factory=Caller)


def challenge(plane: ControlPlane) -> Any:
    """One."""
    answer = read_answer(plane.send("agents", written("POST", "/v1/challenge")))
    assert answer.status == 200, answer
    return answer.json


def join_request(plane: ControlPlane, task: RunningTask, caller: Caller, **how: Any) -> dict[str, Any]:
    """An honest one."""
    asked = challenge(plane)
    return caller.request(task, caller.prove(task.credentials, asked["nonce"], asked["audience"], **how))


def post_join(
    plane: ControlPlane, request: Any, *, certificate: tuple[Path, Path] | None = None, port: str = "agents"
) -> Answer:
    """Ask to join."""
    body = request if isinstance(request, bytes) else json.dumps(request).encode()
    return read_answer(plane.send(port, written("POST", "/v1/join", body), certificate=certificate))


def joined(plane: ControlPlane, task: RunningTask, directory: Path) -> Member:
    """Join as an agent would."""
    caller = Caller()
    answer = post_join(plane, join_request(plane, task, caller))
    assert answer.status == 200, answer
    name = hashlib.sha256(caller.csr).hexdigest()[:8]
    key = serialization.load_pem_private_key(key_pem(caller.key).encode(), None)
    identity = write_identity(directory, name, answer.json["controlChain"], key)
    return Member(plane, task, answer.json, identity, caller)
