"""The scene under load: the whole of Bookinfo with two tasks a service, an echo service, and a task that only calls."""

import json
import math
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from bench.zero_drop.clock import LAUNCHER, read_clock, write_clock
from bench.zero_drop.definitions import AGENT_FIRST, documented
from tests.e2e.guide import EXAMPLE, ROOT, Definition, Guide, condition, envoy_of
from tests.fixtures.local.lab import lab

BOOKINFO = ROOT / "examples" / "bookinfo"
LIFETIME = 60  # seconds a certificate lives: the shortest there is, so that renewals happen throughout
TASKS = {"ratings": 2, "reviews-v1": 1, "reviews-v2": 1, "reviews-v3": 1, "details": 2, "productpage": 2, "echo": 2}
_JOINED = re.compile(r"^(\S+) INFO \S+ joined as ", re.MULTILINE)
ECHO = """
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: {name: echo, namespace: bookinfo, labels: {app: echo}}
spec: {template: {labels: {app: echo, class: ecs}, serviceAccount: bookinfo-details}}
---
apiVersion: v1
kind: Service
metadata: {name: echo, namespace: bookinfo}
spec:
  selector: {app: echo}
  ports: [{name: grpc, port: 9090}, {name: tcp, port: 9000}]
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: echo, namespace: bookinfo}
spec:
  workloadSelector: {labels: {app: echo}}
  ingress:
  - {port: {number: 9090, name: grpc, protocol: GRPC}, defaultEndpoint: "127.0.0.1:9090"}
  - {port: {number: 9000, name: tcp, protocol: TCP}, defaultEndpoint: "127.0.0.1:9000"}
  egress: [{hosts: ["~/*"]}]
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: client, namespace: bookinfo}
spec:
  workloadSelector: {labels: {app: client}}
  egress:
  - {bind: 127.0.0.2, port: {number: 9080}, hosts: ["./productpage.bookinfo.svc.cluster.local"]}
  - {bind: 127.0.0.2, port: {number: 9090, protocol: GRPC}, hosts: ["./echo.bookinfo.svc.cluster.local"]}
  - {bind: 127.0.0.2, port: {number: 9000, protocol: TCP}, hosts: ["./echo.bookinfo.svc.cluster.local"]}
"""


class Bookinfo(Guide):
    """What can be done to it. `wanted`: how many tasks each service is to have."""

    wanted: Mapping[str, int] = {}

    def definition(self, service: str) -> Definition:
        """The example's task definition, stopped as documented: the agent first."""
        return documented(super().definition(service), service, AGENT_FIRST)

    def deploy_all(self, wanted: Mapping[str, int]) -> None:
        """All services, and the client."""
        self.wanted = {**wanted, "client": 1}
        for service, count in self.wanted.items():
            self.deploy(service, count=count)

    def scale_all(self, counts: Mapping[str, int]) -> None:
        """Change how many tasks some services have."""
        self.wanted = {**self.wanted, **counts}
        for service, count in counts.items():
            self.scale(service, count)

    def redeploy(self, service: str, definition: Definition | None = None) -> None:
        """A rolling deployment, of another definition if one is given."""
        if definition:
            self.lab.api.register_task_definition(**definition)
        self.lab.api.update_service(
            cluster="bookinfo", service=service, taskDefinition=f"bookinfo_{service}", forceNewDeployment=True
        )

    def is_whole(self) -> bool:
        """Whether there are exactly the tasks that are wanted, all of them ready."""
        alive = Counter(str(task["group"]) for task in self.ecs.status()["tasks"] if task["lastStatus"] != "STOPPED")
        if alive != {f"service:{service}": count for service, count in self.wanted.items() if count}:
            return False
        try:
            found = json.loads(self.kubectl("get", "war,workloadentries", "-n", "bookinfo", "-o", "json"))["items"]
        except AssertionError:  # the control plane is away
            return False
        entries = [one for one in found if one["kind"] == "WorkloadEntry"]
        ready = [one for one in entries if condition(one, "Ready") == "True"]
        return len(found) == 2 * len(entries) and len(entries) == len(ready) == sum(self.wanted.values())

    def wait_whole(self) -> None:
        """Until it is. Fails after two minutes."""
        wait(self.is_whole, 120, "the scene did not become whole", every=1.0)

    def tasks_of(self, service: str) -> list[str]:
        """The running tasks of a service, oldest first."""
        return self.running(service)

    def agent(self, task: str) -> int:
        """The process id of a task's agent."""
        return self.pid(task, "onboarding-agent")

    def envoy(self, task: str) -> int:
        """The process id of a task's Envoy."""
        return envoy_of(self.agent(task))

    def supervisor(self, task: str) -> int:
        """The process id of the first process of a task's PID namespace: the kernel ends all others with it."""
        return next(int(one["supervisorPid"]) for one in self.lab.tasks() if one["id"] == task)

    def joins(self) -> dict[str, list[datetime]]:
        """When each running task has got certificates."""
        logs = {task["id"]: self.log(task["id"]) for task in self.lab.tasks()}
        return {task: [datetime.fromisoformat(moment) for moment in _JOINED.findall(log)] for task, log in logs.items()}

    def control_plane(self, number: int) -> None:
        """Send the control plane a signal."""
        self.ecs.kill("control-plane", number=number)

    def set_clock(self, ahead: int) -> None:
        """Start the control plane anew with a clock that is so many seconds ahead of all others."""
        write_clock(self.lab.directory / "control-plane" / "clock", ahead)
        self.control_plane(signal.SIGKILL)
        wait(lambda: abs(self._clock() - ahead) < 3, 60, f"the control plane's clock is not {ahead} s ahead")

    def _clock(self) -> float:
        try:
            return read_clock(self.ecs.published()["control-plane"]["api"])
        except OSError:  # it has not started yet
            return math.inf


def wait(reached: Callable[[], bool], seconds: float, why: str, every: float = 0.3) -> None:
    """Until it is so. Raises TimeoutError with the reason after so many seconds."""
    end = time.monotonic() + seconds
    while not reached():
        if time.monotonic() > end:
            raise TimeoutError(f"{why} within {seconds:g} s")
        time.sleep(every)


@contextmanager
def opened(directory: Path, tasks: Mapping[str, int]) -> Iterator[Bookinfo]:
    """The scene, whole. `directory`: for its files."""
    with lab(_scene(directory), directory / "ecs") as found:
        kubeconfig = found.directory / "control-plane" / "kubeconfig"
        found.directory.joinpath("kubeconfig").write_text(kubeconfig.read_text(encoding="utf-8"), encoding="utf-8")
        bookinfo = Bookinfo(found)
        port = found.ecs.published()["control-plane"]["api"]
        bookinfo.kubectl("config", "set-cluster", "outrig", "--server", f"https://127.0.0.1:{port}")
        documents = [EXAMPLE / name for name in ("mesh.yaml", "workloadgroup.yaml", "sidecar.yaml")]
        documents += [BOOKINFO / name for name in ("mesh.yaml", "groups.yaml", "sidecar.yaml")]
        bookinfo.kubectl("apply", *(f"-f{document}" for document in documents))
        policy = (EXAMPLE / "onboardingpolicy.yaml").read_text(encoding="utf-8")
        bookinfo.apply(policy.replace("<AWS_ACCOUNT_ID>", "123456789012"))
        bookinfo.apply(ECHO)
        subprocess.run([BOOKINFO / "names"], env=bookinfo.environment, check=True)
        found.api.create_cluster(clusterName="bookinfo")
        bookinfo.deploy_all(tasks)
        bookinfo.wait_whole()
        yield bookinfo


def _scene(directory: Path) -> Path:
    """The example's scene without its steps, with an image for the echo service."""
    text = (BOOKINFO / "scene.yaml").read_text(encoding="utf-8").replace("${SCENE}", str(BOOKINFO))
    document: dict[str, Any] = yaml.safe_load(text)
    document["steps"], document["try"] = [], []
    document["zones"] = document["zones"][:1]
    echo = {"command": ["${VENV}/python", f"{BOOKINFO}/../apps/echo.py"], "path": f"{BOOKINFO}/../bin"}
    document["images"]["bookinfo/echo:latest"] = echo
    for image in document["images"].values():
        image["path"] = "${VENV}:" + image["path"]  # where `outrig` is
    control_plane = document["instances"]["control-plane"]
    control_plane["environment"]["OUTRIG_CERTIFICATE_LIFETIME"] = f"{LIFETIME}s"
    control_plane["command"][:0] = [str(LAUNCHER), "${DIR}/control-plane/clock"]
    made = directory / "scene"
    made.mkdir(parents=True)
    (made / "scene.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    return made
