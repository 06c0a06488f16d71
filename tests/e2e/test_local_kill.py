"""SIGKILL of any part of the local ECS leaves nothing behind, and what can go on goes on."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from outrig.local.hostpids import host_pids
from tests.fixtures.local.lab import SCENES, Lab, alive, eventually, in_namespaces, lab, processes_of

pytestmark = pytest.mark.slow

COMMAND = [sys.executable, "-c", "from outrig.local.commands import app; app()"]
IDLE = {"name": "app", "image": "idle"}


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Lab]:
    with lab(SCENES / "minimal", tmp_path / "state") as found:
        found.api.create_cluster(clusterName="demo")
        found.create_service("web", found.register("web", IDLE), 2)
        eventually(lambda: len(found.tasks("service:web")) == 2)
        yield found


def everything(cloud: Lab) -> set[int]:
    """The pids of all that runs, tasks' processes among them."""
    status = cloud.ecs.status()
    pids = set(status["processes"].values())
    for task in cloud.tasks():
        pids |= {task["supervisorPid"], *(one["pid"] for one in task["containers"])}
    return pids


def listens(url: str) -> bool:
    parts = urlsplit(url)
    with socket.socket() as client:
        return client.connect_ex((str(parts.hostname), int(parts.port or 0))) == 0


@pytest.mark.parametrize("victim", ["launcher", "unshare", "vpc", "aws"])
def test_killing_a_part_that_holds_the_whole_leaves_nothing(cloud: Lab, victim: str) -> None:
    pids, url = everything(cloud), cloud.ecs.aws_environment()["AWS_ENDPOINT_URL"]
    namespaces = {namespace for (namespace, _), pid in host_pids().items() if pid in pids}
    namespaces.discard(Path("/proc/self/ns/pid").stat().st_ino)
    assert len(namespaces) == 3
    assert listens(url)
    os.kill(cloud.ecs.status()["processes"][victim], signal.SIGKILL)
    eventually(lambda: not any(alive(pid) for pid in pids))
    eventually(lambda: not processes_of(cloud.directory))
    assert not namespaces & {namespace for (namespace, _), pid in host_pids().items() if alive(pid)}
    assert not listens(url)


@pytest.mark.parametrize("victim", ["supervisor", "container"])
def test_a_killed_task_is_replaced_and_says_how_it_ended(cloud: Lab, victim: str) -> None:
    task, survivor = cloud.tasks("service:web")
    pid = task["supervisorPid"] if victim == "supervisor" else task["containers"][0]["pid"]
    os.kill(pid, signal.SIGKILL)
    (ended,) = eventually(lambda: cloud.tasks("service:web", "STOPPED"))
    assert ended["id"] == task["id"]
    assert ended["containers"][0]["exitCode"] == 137
    running = eventually(lambda: len(found := cloud.tasks("service:web")) == 2 and found)
    assert survivor["id"] in {one["id"] for one in running}
    eventually(lambda: not alive(task["supervisorPid"]) and not alive(task["containers"][0]["pid"]))


def test_what_a_container_left_running_ends_with_its_task(cloud: Lab) -> None:
    (task, _) = cloud.tasks("service:web")
    daemon = ["sh", "-c", "setsid sleep 86399 >/dev/null 2>&1 & echo $!"]
    inner = int(cloud.ecs.run(task["id"], daemon).stdout)
    namespace = next(space for (space, pid), host in host_pids().items() if host == task["supervisorPid"] and pid == 1)
    outer = host_pids()[(namespace, inner)]
    assert alive(outer)
    cloud.ecs.kill(task["id"])
    eventually(lambda: not alive(outer))


def test_kill_signals_only_the_main_process(cloud: Lab) -> None:
    task = cloud.tasks("service:web")[0]
    cloud.ecs.kill(task["id"], number=signal.SIGSTOP)
    eventually(lambda: process_state(task["containers"][0]["pid"]) == "T")
    assert alive(task["supervisorPid"])
    cloud.ecs.kill(task["id"], number=signal.SIGCONT)
    eventually(lambda: process_state(task["containers"][0]["pid"]) == "S")


def process_state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]


def test_a_command_ends_with_the_client_that_asked_for_it(cloud: Lab) -> None:
    task = cloud.tasks("service:web")[0]
    arguments = ["exec", "--dir", str(cloud.directory), task["id"], "--", "sleep", "86397"]
    client = subprocess.Popen([*COMMAND, *arguments])
    eventually(
        lambda: "86397" in cloud.ecs.run(task["id"], ["sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"]).stdout
    )
    client.kill()
    client.wait()
    look = ["sh", "-c", "grep -l 8639[7] /proc/[0-9]*/cmdline"]
    eventually(lambda: cloud.ecs.run(task["id"], look).stdout == "")


def test_a_scene_run_in_the_foreground_ends_with_its_command(tmp_path: Path) -> None:
    in_namespaces()
    directory = tmp_path / "state"
    with subprocess.Popen(
        [*COMMAND, "run", str(SCENES / "minimal"), "--dir", str(directory)], stdout=subprocess.PIPE
    ) as command:
        assert command.stdout is not None
        assert any(b"Ctrl-C ends it" in line for line in command.stdout)
        assert processes_of(directory)
        command.kill()
    eventually(lambda: not processes_of(directory))
    assert {entry.name for entry in directory.iterdir()} <= {".outrig-local", "logs"}


def test_ctrl_c_ends_a_scene_and_waits_for_its_end(tmp_path: Path) -> None:
    in_namespaces()
    directory = tmp_path / "state"
    with subprocess.Popen(
        [*COMMAND, "run", str(SCENES / "minimal"), "--dir", str(directory)], stdout=subprocess.PIPE
    ) as command:
        assert command.stdout is not None
        assert any(b"Ctrl-C ends it" in line for line in command.stdout)
        command.send_signal(signal.SIGINT)
        try:
            command.wait(timeout=60)
        finally:
            command.kill()
        assert not processes_of(directory)
    assert command.returncode == 130


def test_where_namespaces_are_refused_one_sentence_says_so(tmp_path: Path) -> None:
    tool = tmp_path / "unshare"
    tool.write_text("#!/bin/sh\necho 'unshare failed: Operation not permitted' >&2\nexit 1\n", encoding="utf-8")
    tool.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    result = subprocess.run(
        [*COMMAND, "up", str(SCENES / "minimal"), "--dir", str(tmp_path / "state")],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 2
    assert "does not let this user make network, mount and PID namespaces" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert shutil.which("unshare") != str(tool)
