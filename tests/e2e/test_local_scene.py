"""Scenes with hosts and steps, and the command line around them."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from tests.fixtures.local.lab import SCENES, Lab, eventually, lab, processes_of

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with lab(SCENES / "host", tmp_path_factory.mktemp("local") / "state") as found:
        found.stage.run_steps(lambda _: None)
        yield found


def outrig_local(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from outrig.local.commands import app; app()", *arguments]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=False)


def fetch(cloud: Lab) -> str:
    """What the published host answers, or nothing while it does not."""
    port = cloud.ecs.published()["web"]["http"]
    try:
        with urlopen(f"http://127.0.0.1:{port}/scene.yaml", timeout=5) as answer:
            return str(answer.read().decode())
    except (URLError, OSError):
        return ""


def the_host(cloud: Lab) -> dict[str, object]:
    found: dict[str, object] = cloud.ecs.status()["instances"][0]
    return found


def test_a_hosts_port_is_published_on_the_machines_loopback(cloud: Lab) -> None:
    assert "A host beside the tasks" in fetch(cloud)


@pytest.mark.parametrize("part", ["pid", "supervisorPid"])
def test_a_killed_host_comes_back_at_its_address_and_port(cloud: Lab, part: str) -> None:
    before = eventually(lambda: (host := the_host(cloud))["pid"] and host)
    os.kill(int(str(before[part])), signal.SIGKILL)
    after = eventually(lambda: (host := the_host(cloud))["pid"] not in (None, before["pid"]) and host)
    assert after["address"] == before["address"]
    assert "A host beside the tasks" in eventually(lambda: fetch(cloud))


def test_a_host_may_use_the_actions_of_its_policy_and_no_others(cloud: Lab) -> None:
    eventually(lambda: the_host(cloud)["pid"])
    keys = cloud.ecs.run("web", ["sh", "-c", "echo $AWS_ACCESS_KEY_ID $AWS_SECRET_ACCESS_KEY $OUTRIG_GREETING"])
    identity, secret, greeting = keys.stdout.split()
    environment = {"AWS_ACCESS_KEY_ID": identity, "AWS_SECRET_ACCESS_KEY": secret}
    assert greeting == "hello"
    assert cloud.aws("ecs", "list-tasks", "--cluster", "demo", environment=environment) == {"taskArns": []}
    refused = cloud.try_aws("ecs", "list-clusters", environment=environment)
    assert "AccessDeniedException" in refused.stderr


def test_of_the_state_directory_a_task_sees_the_files_for_it_and_a_host_its_own_besides(cloud: Lab) -> None:
    secret = cloud.ecs.aws_environment()["AWS_SECRET_ACCESS_KEY"]
    (cloud.directory / "files" / "note").write_text("for tasks", encoding="utf-8")
    (cloud.directory / "web" / "key").write_text(secret, encoding="utf-8")
    task = cloud.run_task(cloud.register("curious", {"name": "app", "image": "idle"}))["taskArn"].rpartition("/")[2]
    eventually(lambda: the_host(cloud)["pid"] and task in {one["id"] for one in cloud.tasks()})
    look = ["sh", "-c", f"cd {cloud.directory}; find . -mindepth 1 | sort; cat files/note"]
    assert cloud.ecs.run(task, look).stdout == "./files\n./files/note\nfor tasks"
    assert cloud.ecs.run("web", look).stdout == "./files\n./files/note\n./web\n./web/key\nfor tasks"
    opened = cloud.ecs.run(task, ["sh", "-c", "cat /proc/[0-9]*/environ; readlink /proc/[0-9]*/fd/*"]).stdout
    assert secret not in opened
    leads = {line.removeprefix(f"{cloud.directory}/logs/") for line in opened.splitlines() if line.endswith(".log")}
    assert leads == {f"{task}-app.log", "emulator.log"}


def test_steps_run_with_the_real_client_as_administrator(cloud: Lab) -> None:
    document = json.loads((cloud.directory / "cluster.json").read_text(encoding="utf-8"))
    assert document["cluster"]["clusterName"] == "demo"


def test_exec_passes_input_output_and_exit_status(cloud: Lab) -> None:
    eventually(lambda: the_host(cloud)["pid"])
    script = "read word; echo out $word; echo err >&2; exit 7"
    result = outrig_local("exec", "--dir", str(cloud.directory), "web", "--", "sh", "-c", script, text="given\n")
    assert (result.returncode, result.stdout, result.stderr) == (7, "out given\n", "err\n")
    missing = outrig_local("exec", "--dir", str(cloud.directory), "web", "--", "no-such-program")
    assert (missing.returncode, "no-such-program" in missing.stderr) == (127, True)
    ghost = outrig_local("exec", "--dir", str(cloud.directory), "ghost", "--", "true")
    assert (ghost.returncode, "no living task, service or instance 'ghost'" in ghost.stderr) == (1, True)


def test_logs_and_status_speak_of_hosts_too(cloud: Lab) -> None:
    assert "Serving HTTP" in outrig_local("logs", "--dir", str(cloud.directory), "web").stdout
    assert "10.7.0.10" in outrig_local("status", "--dir", str(cloud.directory)).stdout
    document = json.loads(outrig_local("status", "--dir", str(cloud.directory), "-o", "json").stdout)
    assert document["instances"][0]["published"] == cloud.ecs.published()["web"]


def test_a_second_emulator_in_the_same_directory_is_refused(cloud: Lab) -> None:
    result = outrig_local("up", str(SCENES / "minimal"), "--dir", str(cloud.directory))
    assert result.returncode == 1
    assert "an emulator is running here" in result.stderr
    assert fetch(cloud)


def test_nothing_leads_out_of_the_vpc(cloud: Lab) -> None:
    eventually(lambda: the_host(cloud)["pid"])
    assert cloud.ecs.run("web", ["curl", "-sS", "http://192.0.2.1/"]).returncode == 7


def test_up_leaves_a_scene_running_and_down_ends_it(cloud: Lab, tmp_path: Path) -> None:
    directory = tmp_path / "state"
    started = outrig_local("up", str(SCENES / "host"), "--dir", str(directory))
    assert started.returncode == 0, started.stderr
    lines = started.stdout.splitlines()
    assert {"instance web is ready", "create the cluster", "ready", "  outrig local status"} <= set(lines)
    pasted = "\n".join(
        [next(line for line in lines if line.startswith("  eval ")), "outrig local status", "command -v aws"]
    )
    shell = ["env", "-i", f"HOME={tmp_path}", "PATH=/usr/bin:/bin", "sh", "-ec", pasted]
    tried = subprocess.run(shell, capture_output=True, text=True, check=True)
    assert "instance web  10.7.0.10  ready" in tried.stdout
    assert processes_of(directory)
    assert outrig_local("down", "--dir", str(directory)).stdout == "ended\n"
    assert not processes_of(directory)
    assert {entry.name for entry in directory.iterdir()} == {".outrig-local", "logs"}
    assert outrig_local("down", "--dir", str(directory)).stdout == "nothing was running\n"


def test_a_failed_step_fails_up_with_its_name_and_output_and_ends_the_emulator(cloud: Lab, tmp_path: Path) -> None:
    (tmp_path / "scene.yaml").write_text("steps: [{name: break it, run: 'echo the reason; exit 3'}]", encoding="utf-8")
    result = outrig_local("up", str(tmp_path), "--dir", str(tmp_path / "state"))
    assert result.returncode == 1
    assert "break it: the step ended with status 3" in result.stderr
    assert "the reason" in result.stderr
    assert not processes_of(tmp_path / "state")


def test_a_host_that_keeps_ending_fails_up_with_its_log(cloud: Lab, tmp_path: Path) -> None:
    host = "{address: 10.7.0.9, command: [/bin/sh, -c, 'echo no good; exit 1'], await: {file: '${DIR}/never'}}"
    (tmp_path / "scene.yaml").write_text(f"instances: {{bad: {host}}}", encoding="utf-8")
    result = outrig_local("up", str(tmp_path), "--dir", str(tmp_path / "state"))
    assert result.returncode == 1
    assert "instance bad ended 5 times before it was ready" in result.stderr
    assert "no good" in result.stderr


def test_a_directory_that_holds_other_things_is_left_alone(cloud: Lab, tmp_path: Path) -> None:
    (tmp_path / "precious").touch()
    result = outrig_local("up", str(SCENES / "minimal"), "--dir", str(tmp_path))
    assert result.returncode == 1
    assert "holds other things" in result.stderr
    assert [entry.name for entry in tmp_path.iterdir()] == ["precious"]


def test_commands_without_an_emulator_say_so(tmp_path: Path) -> None:
    for arguments in (["status"], ["exec", "x", "--", "true"], ["kill", "x"], ["logs", "x"]):
        result = outrig_local(arguments[0], "--dir", str(tmp_path / "none"), *arguments[1:])
        assert result.returncode == 1
        assert "no emulator runs here" in result.stderr
