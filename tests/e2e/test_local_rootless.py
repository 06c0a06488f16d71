"""The local ECS as an ordinary user: the same code in a user namespace."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import outrig
from tests.fixtures.local.lab import NETWORK, SCENES, alive, eventually, processes_of

pytestmark = pytest.mark.slow

NOBODY = 65534
# setpriv itself starts a program with root's eyes: what counts is what that program can start.
START_ANOTHER = (
    "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import outrig.local.commands, moto'], check=True)"
)
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory of the ordinary user's; pytest's own are closed to others."""
    with tempfile.TemporaryDirectory() as name:
        if os.geteuid() == 0:
            os.chown(name, NOBODY, NOBODY)
        yield Path(name)


def ordinary_user(home: Path) -> tuple[list[str], dict[str, str]]:
    """A command line that runs Python with our packages as somebody who is not root, and its environment."""
    packages = [str(Path(outrig.__file__).parents[1]), *(entry for entry in sys.path if "site-packages" in entry)]
    environment = {**os.environ, "PYTHONPATH": ":".join(packages), "PYTHONDONTWRITEBYTECODE": "1", "HOME": str(home)}
    if os.geteuid() != 0:
        return [sys.executable], environment
    drop = ["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups"]
    system = shutil.which(f"python{VERSION}", path="/usr/bin:/usr/local/bin")
    for python in filter(None, (sys.executable, system)):
        probe = [*drop, python, "-c", START_ANOTHER]
        if subprocess.run(probe, env=environment, capture_output=True, check=False, cwd="/").returncode == 0:
            return [*drop, python], environment
    pytest.skip(f"no Python {VERSION} with these packages can be read by user {NOBODY}")


def test_an_ordinary_user_runs_tasks_and_leaves_nothing(home: Path) -> None:
    python, environment = ordinary_user(home)
    unprivileged = [*python[:-1], "unshare", "-Urnmpf", "--kill-child", "true"]
    if subprocess.run(unprivileged, capture_output=True, check=False).returncode != 0:
        pytest.skip("this machine does not allow unprivileged user namespaces")
    directory = home / "state"

    def outrig_local(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [*python, "-c", "from outrig.local.commands import app; app()", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd="/")

    def aws(*arguments: str) -> None:
        keys = json.loads((directory / "aws.json").read_text(encoding="utf-8"))
        client = [sys.executable, "-m", "awscli", *arguments]
        result = subprocess.run(client, env={**os.environ, **keys}, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr

    started = outrig_local("up", str(SCENES / "minimal"), "--dir", str(directory))
    assert started.returncode == 0, started.stderr
    aws("ecs", "create-cluster", "--cluster-name", "demo")
    container = [{"name": "app", "image": "idle", "user": "1337"}]
    aws(
        *("ecs", "register-task-definition", "--family", "app", "--network-mode", "awsvpc", "--memory", "512"),
        *("--container-definitions", json.dumps(container)),
    )
    aws(
        *("ecs", "create-service", "--cluster", "demo", "--service-name", "app", "--launch-type", "FARGATE"),
        *("--task-definition", "app", "--desired-count", "1", "--network-configuration", NETWORK),
    )

    def running() -> list[dict[str, object]]:
        document = json.loads(outrig_local("status", "--dir", str(directory), "-o", "json").stdout)
        return [task for task in document["tasks"] if task["lastStatus"] == "RUNNING" and task["supervisorPid"]]

    (task,) = eventually(running)
    assert outrig_local("exec", "--dir", str(directory), "app", "--", "sh", "-c", "exit 9").returncode == 9
    named = outrig_local("exec", "--dir", str(directory), "app", "--", "getent", "hosts", "ip-10-7-1-99.ec2.internal")
    assert named.stdout.split()[:1] == ["10.7.1.99"]
    assert "user '1337' ignored" in outrig_local("logs", "--dir", str(directory), "app").stdout
    assert outrig_local("down", "--dir", str(directory)).stdout == "ended\n"
    assert not processes_of(directory)
    assert not alive(int(str(task["supervisorPid"])))
