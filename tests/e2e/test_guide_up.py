"""`outrig local up examples/bookinfo-ratings`, as somebody who has read the README does it; who need not be root."""

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.guide import BIN, EXAMPLE
from tests.e2e.shell import Shell, blocks, brought_up
from tests.e2e.test_local_rootless import NOBODY, ordinary_user
from tests.fixtures.local.lab import alive, processes_of

pytestmark = pytest.mark.slow


@pytest.fixture
def shell() -> Iterator[Shell]:
    """An ordinary user's, where this machine lets one make namespaces; else our own.

    pytest's directories are closed to others.
    """
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        (home / "here").mkdir()
        if os.geteuid() == 0:
            for path in (home, home / "here"):
                os.chown(path, NOBODY, NOBODY)
        yield _ordinary(home) or Shell(home / "here" / "state")


def _ordinary(home: Path) -> Shell | None:
    try:
        python, environment = ordinary_user(home)
    except pytest.skip.Exception:
        return None
    user = python[:-1]
    if subprocess.run([*user, "unshare", "-Urnmpf", "--kill-child", "true"], capture_output=True).returncode != 0:
        return None
    return Shell(home / "here" / "state", make_venv(home, python, environment), tuple(user))


def make_venv(home: Path, python: list[str], environment: dict[str, str]) -> Path:
    """A virtual environment of the ordinary user's, with our packages; its folder of programs."""
    subprocess.run([*python, "-m", "venv", "--without-pip", str(home / "venv")], env=environment, check=True, cwd="/")
    folder = home / "venv" / "bin"
    (site,) = (home / "venv" / "lib").glob("python*/site-packages")
    (site / "outrig.pth").write_text(environment["PYTHONPATH"].replace(":", "\n"), encoding="utf-8")
    (folder / "kubectl").symlink_to((BIN / "kubectl").resolve())
    for name, module in (("outrig", "outrig.__main__"), ("aws", "awscli.clidriver")):
        program = folder / name
        program.write_text(f"#!{folder}/python\nimport sys\nfrom {module} import main\nsys.exit(main())\n", "ascii")
        program.chmod(0o755)
    return folder


def test_up_prints_commands_that_work_as_they_stand_and_down_leaves_only_logs(shell: Shell) -> None:
    with brought_up(shell, EXAMPLE) as printed:
        prepared, commands, end = blocks(printed)
        unset, *exports = shell.run(f"{prepared}outrig local env").stdout.splitlines()
        assert unset == "unset AWS_PROFILE AWS_SESSION_TOKEN AWS_SECURITY_TOKEN"
        names = [re.match(r"export (\w+)=", line) for line in exports]
        assert {"KUBECONFIG", "AWS_ENDPOINT_URL"} <= {found[1] for found in names if found}
        assert all(names)
        assert shell.run(f"export NO_PROXY=corp\n{prepared}echo $NO_PROXY").stdout == "127.0.0.1,localhost,corp\n"
        assert len(commands) == 3
        wars, ratings, details = (shell.run(prepared + command) for command in commands)
        for service in ("ratings", "details", "productpage"):
            assert re.search(rf"^{service}-aws-aws-123456789012-\S+ +True ", wars.stdout, re.MULTILINE), wars
        assert "server: envoy" in ratings.stdout
        assert "Reviewer1" in ratings.stdout
        assert "server: envoy" in details.stdout
        assert "Shakespeare" in details.stdout

        status = shell.run(f"{prepared}outrig local status")
        running = r"^task \w{32}  service:\w+  RUNNING  10\.7\.\d+\.\d+  us-east-1a$"
        assert len(re.findall(running, status.stdout, re.MULTILINE)) == 3
        assert "None" not in status.stdout
        listed = shell.run(f"{prepared}aws ecs list-services --cluster bookinfo --output json")
        assert len(json.loads(listed.stdout)["serviceArns"]) == 3
        document = json.loads(shell.run(f"{prepared}outrig local status -o json").stdout)
        pids = [one["pid"] for task in document["tasks"] for one in task["containers"]]
        assert len(pids) == 6
        assert all(map(alive, pids))

        ended = shell.run(end)
        assert (ended.returncode, ended.stdout) == (0, "ended\n")
        assert not processes_of(shell.directory)
        assert not any(map(alive, pids))
        assert {entry.name for entry in shell.directory.iterdir()} == {".outrig-local", "logs"}
        assert {entry.name for entry in shell.directory.parent.iterdir()} == {"state"}
