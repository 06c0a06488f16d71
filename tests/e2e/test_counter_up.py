"""`outrig local up examples/counter`: two replicas on one database behind one name, as somebody who has read the page
sees them; an update of the control plane, which replaces one after the other; and tasks of the other dialect, which
call by name, and are called."""

import json
import os
import signal
import ssl
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.guide import BIN, ROOT
from tests.e2e.shell import Shell, blocks, brought_up
from tests.fixtures.local.lab import alive, eventually, processes_of

pytestmark = pytest.mark.slow

REPLICAS = ("control-plane", "control-plane-2")
LOAD = f"{BIN}/python {ROOT}/examples/apps/load.py --until-stdin-ends --seconds 120 --rate 50"


class Counter:
    """The scene, and what is typed into it. `prepared`: what `up` says to tell the shell first."""

    def __init__(self, shell: Shell, prepared: str) -> None:
        self.shell, self.prepared = shell, prepared

    def say(self, command: str) -> str:
        """What a command prints. Fails with its error output."""
        done = self.shell.run(self.prepared + command)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def load(self) -> "subprocess.Popen[str]":
        """Calls from demo-app to kv, through both sidecars, until its input ends."""
        call = f"{LOAD} --connect 127.0.0.1:15050 http://127.0.0.1:15050/counter"
        text = f"{self.prepared}exec outrig local exec demo-app --container workload -- {call}"
        started = subprocess.Popen(
            ["bash", "-c", text],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=self.shell.directory.parent,
        )
        assert started.stdout is not None
        assert started.stdout.readline() == "calling\n"
        return started

    def asked_of(self, replica: str, path: str) -> dict[str, Any]:
        """What a replica answers, by its own address, to the token that the *first* one wrote."""
        first = self.shell.directory / REPLICAS[0]
        port = json.loads((self.shell.directory / "published.json").read_text(encoding="utf-8"))[replica]["api"]
        headers = {"authorization": f"Bearer {(first / 'admin-token').read_text(encoding='ascii').strip()}"}
        trust = ssl.create_default_context(cafile=str(first / "onboarding-root.pem"))
        found: dict[str, Any] = (
            httpx.get(f"https://127.0.0.1:{port}{path}", headers=headers, verify=trust).raise_for_status().json()
        )
        return found

    def instance(self, replica: str) -> str:
        """Its name among the replicas; another after each start."""
        return str(self.asked_of(replica, "/")["instanceId"])

    def planes(self, replica: str) -> dict[str, dict[str, Any]]:
        """The newest connection of each dataplane, as a replica tells it."""
        items = self.asked_of(replica, "/meshes/default/dataplanes/_overview")["items"]
        return {one["name"]: one["dataplaneInsight"]["subscriptions"][-1] for one in items}

    def replace(self, replica: str, other: str) -> None:
        """SIGTERM, as ECS does: both dataplanes go over to the other one, and a new one comes."""
        (pid,) = (one["pid"] for one in self.status()["instances"] if one["name"] == replica)
        leaving = self.instance(replica)
        os.kill(pid, signal.SIGTERM)
        eventually(lambda: leaving not in self.connected(other) and len(self.connected(other)) == 2, seconds=60)
        eventually(lambda: self.new_instance(replica, leaving), seconds=60)

    def new_instance(self, replica: str, before: str) -> bool:
        """Whether it serves again."""
        try:
            return self.instance(replica) != before
        except httpx.TransportError:
            return False

    def connected(self, replica: str) -> list[str]:
        """Where the dataplanes are that are connected, as a replica tells it."""
        told = self.planes(replica).values()
        return [str(one["controlPlaneInstanceId"]) for one in told if "disconnectTime" not in one]

    def status(self) -> dict[str, Any]:
        """Of the scene."""
        found: dict[str, Any] = json.loads(self.say("outrig local status -o json"))
        return found


def uids(planes: dict[str, dict[str, Any]]) -> set[str]:
    """A connection is called after its Dataplane's uid, which another Dataplane of that name would not have."""
    return {str(one["id"]).rpartition("-")[0] for one in planes.values()}


def test_the_counter_comes_up_counts_and_is_updated_without_a_call_lost(tmp_path: Path) -> None:
    shell = Shell(tmp_path / "state")
    with brought_up(shell, ROOT / "examples" / "counter") as printed:
        prepared, commands, end = blocks(printed)
        counter = Counter(shell, prepared)
        listed, counted, read = (counter.say(command) for command in commands[:3])
        assert listed.count(" Online ") == 2
        assert (json.loads(counted)["value"], json.loads(counted)["caller"]) == (1, "spiffe://default/demo-app")
        assert json.loads(read)["value"] == 1
        status = counter.status()
        assert {one["name"] for one in status["instances"] if one["ready"]} == {"postgres", *REPLICAS}
        pids = [one["pid"] for task in status["tasks"] for one in task["containers"]]
        assert len(pids) == 4

        first, second = REPLICAS
        before, load = uids(counter.planes(first)), counter.load()
        counter.replace(first, second)
        counter.replace(second, first)
        account = json.loads(load.communicate()[0].splitlines()[-1])
        assert (account["failed"], account["ok"]) == (0, account["sent"]), account
        assert account["sent"] > 50
        assert uids(counter.planes(second)) == before, "a dataplane was deregistered meanwhile"

        def told() -> bool:
            """Counts of connections that are new are there after one look at them."""
            seen = [counter.planes(replica) for replica in REPLICAS]
            return seen[0] == seen[1] and all("lastUpdateTime" in one["status"] for one in seen[0].values())

        eventually(told)
        _, by_name, ratings = (counter.say(command) for command in commands[3:])
        assert json.loads(by_name)["caller"] == "spiffe://cluster.local/ns/bookinfo/sa/bookinfo-productpage"
        assert json.loads(ratings)["ratings"]["Reviewer1"] == 5
        ended = shell.run(end)
        assert (ended.returncode, ended.stdout) == (0, "ended\n")
        assert not processes_of(shell.directory)
        assert not any(map(alive, pids))
        assert {entry.name for entry in shell.directory.iterdir()} == {".outrig-local", "logs"}
