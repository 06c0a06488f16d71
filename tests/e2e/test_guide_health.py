"""Health in the guide's scene: a probe of each kind, container health checks, and `kubectl wait` on what they mean."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.e2e.guide import BIN, EXAMPLE, NAMESPACE, Guide, open_guide, task_of
from tests.fixtures.local.lab import eventually

pytestmark = pytest.mark.slow

# Ratings on 9080, with /health; a port 9081; gRPC health on 9082. Each is well as long as a file of its name is there.
APPLICATION = """
import http.server, socket, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import grpc

well = lambda name: Path(sys.argv[1], name).exists()

class Ratings(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        good = self.path != "/health" or well("httpGet")
        body = b'{"id": 0, "ratings": {"Reviewer1": 5}}'
        self.send_response(200 if good else 503)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

def keep_port():
    held = None
    while True:
        if well("tcpSocket") and held is None:
            held = socket.create_server(("127.0.0.1", 9081), backlog=100)
        elif not well("tcpSocket") and held is not None:
            held.close()
            held = None
        time.sleep(0.05)

def check(request, context):
    return b"\\x08\\x01" if well("grpc") else b"\\x08\\x02"

threading.Thread(target=keep_port, daemon=True).start()
health = grpc.server(ThreadPoolExecutor(2))
methods = {"Check": grpc.unary_unary_rpc_method_handler(check)}
handler = grpc.method_handlers_generic_handler("grpc.health.v1.Health", methods)
health.add_generic_rpc_handlers((handler,))
health.add_insecure_port("127.0.0.1:9082")
health.start()
http.server.ThreadingHTTPServer(("127.0.0.1", 9080), Ratings).serve_forever()
"""


@pytest.fixture(scope="module")
def guide(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guide]:
    with open_guide(tmp_path_factory.mktemp("guide"), {}) as found:
        flags = flags_of(found)
        flags.mkdir(parents=True)
        (flags / "helper").touch()
        definition = found.definition("ratings")
        definition["containerDefinitions"][1]["command"] = [str(BIN / "python"), "-c", APPLICATION, str(flags)]
        check = {"command": ["CMD-SHELL", f"test -e {flags}/helper"], "interval": 5, "retries": 1}
        helper = {"name": "helper", "image": "bookinfo/productpage:latest", "essential": False, "healthCheck": check}
        definition["containerDefinitions"].append(helper)
        found.deploy("ratings", definition)
        found.deploy("productpage")
        found.wait_serving("ratings")
        found.wait_serving("productpage")
        eventually(found.call)
        yield found


def flags_of(guide: Guide) -> Path:
    """The directory of the files that say what is well; tasks see it."""
    return guide.lab.directory / "files" / "well"


def wait(guide: Guide, condition: str, name: str) -> None:
    """`kubectl wait` for a condition of a workload, on registration and entry."""
    for kind in ("war", "we"):
        guide.kubectl("wait", f"--for=condition={condition}", f"{kind}/{name}", "-n", NAMESPACE, "--timeout=60s")


def name_of(guide: Guide) -> str:
    """The name of the only ratings workload."""
    (registration,) = guide.registrations("ratings")
    return str(registration["metadata"]["name"])


def leaves_and_returns(guide: Guide, flag: Path, name: str) -> None:
    """The workload is called while the file is there, and not while it is away."""
    flag.unlink()
    wait(guide, "Ready=False", name)
    eventually(lambda: not guide.call())
    flag.touch()
    wait(guide, "Ready", name)
    assert "Reviewer1" in eventually(guide.call)


def test_all_three_conditions_can_be_waited_for_on_both_kinds_and_come_back_with_a_deleted_entry(guide: Guide) -> None:
    name = name_of(guide)
    for condition in ("Ready", "Programmed", "AgentConnected"):
        wait(guide, condition, name)
    guide.kubectl("delete", "we", "-n", NAMESPACE, name)
    eventually(lambda: guide.get("we", "--field-selector", f"metadata.name={name}"))
    for condition in ("Ready", "Programmed", "AgentConnected"):
        wait(guide, condition, name)


def test_war_shows_three_columns_and_the_rest_when_asked(guide: Guide) -> None:
    def columns(*arguments: str) -> list[str]:
        return guide.kubectl("get", *arguments, "-n", NAMESPACE).splitlines()[0].split("  ")

    def shown(*arguments: str) -> list[str]:
        return [column.strip() for column in columns(*arguments) if column.strip()]

    assert shown("war") == ["NAME", "AGENT CONNECTED", "AGE"]
    assert shown("war", "-o", "wide")[3:] == ["READY", "REASON", "PROGRAMMED"]
    assert shown("we") == ["NAME", "AGE", "ADDRESS", "READY"]
    assert shown("we", "-o", "wide")[4:] == ["REASON", "AGENT CONNECTED", "PROGRAMMED"]


METHODS: dict[str, dict[str, object]] = {
    "httpGet": {"port": 9080, "path": "/health", "httpHeaders": [{"name": "X-Probe", "value": "yes"}]},
    "tcpSocket": {"port": 9081},
    "exec": {},
    "grpc": {"port": 9082},
}


@pytest.mark.parametrize("method", METHODS)
def test_a_group_s_probe_decides_once_the_task_has_joined_with_it(guide: Guide, method: str) -> None:
    flag = flags_of(guide) / method
    flag.touch()
    apply_probe(guide, {method: METHODS[method] or {"command": ["test", "-e", str(flag)]}})
    eventually(guide.call)
    leaves_and_returns(guide, flag, name_of(guide))


def apply_probe(guide: Guide, method: dict[str, dict[str, object]]) -> None:
    """Give the group that probe and have its only task join again, so that it gets it."""
    (before,) = guide.registrations("ratings")
    group = yaml.safe_load((EXAMPLE / "workloadgroup.yaml").read_text(encoding="utf-8"))
    group["spec"]["probe"] = {"periodSeconds": 1, **method}
    guide.apply(json.dumps(group))
    guide.kubectl("delete", "war", "-n", NAMESPACE, before["metadata"]["name"])
    uids = guide.wait_serving("ratings")
    assert uids.keys() == {task_of(before)}
    assert uids[task_of(before)] != before["metadata"]["uid"]


def test_a_container_that_ecs_calls_unhealthy_takes_its_task_out_until_it_is_well_again(guide: Guide) -> None:
    name = name_of(guide)
    wait(guide, "Ready", name)
    leaves_and_returns(guide, flags_of(guide) / "helper", name)


def test_with_two_of_three_unhealthy_the_third_takes_every_call_until_they_are_back(guide: Guide) -> None:
    """Envoy's panic would send calls to all three."""
    sick = flags_of(guide) / "sick"
    apply_probe(guide, {"exec": {"command": ["sh", "-c", f"! test -e {sick}-$(hostname)"]}})
    guide.scale("ratings", 3)
    tasks = list(guide.wait_serving("ratings", 3))
    load = guide.load()
    eventually(lambda: all(served(guide, task) > 5 for task in tasks))
    files = [Path(f"{sick}-{guide.inside(task, 'hostname').stdout.strip()}") for task in tasks[1:]]
    assert len(set(files)) == 2
    for file in files:
        file.touch()
    eventually(lambda: guide.serving("ratings").keys() == {tasks[0]})
    eventually(lambda: [served_more(guide, task) for task in tasks] == [True, False, False])
    for file in files:
        file.unlink()
    guide.wait_serving("ratings", 3)
    eventually(lambda: all(served_more(guide, task) for task in tasks))
    account = load.account()
    assert account["failed"] == 0, account
    assert account["ok"] > 100
    guide.scale("ratings", 1)
    guide.wait_serving("ratings")


def served(guide: Guide, task: str) -> int:
    """Requests that the application of a ratings task has answered."""
    return guide.log(task, "ratings").count('"GET /ratings/0 ')


def served_more(guide: Guide, task: str) -> bool:
    """Whether it answers some now, which thirty calls of anybody would show."""
    before, calls = served(guide, task), sum_served(guide)
    eventually(lambda: sum_served(guide) > calls + 30)
    return served(guide, task) > before


def sum_served(guide: Guide) -> int:
    return sum(served(guide, task) for task in guide.running("ratings"))
