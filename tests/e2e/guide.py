"""The guide's scene for tests: a local ECS with a control plane, the real kubectl, and services that come up fast.

A stage is started once for a module; the tests of the module deploy what they need and put back what they change.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import boto3
import yaml

from outrig.errors import OutrigError
from tests.fixtures.local.lab import TRUST, Lab, eventually, lab

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "bookinfo-ratings"
BIN = Path(sys.executable).parent
ACCOUNT = "123456789012"
NAMESPACE = "bookinfo"
RATINGS = "ratings.bookinfo:9080"
DETAILS = "details.bookinfo:9080"
Definition = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Load:
    """A constant-rate client in productpage, until `account()` ends it."""

    process: "subprocess.Popen[str]"

    def account(self) -> dict[str, Any]:
        """End it. Sent, ok, failed, failures by kind."""
        assert self.process.poll() is None, "it ended before what it should be there for"
        printed, _ = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, printed
        found: dict[str, Any] = json.loads(printed.splitlines()[-1])
        return found


class Guide:
    """The running scene, and what a user can do to it."""

    def __init__(self, lab: Lab) -> None:
        self.lab, self.ecs = lab, lab.ecs
        self.environment = lab.stage.step_environment()

    def kubectl(self, *arguments: str, text: str = "") -> str:
        """What `kubectl ...` prints. Fails with its error output."""
        done = subprocess.run(
            ["kubectl", *arguments], input=text, capture_output=True, text=True, env=self.environment, check=False
        )
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def apply(self, text: str) -> str:
        return self.kubectl("apply", "-f", "-", text=text)

    def get(self, kind: str, *arguments: str, namespace: str = NAMESPACE) -> list[dict[str, Any]]:
        """The resources of a kind."""
        found: list[dict[str, Any]] = json.loads(self.kubectl("get", kind, "-n", namespace, *arguments, "-o", "json"))[
            "items"
        ]
        return found

    def registrations(self, group: str) -> list[dict[str, Any]]:
        """The group's WorkloadAutoRegistrations."""
        return [one for one in self.get("war") if one["metadata"]["name"].startswith(f"{group}-aws-")]

    def serving(self, group: str) -> dict[str, str]:
        """Task ids of the group's registrations that are connected and whose entry is ready, with their uids."""
        ready = {one["metadata"]["name"] for one in self.get("workloadentries") if condition(one, "Ready") == "True"}
        return {
            task_of(one): one["metadata"]["uid"]
            for one in self.registrations(group)
            if one["metadata"]["name"] in ready and condition(one, "AgentConnected") == "True"
        }

    def wait_serving(self, group: str, count: int = 1) -> dict[str, str]:
        """Exactly so many registrations of the group, all of them serving."""

        def look() -> dict[str, str] | None:
            found = self.serving(group)
            return found if len(found) == count == len(self.registrations(group)) else None

        return eventually(look, seconds=60) or {}

    def definition(self, service: str) -> Definition:
        """The example's task definition."""
        variables = {
            "AWS_ACCOUNT_ID": ACCOUNT,
            "ONBOARDING_ENDPOINT_HOST": "10.7.0.10",
            "ONBOARDING_ROOT_CERTS": str(self.lab.directory / "control-plane" / "onboarding-root.pem"),
        }
        done = subprocess.run(
            [sys.executable, EXAMPLE / "task-definition", service],
            capture_output=True,
            text=True,
            env={**os.environ, **variables},
            check=True,
        )
        found: Definition = json.loads(done.stdout)
        return found

    def deploy(self, service: str, definition: Definition | None = None, *, count: int = 1) -> None:
        """Role, task definition and service, as `deploy` of the example does."""
        self._role(service)
        self.lab.api.register_task_definition(**(definition or self.definition(service)))
        self.lab.api.create_service(
            cluster="bookinfo",
            serviceName=service,
            taskDefinition=f"bookinfo_{service}",
            desiredCount=count,
            launchType="FARGATE",
            networkConfiguration={"awsvpcConfiguration": {"subnets": ["subnet-bookinfo"]}},
        )

    def _role(self, name: str) -> None:
        keys = self.ecs.aws_environment()
        iam = boto3.client(
            "iam",
            endpoint_url=keys["AWS_ENDPOINT_URL"],
            region_name=keys["AWS_REGION"],
            aws_access_key_id=keys["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=keys["AWS_SECRET_ACCESS_KEY"],
        )
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)

    def scale(self, service: str, count: int) -> None:
        self.lab.api.update_service(cluster="bookinfo", service=service, desiredCount=count)

    def stop_task(self, task: str) -> None:
        self.lab.api.stop_task(cluster="bookinfo", task=task)

    def running(self, service: str) -> list[str]:
        """Ids of the service's running tasks."""
        return [task["id"] for task in self.lab.tasks(f"service:{service}")]

    def pid(self, task: str, container: str) -> int:
        """The main process of a container, 0 if there is none."""
        for found in self.ecs.status()["tasks"]:
            for one in found["containers"]:
                if found["id"] == task and one["name"] == container:
                    return int(one["pid"] or 0)
        return 0

    def inside(
        self, task: str, *command: str, container: str | None = None, text: str = ""
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command in a container of a task (a service's name will do)."""
        return self.ecs.run(task, command, container=container, text=text)

    def call(self, host: str = RATINGS, path: str = "/ratings/0", *, of: str = "productpage") -> str:
        """The body of a good answer to a call through the caller's egress listener, or nothing."""
        return self.inside(of, "curl", "-f", "--resolve", f"{host}:127.0.0.2", f"{host}{path}").stdout

    def load(self, rate: int = 50) -> Load:
        """A constant rate of calls from productpage to ratings, for two minutes at most."""
        script = [str(BIN / "python"), str(ROOT / "examples/apps/load.py"), "--until-stdin-ends", "--seconds", "120"]
        target = ["--rate", str(rate), "--connect", "127.0.0.2:9080", f"http://{RATINGS}/ratings/0"]
        return Load(self.start_inside("productpage", *script, *target))

    def start_inside(self, task: str, *command: str) -> "subprocess.Popen[str]":
        """Start a command in the first container of a task and go on; it ends with the process given."""
        local = [str(BIN / "outrig"), "local", "exec", task, "--dir", str(self.lab.directory), "--", *command]
        pipe = subprocess.PIPE
        return subprocess.Popen(local, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, text=True)

    def log(self, task: str, container: str = "onboarding-agent") -> str:
        """What a container has printed, nothing if it does not exist."""
        file = self.ecs.log(f"{task}-{container}.log")
        return file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""

    def calls_served(self, task: str) -> int:
        """Requests that the application of a ratings task has answered."""
        return self.log(task, "ratings").count('"GET /ratings/0 ')


def condition(resource: Mapping[str, Any], kind: str) -> str:
    """The status of a condition, empty without one."""
    found = resource.get("status", {}).get("conditions", [])
    return next((str(one["status"]) for one in found if one["type"] == kind), "")


def task_of(registration: Mapping[str, Any]) -> str:
    """The id of the task that a registration stands for."""
    return str(registration["spec"]["identity"]["aws"]["ecs"]["taskId"])


def envoy_of(agent: int) -> int:
    """The pid of the Envoy that an agent runs, 0 if there is none."""
    for file in Path(f"/proc/{agent}/task").glob("*/children"):
        for child in file.read_text(encoding="ascii").split():
            with suppress(OSError):  # it has just ended
                if Path(f"/proc/{child}/comm").read_text(encoding="ascii").strip() == "envoy":
                    return int(child)
    return 0


def settled(look: Callable[[], str]) -> str:
    """What `look` gives as soon as it neither fails nor is empty."""

    def attempt() -> str:
        try:
            return look()
        except (AssertionError, OutrigError, OSError):
            return ""

    return eventually(attempt, seconds=60)


@contextmanager
def open_guide(
    directory: Path, settings: Mapping[str, str], instances: Mapping[str, Any] = MappingProxyType({})
) -> Iterator[Guide]:
    """The scene with the guide's documents applied and an empty cluster.

    `settings`: OUTRIG_* of the control plane. `instances`: further ones, as in a scene's file.
    """
    with lab(_scene(directory, settings, instances), directory / "ecs") as found:
        kubeconfig = found.directory / "control-plane" / "kubeconfig"
        found.directory.joinpath("kubeconfig").write_text(kubeconfig.read_text(encoding="utf-8"), encoding="utf-8")
        guide = Guide(found)
        port = found.ecs.published()["control-plane"]["api"]
        guide.kubectl("config", "set-cluster", "outrig", "--server", f"https://127.0.0.1:{port}")
        policy = (EXAMPLE / "onboardingpolicy.yaml").read_text(encoding="utf-8").replace("<AWS_ACCOUNT_ID>", ACCOUNT)
        guide.kubectl("apply", "-f", str(EXAMPLE / "mesh.yaml"))
        for name in ("workloadgroup.yaml", "sidecar.yaml", "peers.yaml"):
            guide.kubectl("apply", "-f", str(EXAMPLE / name))
        guide.apply(policy)
        found.api.create_cluster(clusterName="bookinfo")
        yield guide


def _scene(directory: Path, settings: Mapping[str, str], instances: Mapping[str, Any]) -> Path:
    """The example's scene without its steps, with further instances."""
    text = (EXAMPLE / "scene.yaml").read_text(encoding="utf-8").replace("${SCENE}", str(EXAMPLE))
    document = yaml.safe_load(text)
    document["steps"], document["try"] = [], []
    document["instances"] |= instances
    document["instances"]["control-plane"]["environment"] |= settings
    made = directory / "scene"
    made.mkdir(parents=True, exist_ok=True)
    (made / "scene.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    return made
