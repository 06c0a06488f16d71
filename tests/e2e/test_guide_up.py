"""`outrig local up examples/bookinfo-ratings`, as somebody who has read the README does it."""

import json
import re
from pathlib import Path

import pytest

from tests.e2e.guide import EXAMPLE
from tests.e2e.shell import Shell, blocks, brought_up
from tests.fixtures.local.lab import alive, processes_of

pytestmark = pytest.mark.slow


def test_up_prints_commands_that_work_as_they_stand_and_down_leaves_only_logs(tmp_path: Path) -> None:
    shell = Shell(tmp_path / "state")
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
        assert {entry.name for entry in tmp_path.iterdir()} == {"state"}
