"""What users edit while tasks run reaches them by itself, and what cannot work is said where they look."""

import json

import pytest

from tests.e2e.guide import BIN, EXAMPLE, RATINGS, Definition, Guide, condition
from tests.fixtures.local.lab import eventually

pytestmark = pytest.mark.slow

PYTHON = str(BIN / "python")
PERMISSIVE = """
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: istio-system}
spec: {mtls: {mode: PERMISSIVE}}
"""
# One kept-alive connection, a request every 50 ms: prints `open` at the first answer, `shut` when none comes any more.
POOLED = """
import http.client, sys, time
connection = http.client.HTTPConnection(sys.argv[1], 9080, timeout=5)
connection.auto_open, deadline = 0, time.monotonic() + 30
connection.connect()
said = ""
while time.monotonic() < deadline:
    try:
        connection.request("GET", "/ratings/0")
        answer = connection.getresponse()
        answer.read()
        state = "open" if answer.status == 200 else "shut"
    except (OSError, http.client.HTTPException):
        state = "shut"
    if state != said:
        print(state, flush=True)
    if state == "shut":
        break
    said = state
    time.sleep(0.05)
"""
# Holds 127.0.0.3:7777 until standard input ends.
HOLD = """
import socket, sys
held = socket.create_server(("127.0.0.3", 7777))
print("taken", flush=True)
sys.stdin.read()
"""


def address(guide: Guide, task: str) -> str:
    return next(str(one["address"]) for one in guide.lab.tasks() if one["id"] == task)


def plaintext(guide: Guide, host: str) -> bool:
    return "Reviewer1" in guide.inside("productpage", "curl", f"http://{host}:9080/ratings/0").stdout


def joins(guide: Guide, task: str) -> tuple[int, int]:
    """How often the task's agent has joined, and its pid: neither changes while only configuration does."""
    return guide.log(task).count("joined as"), guide.pid(task, "onboarding-agent")


def test_permissive_lets_plaintext_in_and_deleting_it_shuts_new_and_pooled_connections(guide: Guide) -> None:
    (task,) = guide.wait_serving("ratings")
    ratings, before = address(guide, task), joins(guide, task)
    assert not plaintext(guide, ratings)
    guide.apply(PERMISSIVE)
    eventually(lambda: plaintext(guide, ratings))
    assert guide.call()
    with guide.start_inside("productpage", PYTHON, "-c", POOLED, ratings) as pooled:
        assert pooled.stdout is not None
        assert pooled.stdout.readline() == "open\n"
        guide.kubectl("delete", "peerauthentication", "-n", "istio-system", "default")
        assert pooled.stdout.readline() == "shut\n"
    eventually(lambda: not plaintext(guide, ratings))
    assert guide.call()
    assert joins(guide, task) == before


def test_edits_of_service_and_sidecar_reach_the_proxy_without_a_restart(guide: Guide) -> None:
    (client,) = guide.wait_serving("productpage")
    before = joins(guide, client)
    service = "apiVersion: v1\nkind: Service\nmetadata: {name: stars, namespace: bookinfo}\n"
    service += "spec: {selector: {app: ratings}, ports: [{name: http, port: 9080}]}\n"
    assert guide.call("stars.bookinfo:9080") == ""
    guide.apply(service)
    try:
        assert "Reviewer1" in eventually(lambda: guide.call("stars.bookinfo:9080"))
        guide.apply(service.replace("app: ratings", "app: nobody"))
        eventually(lambda: not guide.call("stars.bookinfo:9080"))
    finally:
        guide.kubectl("delete", "service", "-n", "bookinfo", "stars")
    assert guide.call()

    def through(listener: str) -> bool:
        asked = guide.inside("productpage", "curl", "-H", f"Host: {RATINGS}", f"{listener}/ratings/0")
        return "Reviewer1" in asked.stdout

    peers = (EXAMPLE / "peers.yaml").read_text(encoding="utf-8")
    guide.apply(peers.replace("127.0.0.2", "127.0.0.7"))
    eventually(lambda: through("127.0.0.7:9080") and not through("127.0.0.2:9080"))
    guide.apply(peers)
    eventually(lambda: through("127.0.0.2:9080") and not through("127.0.0.7:9080"))
    assert joins(guide, client) == before


def test_a_listener_that_cannot_bind_is_told_and_the_last_good_configuration_serves_on(guide: Guide) -> None:
    (client,) = guide.wait_serving("productpage")
    before = joins(guide, client)
    peers = (EXAMPLE / "peers.yaml").read_text(encoding="utf-8")
    listener = "  - {bind: 127.0.0.3, port: {number: 7777, protocol: HTTP}, hosts: [./*]}\n"
    taken = f"{listener}  - bind: 127.0.0.2".join(peers.rsplit("  - bind: 127.0.0.2", 1))

    def refused() -> str:
        entries = [one for one in guide.get("workloadentries") if one["metadata"]["name"].endswith(client)]
        return condition(entries[0], "Programmed")

    with guide.start_inside("productpage", PYTHON, "-c", HOLD) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "taken\n"
        guide.apply(taken)
        eventually(lambda: refused() == "False")
        (event,) = eventually(lambda: guide.get("events", "--field-selector", "reason=ConfigRejected"))
        assert event["involvedObject"]["name"].endswith(client)
        assert "cannot bind '127.0.0.3:7777'" in event["message"]
        assert guide.call()
        assert client in guide.serving("productpage")
    eventually(lambda: refused() == "True")  # the address is free: nobody has changed or restarted anything
    guide.apply(peers)
    assert guide.call()
    assert joins(guide, client) == before


def by_files(guide: Guide, group: str) -> Definition:
    """The details task, its agent told by files and nothing else to join `group`."""
    definition = guide.definition("details")
    agent = definition["containerDefinitions"][0]
    given = {one["name"]: one["value"] for one in agent.pop("environment")}
    onboarding = json.loads(given["ONBOARDING_CONFIG"])
    onboarding["workloadGroup"]["name"] = group
    folder = guide.lab.directory / "files"
    folder.mkdir(exist_ok=True)
    output = {"stdout": {"filename": str(folder / "access.log")}}
    agent_config = {
        "apiVersion": "config.agent.onboarding.tetrate.io/v1alpha1",
        "kind": "AgentConfiguration",
        "sidecar": output,
    }
    (folder / "onboarding.yaml").write_text(json.dumps(onboarding), encoding="utf-8")
    (folder / "agent.yaml").write_text(json.dumps(agent_config), encoding="utf-8")
    (folder / "roots.pem").write_text(given["ONBOARDING_AGENT_ROOT_CERTS"], encoding="utf-8")
    agent["command"] = [
        *("--onboarding-config", str(folder / "onboarding.yaml")),
        *("--agent-config", str(folder / "agent.yaml")),
        *("--root-certs", str(folder / "roots.pem")),
    ]
    return definition


def test_an_agent_told_by_files_waits_for_its_group_and_joins_when_it_is_there(guide: Guide) -> None:
    guide.deploy("details", by_files(guide, "latecomers"))
    (task,) = eventually(lambda: guide.running("details"))
    eventually(lambda: "latecomers" in guide.log(task) and "WorkloadGroup" in guide.log(task))
    assert "WorkloadGroup" in guide.inside(task, "curl", "127.0.0.1:9902/ready", container="onboarding-agent").stdout
    assert not guide.registrations("latecomers")
    guide.apply(
        "apiVersion: networking.istio.io/v1\nkind: WorkloadGroup\nmetadata: {name: latecomers, namespace: bookinfo}\n"
        "spec: {template: {labels: {app: details, class: ecs}, serviceAccount: bookinfo-details}}\n"
    )
    assert guide.wait_serving("latecomers").keys() == {task}
    assert "Shakespeare" in eventually(lambda: guide.call("details.bookinfo:9080", "/details/0"))
    written = guide.lab.directory / "files" / "access.log"
    assert eventually(lambda: "GET /details/0" in written.read_text(encoding="utf-8"))
    assert "GET /details/0" not in guide.log(task)
    assert guide.log(task).count("latecomers does not exist") <= 1
