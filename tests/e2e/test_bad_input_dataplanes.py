"""What wrong data planes meet: the real `kuma-dp`, in tasks whose roles and tokens are not what they claim.

Every refusal is told to whoever started the proxy, with its reason, and leaves nothing in the mesh.
"""

import base64
import json
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from threading import Timer
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
import yaml

from tests.fixtures.local.lab import TRUST, Lab, eventually, lab

pytestmark = pytest.mark.slow

BIN = Path(sys.executable).parent
HERE, ELSEWHERE = "10.7.0.10", "10.7.0.11"
PROXY = {"kuma.io/type": "dataplane", "kuma.io/mesh": "default"}
BY_ROLE = ("--auth-type=aws",)
BY_TOKEN = ("--dataplane-token-file", "/tmp/token")
TEMPLATE = """\
type: Dataplane
mesh: "{{ mesh }}"
name: "{{ name }}"
networking:
  address: "{{ address }}"
  inbound:
  - port: 15050
    servicePort: 5050
    tags: {kuma.io/service: kv, kuma.io/protocol: http}
"""
# Runs `kuma-dp run` until it has said what becomes of it, and ends it. In: JSON on standard input.
ATTEMPT = """
import json, pathlib, subprocess, sys
given = json.load(sys.stdin)
for name, text in given["files"].items():
    pathlib.Path("/tmp", name).write_text(text)
proxy = subprocess.Popen(["kuma-dp", "run", *given["arguments"]], stderr=subprocess.PIPE, text=True)
for line in proxy.stderr:
    print(line, end="")
    if "refused by" in line or "workload is ready" in line:
        break
else:
    sys.exit(proxy.wait())
proxy.terminate()
proxy.communicate()
"""


@dataclass(frozen=True, slots=True)
class Task:
    """A task that does nothing by itself."""

    id: str
    address: str


@dataclass
class Scene:
    """Two control planes that know nothing of each other, and tasks to start proxies in."""

    lab: Lab
    numbers: Iterator[int] = field(default_factory=count)

    def task(self, tags: Mapping[str, str]) -> Task:
        """One of a role of its own that has these tags."""
        role = f"role-{next(self.numbers)}"
        tagged = [{"Key": key, "Value": value} for key, value in tags.items()]
        made = self.lab.client("iam").create_role(RoleName=role, AssumeRolePolicyDocument=TRUST, Tags=tagged)
        definition = self.lab.register(role, {"name": "app", "image": "idle"}, role=made["Role"]["Arn"])
        found = self.lab.run_task(definition)["taskArn"].rpartition("/")[2]
        eventually(lambda: [one for one in self.lab.tasks() if one["id"] == found])
        return Task(found, self.lab.ecs.run(found, ["hostname", "-i"]).stdout.strip())

    def given(self, task: Task, *proof: str, at: str = HERE, token: str = "", **variables: str) -> dict[str, Any]:
        """The flags and files of a proxy; a variable that is empty is left out."""
        plane = "control-plane" if at == HERE else "elsewhere"
        root = (self.lab.directory / plane / "onboarding-root.pem").read_text(encoding="ascii")
        found = {"mesh": "default", "name": "kv-1", "address": task.address, **variables}
        filled = [f"--dataplane-var={name}={value}" for name, value in found.items() if value]
        fixed = [
            f"--cp-address=https://{at}:5678",
            "--ca-cert-file=/tmp/ca.pem",
            "--dataplane-file=/tmp/dataplane.yaml",
        ]
        files = {"ca.pem": root, "dataplane.yaml": TEMPLATE, "token": token}
        return {"arguments": [*fixed, *filled, *proof], "files": files}

    def attempt(self, task: Task, *proof: str, **how: str) -> "subprocess.CompletedProcess[str]":
        """All that a proxy says until it is in the mesh or knows why not."""
        given = json.dumps(self.given(task, *proof, **how))
        return self.lab.ecs.run(task.id, [str(BIN / "python"), "-c", ATTEMPT], text=given)

    @contextmanager
    def running(self, task: Task, *proof: str, **how: str) -> Iterator["subprocess.Popen[str]"]:
        """A proxy that is in the mesh for the block; what it says is to be read."""
        given = self.given(task, *proof, **how)
        script = "".join(f"cat > /tmp/{name} <<'END'\n{text}\nEND\n" for name, text in given["files"].items())
        self.lab.ecs.run(task.id, ["sh", "-s"], text=script)
        local = [str(BIN / "outrig"), "local", "exec", task.id, "--dir", str(self.lab.directory), "--"]
        noting = ["sh", "-c", 'echo $$ > /tmp/pid; exec "$@"', "sh"]
        command = [*local, *noting, "kuma-dp", "run", *given["arguments"]]
        nothing, pipe = subprocess.DEVNULL, subprocess.PIPE
        with subprocess.Popen(command, stdin=nothing, stdout=pipe, stderr=subprocess.STDOUT, text=True) as proxy:
            silence = Timer(60, proxy.kill)
            silence.start()
            try:
                said(proxy, "workload is ready")
                yield proxy
            finally:
                silence.cancel()
                proxy.terminate()
                proxy.communicate()

    def ask(self, method: str, path: str, body: object = None, *, at: str = "control-plane") -> tuple[int, str]:
        """Kuma's API as the administrator. Gives the status and what was said."""
        own = (self.lab.directory / at / "admin-token").read_text(encoding="ascii").strip()
        headers = {"authorization": f"Bearer {own}", "content-type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        url = f"https://127.0.0.1:{self.lab.ecs.published()[at]['api']}{path}"
        trusted = ssl.create_default_context(cafile=str(self.lab.directory / at / "onboarding-root.pem"))
        try:
            with urlopen(Request(url, data, headers, method=method), context=trusted, timeout=60) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as refusal:
            return refusal.code, refusal.read().decode()

    def token(self, *, lasting: str = "1h", **claims: Any) -> str:
        """A data plane token of the mesh `default`, or as the claims say."""
        status, text = self.ask("POST", "/tokens/dataplane", {"mesh": "default", "validFor": lasting, **claims})
        assert status == 200, text
        return text

    def members(self) -> dict[str, Any]:
        """The Dataplanes there are, by name."""
        return {one["name"]: one for one in json.loads(self.ask("GET", "/dataplanes/_overview")[1])["items"]}


def said(proxy: "subprocess.Popen[str]", words: str) -> str:
    """The next line of it with these words."""
    assert proxy.stdout
    seen = []
    for line in proxy.stdout:
        seen.append(line)
        if words in line:
            return line
    raise AssertionError("".join(seen))


def replaced(token: str, **header: str) -> str:
    """The token with other fields in its header, which nobody signed."""
    head, claims, signature = token.split(".")
    fields = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4))) | header
    return f"{base64.urlsafe_b64encode(json.dumps(fields).encode()).decode().rstrip('=')}.{claims}.{signature}"


def scene_document() -> dict[str, Any]:
    """The scene: control planes that admit role tags and tokens, one of them from another account."""

    def plane(name: str, address: str, account: str) -> dict[str, Any]:
        environment = {
            "KUMA_DP_SERVER_AUTHN_DP_PROXY_TYPE": "aws-iam,dpToken",
            "KMESH_AWSIAM_AUTHORIZEDACCOUNTIDS": account,
            "KUMA_XDS_DATAPLANE_DEREGISTRATION_DELAY": "1s",
            "OUTRIG_ADVERTISED_HOSTS": address,
            "OUTRIG_API_BIND": "0.0.0.0",
            "OUTRIG_API_HTTP_PORT": "off",
            "OUTRIG_AWS_ENDPOINT_URL": "http://10.7.0.1:4566",
        }
        return {
            "address": address,
            "command": ["${VENV}/outrig", "cp", "run", "--data-dir", f"${{DIR}}/{name}"],
            "environment": environment,
            "policy": ["iam:GetRole", "ecs:DescribeTasks", "ecs:DescribeTaskDefinition"],
            "publish": {"api": 5682},
            "await": {"http": "http://127.0.0.1:5680/ready"},
        }

    planes = {"control-plane": plane("control-plane", HERE, "123456789012")}
    planes["elsewhere"] = plane("elsewhere", ELSEWHERE, "210987654321")
    idle = {"command": ["/bin/sleep", "infinity"], "path": "${VENV}"}
    return {"account": "123456789012", "region": "us-east-1", "images": {"idle": idle}, "instances": planes}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    directory = tmp_path_factory.mktemp("dataplanes")
    made = directory / "scene"
    made.mkdir()
    (made / "scene.yaml").write_text(yaml.safe_dump(scene_document()), encoding="utf-8")
    with lab(made, directory / "ecs") as found:
        found.api.create_cluster(clusterName="demo")
        yield Scene(found)


@pytest.fixture(scope="module")
def good(scene: Scene) -> Task:
    """A task whose role may be any Dataplane of the mesh."""
    return scene.task(PROXY)


@pytest.fixture(scope="module")
def untagged(scene: Scene) -> Task:
    """A task whose role is nobody, so that only a token helps it."""
    return scene.task({})


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({}, "it has no tag kuma.io/type"),
        ({"kuma.io/type": "dataplane"}, "it has no tag kuma.io/mesh"),
        ({**PROXY, "kuma.io/mesh": "other"}, "it is for mesh other, not for default"),
        ({**PROXY, "kuma.io/type": "ingress"}, "it is for ingress"),
        ({**PROXY, "kuma.io/service": "web"}, "it allows kuma.io/service web, not kv"),
    ],
)
def test_a_role_that_is_not_tagged_for_it_starts_no_dataplane(
    scene: Scene, tags: Mapping[str, str], reason: str
) -> None:
    told = scene.attempt(scene.task(tags), *BY_ROLE).stdout
    assert reason in told, told
    assert "OUT127" in told
    assert scene.members() == {}


def test_an_account_that_is_not_listed_gets_nobody_in(scene: Scene, good: Task) -> None:
    told = scene.attempt(good, *BY_ROLE, at=ELSEWHERE).stdout
    assert "OUT110" in told, told
    assert json.loads(scene.ask("GET", "/dataplanes", at="elsewhere")[1])["items"] == []


def test_a_mesh_that_does_not_exist_has_no_dataplanes(scene: Scene) -> None:
    told = scene.attempt(scene.task({**PROXY, "kuma.io/mesh": "nowhere"}), *BY_ROLE, mesh="nowhere").stdout
    assert "refused by" in told, told
    assert "nowhere" in told.partition("refused by")[2]
    assert scene.ask("GET", "/meshes/nowhere")[0] == 404


def test_a_template_with_a_variable_that_nobody_gave_starts_nothing(scene: Scene, good: Task) -> None:
    ended = scene.attempt(good, *BY_ROLE, address="")
    assert ended.returncode == 78, ended
    assert "OUT501 /tmp/dataplane.yaml: nobody gave a value for {{ address }}" in ended.stdout
    assert len(ended.stdout.splitlines()) == 1


def test_a_name_is_that_of_its_proxy_until_that_is_gone(scene: Scene, good: Task) -> None:
    second, token = scene.task(PROXY), scene.token(name="kv-1")
    with scene.running(good, *BY_ROLE) as proxy:
        before = scene.members()["kv-1"]
        for proof in (BY_ROLE, BY_TOKEN):
            told = scene.attempt(second, *proof, token=token).stdout
            assert "OUT128" in told.partition("refused by")[2], told
        after = scene.members()["kv-1"]
        assert after["dataplane"]["networking"]["address"] == good.address
        assert after["creationTime"] == before["creationTime"]
        scene.lab.ecs.run(good.id, ["sh", "-c", "kill -9 $(cat /tmp/pid)"])
        assert proxy.wait(60) != 0
    without_key = (*BY_ROLE, "--work-dir=/tmp/another")
    eventually(lambda: "workload is ready" in scene.attempt(good, *without_key).stdout)
    eventually(lambda: not scene.members())


def test_a_token_that_ends_ends_its_session(scene: Scene, untagged: Task) -> None:
    with scene.running(untagged, *BY_TOKEN, token=scene.token(lasting="8s"), name="kv-3") as proxy:
        said(proxy, "the client certificate has expired")
        assert "token.token: it expired at" in said(proxy, "OUT122")
        eventually(lambda: not scene.members())


def test_only_a_good_token_gets_in(scene: Scene, untagged: Task) -> None:
    scene.ask("PUT", "/meshes/other", {"type": "Mesh", "name": "other"})
    token = scene.token(tags={"kuma.io/service": ["kv"]})
    attempts = {
        scene.token(lasting="1s"): "expired",
        scene.token(mesh="other"): "its signature is not that of signing key",
        scene.token(tags={"kuma.io/service": ["web"]}): "it allows kuma.io/service web, not kv",
        scene.token(name="kv-2"): "it is for Dataplane kv-2, not for kv-1",
        replaced(token, alg="none"): "algorithm",
        replaced(token, kid="../../etc/passwd"): "no usable kid",
    }
    for wrong, reason in attempts.items():
        told = scene.attempt(untagged, *BY_TOKEN, token=wrong).stdout
        assert reason in told, told
        assert wrong not in told, "it is a secret, also where it is no good"
        assert scene.members() == {}
    assert "workload is ready" in scene.attempt(untagged, *BY_TOKEN, token=token).stdout
    eventually(lambda: not scene.members())


def test_a_token_that_is_revoked_ends_its_session_and_starts_no_other(scene: Scene, untagged: Task) -> None:
    token = scene.token()
    claims = token.split(".")[1]
    number = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["jti"]
    path = "/meshes/default/secrets/dataplane-token-revocations-default"
    document = {"type": "Secret", "mesh": "default", "name": path.rpartition("/")[2]}
    with scene.running(untagged, *BY_TOKEN, token=token) as proxy:
        status, told = scene.ask("PUT", path, document | {"data": base64.b64encode(number.encode()).decode()})
        assert status == 201, told
        said(proxy, "kuma-dp: OUT505 10.7.0.10:5678: OUT150 token: it is revoked")
        assert proxy.wait(60) == 77, "whoever started it is told"
    assert "revoked" in scene.attempt(untagged, *BY_TOKEN, token=token).stdout
    assert scene.ask("DELETE", path)[0] == 200


@pytest.mark.parametrize("field", ["type", "mesh", "name"])
def test_a_put_whose_url_and_body_disagree_writes_neither(scene: Scene, field: str) -> None:
    scene.ask("PUT", "/meshes/other", {"type": "Mesh", "name": "other"})
    inbound = {"port": 80, "servicePort": 8080, "tags": {"kuma.io/service": "kv"}}
    good = {
        "type": "Dataplane",
        "mesh": "other",
        "name": "a",
        "networking": {"address": "10.1.1.1", "inbound": [inbound]},
    }
    wrong = good | {field: {"type": "Mesh", "mesh": "default", "name": "b"}[field]}
    status, told = scene.ask("PUT", "/meshes/other/dataplanes/a", wrong)
    assert status == 400
    assert [one["field"] for one in json.loads(told)["invalid_parameters"]] == [field]
    assert not scene.members().keys() & {"a", "b"}
