"""The rules of onboarding in the guide's scene: what a running workload keeps, what ends it, and a host that joins by
a token of a real OpenID issuer in place of an IAM role."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.guide import BIN, EXAMPLE, ROOT, Guide, open_guide, settled
from tests.fixtures.local.lab import eventually
from tests.fixtures.oidc.issuer import write_certificate

pytestmark = pytest.mark.slow

ISSUER = "https://10.7.0.30:8443"
ARCHIVE = "archive.bookinfo:9080"
CONFIGURATION = {
    "apiVersion": "config.agent.onboarding.tetrate.io/v1alpha1",
    "kind": "OnboardingConfiguration",
    "onboardingEndpoint": {"host": "10.7.0.10"},
    "workloadGroup": {"namespace": "bookinfo", "name": "archive"},
    "workload": {"labels": {"rack": "r7"}},
}
POLICY = {
    "apiVersion": "authorization.onboarding.tetrate.io/v1alpha1",
    "kind": "OnboardingPolicy",
    "metadata": {"name": "allow-books-hosts", "namespace": "bookinfo"},
    "spec": {
        "allow": [
            {
                "workloads": [{"jwt": {"issuer": ISSUER, "attributes": [{"name": "team", "values": ["books"]}]}}],
                "onboardTo": [{"workloadGroupSelector": {"matchLabels": {"app": "archive"}}}],
            }
        ]
    },
}


def instances(shared: Path) -> dict[str, Any]:
    """The issuer, and a host with an application and an agent. `shared`: a directory both see."""
    issuer = [str(BIN / "python"), "-m", "tests.fixtures.oidc.issuer", str(shared), "10.7.0.30", "8443"]
    agent = f"{BIN}/outrig agent run --root-certs {shared}/root.pem --dir {shared}/agent"
    application = f"(until {BIN}/python {EXAMPLE}/../apps/ratings.py; do sleep 0.2; done)"  # its port may be held yet
    start = f"until test -s {shared}/root.pem; do sleep 0.2; done; {application} & exec {agent}"
    told = {"OUTRIG_JWT_FILE": f"{shared}/host.jwt", "ONBOARDING_CONFIG": json.dumps(CONFIGURATION)}
    return {
        "issuer": {"address": "10.7.0.30", "command": issuer, "environment": {"PYTHONPATH": str(ROOT)}},
        "archive-host": {"address": "10.7.0.20", "command": ["sh", "-c", start], "environment": told},
    }


def issuers(shared: Path) -> Path:
    """The control plane's file of issuers."""
    fields = {"attributes": {"jsonPath": "$.attributes"}}
    about = {"issuer": ISSUER, "shortName": "corp", "caFile": str(shared / "issuer.pem"), "privateAddresses": True}
    file = shared / "issuers.yaml"
    file.write_text(yaml.safe_dump({"issuers": [{**about, "tokenFields": fields}]}), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def guide(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guide]:
    directory = tmp_path_factory.mktemp("guide")
    shared = directory / "scene" / "shared"  # of this directory everybody sees the scene
    shared.mkdir(parents=True)
    write_certificate(shared, "10.7.0.30")
    settings = {"OUTRIG_JWT_ISSUERS": str(issuers(shared))}
    with open_guide(directory, settings, instances(shared)) as found:
        found.apply(archive(found))
        found.apply(json.dumps(POLICY))
        start_host(found, shared)
        for service in ("ratings", "productpage"):
            found.deploy(service)
        for service in ("ratings", "productpage"):
            found.wait_serving(service)
        yield found


def start_host(guide: Guide, shared: Path) -> None:
    """Give the host what its agent waits for: whom to believe, and a token for that control plane."""
    asked = guide.inside("control-plane", "curl", "-sk", "https://127.0.0.1:5678/v1/discovery").stdout
    claims = {"audience": json.loads(asked)["audience"], "subject": "host/Archive 1", "attributes": {"team": "books"}}
    (shared / "host.json").write_text(json.dumps(claims), encoding="utf-8")
    root = (guide.lab.directory / "control-plane" / "onboarding-root.pem").read_text(encoding="utf-8")
    (shared / "root.pem").write_text(root, encoding="utf-8")


def archive(guide: Guide) -> str:
    """Group, Sidecar and Service of the host: those of details under another name."""
    peers = list(yaml.safe_load_all((EXAMPLE / "peers.yaml").read_text(encoding="utf-8")))
    mesh = list(yaml.safe_load_all((EXAMPLE / "mesh.yaml").read_text(encoding="utf-8")))
    ours = [one for one in (*mesh, *peers) if one["metadata"]["name"].endswith("details")]
    return yaml.safe_dump_all(ours).replace("details", "archive").replace("class: ecs", "class: host")


def host(guide: Guide) -> Mapping[str, Any] | None:
    """The host's registration, if there is one."""
    return next((one for one in guide.get("war") if one["metadata"]["name"].startswith("archive-jwt-")), None)


def joins_of_host(guide: Guide) -> int:
    """How often the host's agents have got certificates."""
    return log_of_host(guide).count("joined as")


def log_of_host(guide: Guide) -> str:
    """What its agents have said."""
    return guide.ecs.log("archive-host.log").read_text(encoding="utf-8")


def labels_of(guide: Guide, group: str) -> dict[str, str]:
    """The labels of the entry of the group's one workload."""
    (entry,) = [one for one in guide.get("workloadentries") if one["metadata"]["name"].startswith(f"{group}-")]
    found: dict[str, str] = entry["spec"]["labels"]
    return found


def call_host(guide: Guide) -> str:
    return guide.call(ARCHIVE)


def restart_control_plane(guide: Guide) -> None:
    guide.ecs.kill("control-plane")
    settled(lambda: guide.kubectl("get", "namespaces"))


def test_a_host_joins_by_token_and_is_called_by_a_task_over_mutual_tls(guide: Guide) -> None:
    assert "Reviewer1" in settled(lambda: call_host(guide))
    registration = host(guide)
    assert registration
    assert registration["metadata"]["name"].startswith("archive-jwt-corp-host-archive-1-")
    said = {"issuer": ISSUER, "subject": "host/Archive 1", "attributes": {"team": "books"}}
    assert registration["spec"]["identity"] == {"jwt": said}
    assert registration["spec"]["registration"]["host"]["addresses"] == [{"ip": "10.7.0.20", "type": "VPC"}]
    assert labels_of(guide, "archive") == {"app": "archive", "class": "host", "rack": "r7"}
    assert "True" in guide.kubectl("get", "war", "-n", "bookinfo", registration["metadata"]["name"])
    assert not guide.inside("productpage", "curl", "-f", "http://10.7.0.20:9080/ratings/0").stdout


def test_a_host_comes_back_as_itself_when_its_agent_was_killed(guide: Guide) -> None:
    settled(lambda: call_host(guide))
    before = host(guide)
    assert before
    joins = joins_of_host(guide)
    guide.ecs.kill("archive-host")
    eventually(lambda: joins_of_host(guide) > joins, seconds=60)
    settled(lambda: call_host(guide))
    after = host(guide)
    assert after
    assert after["metadata"]["uid"] == before["metadata"]["uid"]


def test_running_workloads_keep_the_group_they_joined_whatever_becomes_of_it(guide: Guide) -> None:
    """Also when the control plane starts anew, and when an agent joins again to renew."""
    settled(lambda: call_host(guide))
    before, uids = host(guide), guide.wait_serving("ratings")
    assert before
    labels = {group: labels_of(guide, group) for group in ("archive", "ratings")}
    for group in labels:
        change = [{"op": "add", "path": "/spec/template/labels/edition", "value": "second"}]
        change.append({"op": "replace", "path": "/spec/template/serviceAccount", "value": "somebody-else"})
        guide.kubectl("patch", "workloadgroup", "-n", "bookinfo", group, "--type=json", "-p", json.dumps(change))
    try:
        restart_control_plane(guide)
        guide.ecs.kill("archive-host")
        settled(lambda: call_host(guide))
        assert guide.wait_serving("ratings") == uids
        after = host(guide)
        assert after
        assert after["metadata"]["uid"] == before["metadata"]["uid"]
        assert {group: labels_of(guide, group) for group in labels} == labels
        guide.kubectl("delete", "war", "-n", "bookinfo", after["metadata"]["name"])
        assert eventually(lambda: (found := host(guide)) and found["metadata"]["uid"] != before["metadata"]["uid"])
        assert eventually(lambda: labels_of(guide, "archive").get("edition") == "second")
    finally:
        guide.apply(archive(guide))
        guide.kubectl("apply", "-f", str(EXAMPLE / "workloadgroup.yaml"))


def test_who_is_banned_is_told_to_end_and_comes_back_when_the_ban_is_lifted(guide: Guide) -> None:
    settled(lambda: call_host(guide))
    ban = "onboarding.outrig.dev/banned"
    guide.kubectl("annotate", "namespace", "bookinfo", f"{ban}={ISSUER}#host/Archive 1")
    try:
        eventually(lambda: "OUT505" in log_of_host(guide), seconds=60)
        assert not host(guide)
        assert not call_host(guide)
        eventually(lambda: "OUT125" in log_of_host(guide), seconds=60)
        assert guide.wait_serving("ratings")
    finally:
        guide.kubectl("annotate", "namespace", "bookinfo", f"{ban}-")
    settled(lambda: call_host(guide))


def test_a_deleted_policy_shuts_out_who_comes_and_leaves_who_is_there(guide: Guide) -> None:
    uids = guide.wait_serving("ratings")
    guide.kubectl("delete", "onboardingpolicy", "-n", "bookinfo", "allow-ecs")
    guide.scale("ratings", 2)
    (newcomer,) = eventually(lambda: set(guide.running("ratings")) - set(uids))
    eventually(lambda: "Not authorized by OnboardingPolicy" in guide.log(newcomer), seconds=60)
    assert guide.wait_serving("ratings") == uids
    assert eventually(guide.call)
    policy = (EXAMPLE / "onboardingpolicy.yaml").read_text(encoding="utf-8").replace("<AWS_ACCOUNT_ID>", "123456789012")
    guide.apply(policy)
    assert set(guide.wait_serving("ratings", 2)) == {*uids, newcomer}
    guide.scale("ratings", 1)
    guide.wait_serving("ratings")


def test_a_deleted_group_takes_its_workloads_along_and_they_come_back_with_it(guide: Guide) -> None:
    settled(lambda: call_host(guide))
    guide.wait_serving("ratings")
    for group in ("archive", "ratings"):
        guide.kubectl("delete", "workloadgroup", "-n", "bookinfo", group)
    (task,) = guide.running("ratings")
    left = {one["metadata"]["name"].partition("-")[0] for kind in ("war", "workloadentries") for one in guide.get(kind)}
    assert left == {"productpage"}
    eventually(lambda: "WorkloadGroup" in (said := guide.log(task)) and "does not exist" in said, seconds=60)
    assert not guide.call()
    guide.apply(archive(guide))
    guide.kubectl("apply", "-f", str(EXAMPLE / "workloadgroup.yaml"))
    assert set(guide.wait_serving("ratings")) == {task}
    settled(lambda: call_host(guide))
    assert eventually(guide.call)
