"""The examples of the local ECS's page, and the logs that stay when all has ended."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.test_local_containers import SLEEPER, prepare
from tests.fixtures.local.lab import eventually, lab

pytestmark = pytest.mark.slow


def test_the_example_of_the_documentation_works_and_logs_are_read_after_the_emulator_has_ended(tmp_path: Path) -> None:
    directory, scene = tmp_path / "state", tmp_path / "scene.yaml"
    web = "{entrypoint: [/bin/sh, -c], command: ['echo web is up; exec sleep infinity']}"
    scene.write_text(f"images: {{'shop/web:1': {web}, shell: {{entrypoint: [/bin/sh, -c]}}}}", encoding="utf-8")
    definition, script = examples()
    (tmp_path / "web.json").write_text(definition, encoding="utf-8")
    with lab(tmp_path, directory) as short:
        prepare(short)
        side = {"name": "side", "image": "shell", "command": ["echo side"], "essential": False}
        first = [{"containerName": "side", "condition": "SUCCESS"}]  # the end of the essential one ends the task
        app = {"name": "app", "image": "shell", "command": ["echo app"], "dependsOn": first}
        task = short.run_task(short.register("brief", app, side))["taskArn"].rpartition("/")[2]
        short.create_service("steady", short.register("steady", {**SLEEPER, "command": ["echo up; sleep 600"]}), 1)
        environment = short.stage.step_environment()
        ran = subprocess.run(
            ["sh", "-ec", script], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert (ran.returncode, ran.stderr) == (0, "")
        assert "\nit is hunter2\n" in ran.stdout
        assert ran.stdout.endswith("web is up\n")
        short.stopped(task)
        log = short.ecs.log(f"{short.tasks('service:steady')[0]['id']}-app.log")
        eventually(log.read_text)
    assert logs_of(directory, task[:8]) == "app\ncontainer app; --container chooses another: side\n"
    assert logs_of(directory, task, "--container", "side") == "side\n"
    assert logs_of(directory, "steady") == "up\n"
    assert "no container 'ghost'; it has app, side" in logs_of(directory, task, "--container", "ghost")
    assert "no such task or instance" in logs_of(directory, "unheard-of")


def examples() -> tuple[str, str]:
    """The task definition and the commands of the documentation's section."""
    page = (Path(__file__).parents[2] / "docs" / "local-ecs.md").read_text(encoding="utf-8")
    section = page.partition("## Secrets, logs and commands")[2].partition("\n## ")[0]
    definition, script = (section.partition(f"```{kind}\n")[2].partition("```")[0] for kind in ("json", "sh"))
    return definition, script


def logs_of(directory: Path, *arguments: str) -> str:
    command = [sys.executable, "-c", "from outrig.local.commands import app; app()", "logs", "--dir", str(directory)]
    result = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
    return result.stdout + result.stderr
