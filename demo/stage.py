"""Where the demo plays: a local ECS with a control plane, and the tools a user would drive it with.

Everything lies in one temporary directory. A janitor in a session of its own ends the local ECS and removes the
directory when this process is gone, however it went.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import yaml

from outrig.errors import OutrigError
from outrig.local.client import LocalEcs
from outrig.local.surroundings import neutral

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples" / "bookinfo-ratings"  # the guide's own documents
BOOKINFO = ROOT / "examples" / "bookinfo"  # and what makes Bookinfo whole
COUNTER = ROOT / "examples" / "counter"  # Kong Mesh's counter, and the control plane on Postgres
BIN = Path(sys.executable).parent
T = TypeVar("T")


class StepFailed(Exception):
    """A step did not show what it should; the text is for the person who watches."""


class StageLost(StepFailed):
    """The local ECS is gone, so no further step can show anything."""


class Stage:
    """The running scene. Its methods are the commands a user has; they raise StepFailed with the output on failure."""

    def __init__(self, directory: Path, launcher: "subprocess.Popen[bytes]") -> None:
        self.directory, self.launcher = directory, launcher
        self.state = directory / "ecs"
        self.ecs = LocalEcs(self.state)

    def show(self, text: str) -> None:
        """Print lines under the step's title, as soon as they are there."""
        for line in text.rstrip().splitlines():
            print(f"      {line}", flush=True)

    def shell(self, command: str, *, text: str = "", ok: bool = True) -> str:
        """Run shell text as a user on this machine would; gives what it printed."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            input=text,
            capture_output=True,
            text=True,
            env=self.environment(),
            timeout=120,
            check=False,
        )
        if ok and done.returncode:
            raise StepFailed(f"$ {command}\n{done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def environment(self) -> dict[str, str]:
        """What `kubectl` and `aws` need."""
        control_plane = self.state / "control-plane"
        return {
            **neutral(os.environ),
            **self.ecs.aws_environment(),
            "PATH": f"{BIN}:{os.environ.get('PATH', '/usr/bin:/bin')}",
            "KUBECONFIG": str(self.directory / "kubeconfig"),
            "KUBECACHEDIR": str(self.directory / "kube-cache"),
            "ONBOARDING_ENDPOINT_HOST": "controlplane.mesh",
            "CONTROL_PLANE": "controlplane.mesh",
            "CONTROL_PLANE_CA": str(control_plane / "onboarding-root.pem"),
            "ONBOARDING_ROOT_CERTS": str(control_plane / "onboarding-root.pem"),
            "SUBNETS": "subnet-bookinfo-a,subnet-bookinfo-b",
        }

    def inside(self, task: str, *command: str, container: str | None = None, ok: bool = True) -> str:
        """Run a command in a container of a task (a service's name will do)."""
        done = self.ecs.run(task, command, container=container)
        if ok and done.returncode:
            raise StepFailed(f"in {task}: {' '.join(command)}\n{done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def start_inside(self, task: str, *command: str, container: str | None = None) -> "Running":
        """Start a command in a container and go on."""
        which = ("--container", container) if container else ()
        return Running(
            subprocess.Popen(
                [BIN / "outrig", "local", "exec", task, *which, "--dir", str(self.state), "--", *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )

    def until(self, look: Callable[[], T | None], what: str, *, seconds: float = 60) -> T:
        """Look again and again until there is something to see. A step that waits says for what."""
        deadline, last = time.monotonic() + seconds, ""
        while time.monotonic() < deadline:
            try:
                if (seen := look()) is not None:
                    return seen
            except (StepFailed, OutrigError) as problem:
                last = f"\nlast seen: {problem}"
            if self.launcher.poll() is not None:
                raise StageLost(f"the local ECS has ended:\n{self.launcher_log()}")
            time.sleep(0.2)
        raise StepFailed(f"waited {seconds:.0f} s in vain: {what}{last}")

    def launcher_log(self) -> str:
        """The last lines that the local ECS printed, and those of its emulated AWS."""
        logs = (self.directory / "launcher.log", self.ecs.log("emulator.log"))
        return "\n".join(line for log in logs if log.exists() for line in log.read_text().splitlines()[-15:])

    def registrations(self, group: str, namespace: str = "bookinfo") -> list[dict[str, Any]]:
        """The WorkloadAutoRegistrations of a group."""
        items = json.loads(self.shell(f"kubectl get war -n {namespace} -o json"))["items"]
        return [item for item in items if item["metadata"]["name"].startswith(f"{group}-aws-")]

    def tasks(self, service: str, cluster: str = "bookinfo") -> list[dict[str, Any]]:
        """The running tasks of an ECS service, as `aws ecs describe-tasks` tells."""
        found = self.shell(
            f"aws ecs list-tasks --cluster {cluster} --service-name {service} --query taskArns --output text"
        )
        arns = " ".join(found.split()).replace("None", "")
        if not arns:
            return []
        described = json.loads(self.shell(f"aws ecs describe-tasks --cluster {cluster} --tasks {arns}"))
        return [task for task in described["tasks"] if task["lastStatus"] == "RUNNING"]

    def agent_log(self, task_id: str, container: str = "onboarding-agent") -> str:
        """What the containers of a task have printed."""
        return self.ecs.log(f"{task_id}-{container}.log").read_text(encoding="utf-8", errors="replace")


class Running:
    """A command that goes on while the demo does something else."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process

    def result(self) -> str:
        """What it printed; its standard input ends now, which is how some commands know that they are done."""
        printed, _ = self.process.communicate(timeout=120)
        if self.process.returncode:
            raise StepFailed(printed)
        return printed


def scene(directory: Path) -> Path:
    """Bookinfo's images and the counter's, and the counter's control plane of two replicas on Postgres.

    Without steps, which the demo plays, and with short-lived certificates.
    """
    document = _scene(COUNTER)
    document["images"] |= _scene(BOOKINFO)["images"]
    document["steps"], document["try"] = [], []
    for name in ("control-plane", "control-plane-2"):
        environment = document["instances"][name]["environment"]
        document["instances"][name]["environment"] = {**environment, "OUTRIG_CERTIFICATE_LIFETIME": "60s"}
    document["images"]["demo/intruder:latest"] = {"command": [str(BIN / "python"), str(ROOT / "demo/intruder.py")]}
    made = directory / "scene"
    made.mkdir()
    (made / "scene.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    return made


def _scene(example: Path) -> dict[str, Any]:
    text = (example / "scene.yaml").read_text(encoding="utf-8").replace("${SCENE}", str(example))
    document: dict[str, Any] = yaml.safe_load(text)
    return document


@contextmanager
def open_stage() -> Iterator[Stage]:
    """A stage that leaves nothing behind, whatever ends the demo."""
    with tempfile.TemporaryDirectory(prefix="outrig-demo-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        launcher = subprocess.Popen(
            [BIN / "outrig", "local", "run", str(scene(directory)), "--dir", str(directory / "ecs")],
            env=neutral(os.environ),
            stdin=subprocess.DEVNULL,
            stdout=(directory / "launcher.log").open("w"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        janitor = subprocess.Popen(
            [sys.executable, "-m", "demo.janitor", str(launcher.pid), name],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            yield Stage(directory, launcher)
        finally:
            launcher.terminate()
            launcher.wait(timeout=30)
            shutil.rmtree(directory, ignore_errors=True)
            janitor.communicate()
