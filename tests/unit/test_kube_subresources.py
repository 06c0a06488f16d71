"""Spec and status are written apart, of every kind: a write leaves the other one, and generations tell which it was."""

from typing import Any

import pytest

from outrig.server.kinds import KINDS
from tests.unit.access_making import SERVICES, Person, service

MERGE = {"content-type": "application/merge-patch+json"}
APPLY = {"content-type": "application/apply-patch+yaml"}
CONDITION = {"type": "Mine", "status": "True", "lastTransitionTime": "2026-11-22T12:00:00Z", "reason": "So"}
STATUS = {"conditions": [CONDITION]}
PORT = {"number": 80, "name": "http", "protocol": "HTTP"}
INGRESS = {"port": PORT, "defaultEndpoint": "127.0.0.1:8080"}
SPECS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "Namespace": ({}, {"finalizers": ["a.b/c"]}),
    "Service": ({"ports": [{"port": 80}]}, {"ports": [{"port": 80}], "selector": {"app": "a"}}),
    "ServiceEntry": (
        {"hosts": ["a.example"], "ports": [PORT], "resolution": "DNS"},
        {"hosts": ["b.example"], "ports": [PORT], "resolution": "DNS"},
    ),
    "Sidecar": ({"egress": [{"hosts": ["./*"]}]}, {"egress": [{"hosts": ["*/*"]}]}),
    "WorkloadEntry": ({"address": "10.0.0.1"}, {"address": "10.0.0.2"}),
    "WorkloadGroup": ({"template": {"serviceAccount": "a"}}, {"template": {"serviceAccount": "b"}}),
    "AuthorizationPolicy": ({"action": "ALLOW"}, {"action": "DENY", "rules": [{}]}),
    "PeerAuthentication": ({"mtls": {"mode": "STRICT"}}, {"mtls": {"mode": "PERMISSIVE"}}),
    "OnboardingPolicy": (
        {
            "allow": [
                {
                    "workloads": [{"aws": {"accounts": ["123456789012"], "ecs": {}}}],
                    "onboardTo": [{"workloadGroupSelector": {}}],
                }
            ]
        },
        {
            "allow": [
                {
                    "workloads": [{"aws": {"accounts": ["210987654321"], "ecs": {}}}],
                    "onboardTo": [{"workloadGroupSelector": {}}],
                }
            ]
        },
    ),
}
"""A spec of each kind whose status others may write, and another one."""


def described(name: str, **more: Any) -> tuple[str, dict[str, Any]]:
    """The collection of a kind, and an object of it."""
    kind = next(kind for kind in KINDS if kind.name == name)
    prefix = f"/apis/{kind.group}/{kind.versions[0]}" if kind.group else "/api/v1"
    version = f"{kind.group}/{kind.versions[0]}" if kind.group else "v1"
    home = "/namespaces/shop" if kind.namespaced else ""
    return f"{prefix}{home}/{kind.plural}", {"apiVersion": version, "kind": name, "metadata": {"name": "a"}, **more}


def counted(document: dict[str, Any]) -> tuple[int, int]:
    """Generation and revision; 0 of the kind that has no generation in Kubernetes."""
    return document["metadata"].get("generation", 0), int(document["metadata"]["resourceVersion"])


def test_every_kind_whose_status_can_be_written_is_tried() -> None:
    assert set(SPECS) == {kind.name for kind in KINDS if kind.has_status and not kind.system and not kind.mesh_scoped}


@pytest.mark.parametrize("name", SPECS)
async def test_a_write_of_the_status_changes_nothing_else(admin: Person, name: str) -> None:
    spec, other = SPECS[name]
    path, sent = described(name, spec=spec, status=STATUS)
    made = await admin.makes(path, sent)
    assert "conditions" not in made.get("status", {}), "who creates an object does not say what was observed of it"
    marked = {**made, "metadata": {**made["metadata"], "labels": {"x": "y"}}, "spec": other, "status": STATUS}
    told = await admin.told("PUT", f"{path}/a/status", 200, json=marked)
    assert (told["spec"], told["metadata"].get("labels")) == (made["spec"], made["metadata"].get("labels"))
    assert told["status"]["conditions"] == [CONDITION]
    assert counted(told)[0] == (name != "Namespace")
    stale = await admin.told("PUT", f"{path}/a/status", 409, json=marked)
    assert stale["reason"] == "Conflict"
    patched = {"spec": other, "status": {"conditions": []}}
    told = await admin.told("PATCH", f"{path}/a/status", 200, json=patched, headers=MERGE)
    assert (told["spec"], told["status"].get("conditions", [])) == (made["spec"], [])
    assert await admin.told("GET", f"{path}/a/status", 200) == await admin.told("GET", f"{path}/a", 200)


@pytest.mark.parametrize("name", SPECS)
async def test_a_write_of_the_object_leaves_its_status(admin: Person, name: str) -> None:
    spec, other = SPECS[name]
    path, sent = described(name, spec=spec)
    await admin.makes(path, sent)
    before = await admin.told("PATCH", f"{path}/a/status", 200, json={"status": STATUS}, headers=MERGE)
    none = {"status": {"conditions": []}}
    labelled = {"metadata": {"labels": {"x": "y"}}, **none}
    told = await admin.told("PATCH", f"{path}/a", 200, json=labelled, headers=MERGE)
    assert (counted(told)[0], counted(told)[1] > counted(before)[1]) == (name != "Namespace", True)
    told = await admin.told("PUT", f"{path}/a", 200, json={**told, "spec": other, **none})
    assert counted(told)[0] == (2 if name != "Namespace" else 0)
    assert told["spec"] != before["spec"]
    assert told["status"]["conditions"] == [CONDITION]
    applied = {**sent, "spec": spec, **none}
    told = await admin.told("PATCH", f"{path}/a?fieldManager=me&force=true", 200, json=applied, headers=APPLY)
    assert told["status"]["conditions"] == [CONDITION]
    assert await admin.told("PUT", f"{path}/a", 200, json=told) == told, "the same again is no change"


CRD_KINDS = [kind.name for kind in KINDS if kind.name in SPECS and not kind.strategic_merge]


@pytest.mark.parametrize("name", CRD_KINDS)
@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ("x", "status.conditions"),
        ([5], "status.conditions[0]"),
        ([{**CONDITION, "type": 5}], "status.conditions[0].type"),
    ],
)
async def test_what_is_known_of_a_status_has_its_type_where_it_is_written(
    admin: Person, name: str, wrong: object, field: str
) -> None:
    path, sent = described(name, spec=SPECS[name][0])
    made = await admin.makes(path, {**sent, "status": {"conditions": wrong}})
    status = {"status": {"conditions": wrong, "more": 1}}
    told = await admin.told("PATCH", f"{path}/a/status", 422, json=status, headers=MERGE)
    assert [cause["field"] for cause in told["details"]["causes"]] == [field]
    kept = await admin.told("PATCH", f"{path}/a", 200, json=status, headers=MERGE)
    assert kept == made, "elsewhere a status is not written"
    marked = {"status": {"conditions": [CONDITION], "more": 1}}
    assert (await admin.told("PATCH", f"{path}/a/status", 200, json=marked, headers=MERGE))["status"]["more"] == 1


UNKNOWN: dict[str, Any] = {"loadBalancer": {"zone": "a", "ingress": [{"ip": "10.0.0.1", "x": 1}]}, "phase": "Up"}


@pytest.mark.parametrize(("strictness", "code", "warned"), [("Strict", 400, 0), ("Warn", 200, 3), ("Ignore", 200, 0)])
async def test_unknown_fields_of_a_service_s_status_are_judged_as_others_are(
    admin: Person, strictness: str, code: int, warned: int
) -> None:
    made = await admin.makes(SERVICES, service())
    path = f"{SERVICES}/cart/status?fieldValidation={strictness}"
    answer = await admin.put(path, json={**made, "status": UNKNOWN})
    assert answer.status_code == code
    found = answer.headers.get_list("warning") if code == 200 else [answer.json()["message"]]
    assert sum(warning.count("unknown field") for warning in found) == (warned or 3 * (code == 400))
    if code == 200:
        assert answer.json()["status"] == {"loadBalancer": {"ingress": [{"ip": "10.0.0.1"}]}}
    created = await admin.post(f"{SERVICES}?fieldValidation={strictness}", json={**service("b"), "status": UNKNOWN})
    assert created.status_code == (201 if code == 200 else 400), "also where the status does not count"


async def test_the_status_that_kubernetes_knows_of_a_service_is_taken(admin: Person) -> None:
    made = await admin.makes(SERVICES, service())
    point = {"hostname": "a.example", "ipMode": "VIP", "ports": [{"port": 80, "protocol": "TCP", "error": "None"}]}
    status = {
        "loadBalancer": {"ingress": [point]},
        "conditions": [{**CONDITION, "message": "", "observedGeneration": 1}],
    }
    path = f"{SERVICES}/cart/status?fieldValidation=Strict"
    told = await admin.told("PUT", path, 200, json={**made, "status": status})
    assert told["status"] == status
    wrong = {"loadBalancer": {"ingress": "none"}}
    refused = await admin.told("PATCH", path, 422, json={"status": wrong}, headers=MERGE)
    assert [cause["field"] for cause in refused["details"]["causes"]] == ["status.loadBalancer.ingress"]


async def test_the_status_of_a_kind_that_is_not_kubernetes_own_may_hold_anything(admin: Person) -> None:
    path, sent = described("WorkloadGroup", spec=SPECS["WorkloadGroup"][0])
    await admin.makes(path, sent)
    status = {"anything": {"at": ["all"]}}
    told = await admin.told(
        "PATCH", f"{path}/a/status?fieldValidation=Strict", 200, json={"status": status}, headers=MERGE
    )
    assert told["status"] == status


async def test_a_status_that_is_written_as_it_was_read_is_no_change(admin: Person) -> None:
    made = await admin.makes(SERVICES, service())
    assert made["status"] == {"loadBalancer": {}}
    for method, more in (("PUT", {"json": made}), ("PATCH", {"json": {"status": {}}, "headers": MERGE})):
        assert await admin.told(method, f"{SERVICES}/cart/status", 200, **more) == made


async def test_a_status_of_a_kind_without_one_is_an_unknown_field(admin: Person) -> None:
    path, sent = described("ServiceAccount", status={"x": 1})
    await admin.told("POST", f"{path}?fieldValidation=Strict", 400, json=sent)
    assert "status" not in await admin.makes(path, sent)
    await admin.makes(path, {**sent, "metadata": {"name": "b"}, "status": {}})
    await admin.told("GET", f"{path}/a/status", 404)
