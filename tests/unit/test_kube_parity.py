"""What clients of Kubernetes take for granted: names, null, protobuf, media types, and which code a mistake gets."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from outrig.api.kube.protobuf import MAGIC, MEDIA_TYPE
from tests.unit.access_making import (
    API_VERSION,
    CLUSTER_ROLES,
    RBAC,
    ROLES,
    SERVICES,
    Person,
    Scene,
    binding,
    role,
    rule,
    scene,
)

GROUPS = "/apis/networking.istio.io/v1/namespaces/shop/workloadgroups"
ENTRIES = "/apis/networking.istio.io/v1/namespaces/shop/workloadentries"
MERGE = {"content-type": "application/merge-patch+json"}
OPERATIONS = {"content-type": "application/json-patch+json"}
APPLY = {"content-type": "application/apply-patch+yaml"}
PROTOBUF = {"content-type": MEDIA_TYPE}


@pytest.fixture
async def api() -> AsyncIterator[Scene]:
    async with scene() as people:
        yield people


@pytest.fixture
async def admin(api: Scene) -> AsyncIterator[Person]:
    async with api.of() as client:
        yield client


def service(**spec: Any) -> dict[str, Any]:
    found = {"ports": [{"name": "http", "port": 80}], "selector": {"app": "cart"}, **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "cart"}, "spec": found}


def group(**template: Any) -> dict[str, Any]:
    named = {"apiVersion": "networking.istio.io/v1", "kind": "WorkloadGroup", "metadata": {"name": "cart"}}
    return {**named, "spec": {"template": {"serviceAccount": "cart", **template}}}


def part(number: int, content: bytes) -> bytes:
    """A short field of a protobuf message."""
    return bytes([number << 3 | 2, len(content)]) + content


def in_protobuf(kind: bytes, raw: bytes) -> bytes:
    """An object of the group of roles."""
    return MAGIC + part(1, part(1, API_VERSION.encode()) + part(2, kind)) + part(2, raw)


async def test_options_of_a_deletion_are_read_as_protobuf_in_every_group(admin: Person) -> None:
    made = await admin.makes(ROLES, role(rule(["get"])))
    other = in_protobuf(b"DeleteOptions", part(2, part(1, b"another")) + part(4, b"Background"))
    told = await admin.told("DELETE", f"{ROLES}/r", 409, content=other, headers=PROTOBUF)
    assert "UID in precondition: another" in told["message"]
    this = in_protobuf(b"DeleteOptions", part(2, part(1, made["metadata"]["uid"].encode())) + part(5, b"All"))
    await admin.told("DELETE", f"{ROLES}/r", 200, content=this, headers=PROTOBUF)
    await admin.told("GET", f"{ROLES}/r", 200)
    gone = in_protobuf(b"DeleteOptions", part(4, b"Background"))
    await admin.told("DELETE", f"{ROLES}/r", 200, content=gone, headers=PROTOBUF)
    await admin.told("GET", f"{ROLES}/r", 404)


async def test_a_rule_of_aggregation_in_protobuf_is_refused_for_what_it_is(admin: Person) -> None:
    chosen = part(1, part(1, b"x") + part(2, b"y"))
    sent = in_protobuf(b"ClusterRole", part(1, part(1, b"agg")) + part(3, part(1, chosen)))
    told = await admin.told("POST", CLUSTER_ROLES, 422, content=sent, headers=PROTOBUF)
    assert [cause["field"] for cause in told["details"]["causes"]] == ["aggregationRule"]


@pytest.mark.parametrize("name", ["team:readers", "Team-Readers", "system:x", "Ab_c", "..."])
async def test_roles_and_bindings_have_any_name_that_fits_a_path(admin: Person, name: str) -> None:
    await admin.makes(ROLES, role(rule(["get"]), name=name))
    made = await admin.makes(f"{RBAC}/namespaces/shop/rolebindings", binding("alice", to=name, name=name))
    assert made["roleRef"]["name"] == name
    await admin.told("DELETE", f"{ROLES}/{name}", 200)


@pytest.mark.parametrize("name", ["a/b", "a%b", "..", ".", "", "ä" * 127])
async def test_a_name_that_fits_no_path_is_refused(admin: Person, name: str) -> None:
    told = await admin.told("POST", ROLES, 422, json=role(rule(["get"]), name=name))
    assert [cause["field"] for cause in told["details"]["causes"]] == ["metadata.name"]


async def test_a_patch_with_an_unknown_field_is_invalid_and_other_writes_are_bad(admin: Person) -> None:
    made = await admin.makes(GROUPS, group())
    wrong = {"spec": {"template": {"serviceAcount": "x"}}}
    strict = "?fieldValidation=Strict"
    told = await admin.told("PATCH", f"{GROUPS}/cart{strict}", 422, json=wrong, headers=MERGE)
    (cause,) = told["details"]["causes"]
    assert (cause["field"], told["details"]["name"]) == ("patch", "cart")
    assert 'strict decoding error: unknown field "spec.template.serviceAcount"' in cause["message"]
    await admin.told("PUT", f"{GROUPS}/cart{strict}", 400, json={**made, **wrong})
    assert (await admin.told("GET", f"{GROUPS}/cart", 200)) == made


async def test_an_address_of_a_service_never_becomes_another(admin: Person) -> None:
    made = await admin.makes(SERVICES, service())
    await admin.told("PATCH", f"{SERVICES}/cart", 200, json={"spec": {"clusterIP": "10.0.0.1"}}, headers=MERGE)
    told = await admin.told("PATCH", f"{SERVICES}/cart", 422, json={"spec": {"clusterIP": "None"}}, headers=MERGE)
    assert told["message"].endswith('spec.clusterIP: Invalid value: "None": may not change once set')
    applied = service(clusterIP="10.0.0.2")
    path = f"{SERVICES}/cart?fieldManager=a&force=true"
    await admin.told("PATCH", path, 422, json=applied, headers=APPLY)
    await admin.told("PUT", f"{SERVICES}/cart", 200, json={**made, "metadata": {"name": "cart"}})


async def test_null_is_absent_in_kubernetes_own_kinds(admin: Person) -> None:
    port = {"name": None, "port": 80, "protocol": None}
    made = await admin.makes(SERVICES, service(ports=[port], type=None, sessionAffinity=None))
    assert (made["spec"]["type"], made["spec"]["ports"]) == (
        "ClusterIP",
        [{"port": 80, "protocol": "TCP", "targetPort": 80}],
    )
    assert "rules" not in await admin.makes(ROLES, {**role(), "rules": None})
    bound = await admin.makes(f"{RBAC}/namespaces/shop/rolebindings", {**binding(), "subjects": None})
    assert "subjects" not in bound


async def test_null_is_nobodys_when_it_is_applied(admin: Person) -> None:
    config = {**service(type=None), "metadata": {"name": "cart", "creationTimestamp": None}}
    made = await admin.told("PATCH", f"{SERVICES}/cart?fieldManager=a", 201, json=config, headers=APPLY)
    (manager,) = made["metadata"]["managedFields"]
    assert set(manager["fieldsV1"]["f:spec"]) == {"f:ports", "f:selector"}


async def test_a_selector_with_null_is_refused_as_one_label_less_selects_more(admin: Person) -> None:
    told = await admin.told("POST", SERVICES, 422, json=service(selector={"app": "cart", "version": None}))
    assert [cause["field"] for cause in told["details"]["causes"]] == ["spec.selector.version"]


async def test_a_whole_number_may_be_written_with_a_point(admin: Person) -> None:
    kind = '"apiVersion":"networking.istio.io/v1","kind":"WorkloadEntry"'
    sent = f'{{{kind},"metadata":{{"name":"%s"}},"spec":{{"address":"10.0.0.1","weight":%s}}}}'
    headers = {"content-type": "application/json"}
    for name, weight, whole in (("a", "1.0", 1), ("b", "1e2", 100)):
        made = await admin.told("POST", ENTRIES, 201, content=sent % (name, weight), headers=headers)
        assert (made["spec"]["weight"], type(made["spec"]["weight"])) == (whole, int)
    for weight in ("1.5", "1e300"):
        await admin.told("POST", ENTRIES, 422, content=sent % ("c", weight), headers=headers)


async def test_a_patch_is_no_object(admin: Person) -> None:
    for headers in (MERGE, OPERATIONS):
        told = await admin.told("POST", GROUPS, 415, json=group(), headers=headers)
        assert "accepted media types include: application/json" in told["message"]


async def test_both_mistakes_of_a_reference_are_told_at_once(admin: Person) -> None:
    sent = {**binding("alice"), "roleRef": {"kind": "Rule"}}
    told = await admin.told("POST", f"{RBAC}/namespaces/shop/rolebindings", 422, json=sent)
    assert {cause["field"] for cause in told["details"]["causes"]} == {"roleRef.kind", "roleRef.name"}


async def test_everything_that_kubectl_prunes_by_default_can_be_listed(admin: Person) -> None:
    in_core = "configmaps endpoints persistentvolumeclaims persistentvolumes pods replicationcontrollers secrets"
    others = "batch/v1/jobs batch/v1/cronjobs networking.k8s.io/v1/ingresses apps/v1/daemonsets apps/v1/deployments"
    paths = [f"/api/v1/{plural}" for plural in (*in_core.split(), "namespaces", "services")]
    paths += [f"/apis/{path}" for path in (*others.split(), "apps/v1/replicasets", "apps/v1/statefulsets")]
    for path in paths:
        listed = await admin.told("GET", f"{path}?labelSelector=app%3Dcart", 200)
        assert listed["items"] == []


async def test_a_path_with_a_line_break_is_a_status_and_audited(admin: Person) -> None:
    with capture_logs() as logs:
        answer = await admin.post("/api/v1/namespaces/shop%0a/services", json=service())
    assert answer.headers["content-type"] == "application/json"
    assert (answer.json()["kind"], answer.status_code // 100) == ("Status", 4)
    (line,) = [entry for entry in logs if entry["event"] == "write"]
    assert (line["code"], line["path"]) == (answer.status_code, "/api/v1/namespaces/shop\n/services")


async def test_a_write_of_the_status_leaves_the_spec_and_does_not_judge_it(admin: Person) -> None:
    made = (await admin.post(GROUPS, json=group())).json()
    status = {"conditions": [{"type": "Mine", "status": "True"}]}
    for spec in ({}, {"spec": {"template": {"ports": "wrong"}}}, {"spec": {"template": {"serviceAccount": "other"}}}):
        sent = {**{field: made[field] for field in ("apiVersion", "kind")}, "metadata": {"name": "cart"}, **spec}
        answer = await admin.put(f"{GROUPS}/cart/status", json={**sent, "status": status})
        assert (answer.status_code, answer.json()["spec"]) == (200, made["spec"])
    assert answer.json()["metadata"]["generation"] == made["metadata"]["generation"]
    assert answer.json()["status"]["conditions"] == status["conditions"]
