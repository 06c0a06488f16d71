"""What clients of Kubernetes take for granted: names, null, protobuf, media types, and which code a mistake gets."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from outrig.api.kube.protobuf import MAGIC, MEDIA_TYPE
from tests.unit.access_making import (
    API_VERSION,
    BINDINGS,
    CLUSTER_ROLES,
    RBAC,
    ROLES,
    SERVICES,
    Person,
    Scene,
    binding,
    role,
    rule,
)

GROUPS = "/apis/networking.istio.io/v1/namespaces/shop/workloadgroups"
ENTRIES = "/apis/networking.istio.io/v1/namespaces/shop/workloadentries"
MERGE = {"content-type": "application/merge-patch+json"}
OPERATIONS = {"content-type": "application/json-patch+json"}
APPLY = {"content-type": "application/apply-patch+yaml"}
PARTIAL = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
PROTOBUF = {"content-type": MEDIA_TYPE}


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


async def test_only_kubernetes_own_kinds_are_read_as_protobuf_whatever_the_bytes_are(admin: Person) -> None:
    for content in (b'{"a":1}', MAGIC, MAGIC + b'{"a":1}'):
        told = await admin.told("POST", GROUPS, 415, content=content, headers=PROTOBUF)
        assert told["message"].endswith("accepted media types include: application/json, application/yaml")
    await admin.told("POST", SERVICES, 400, content=b'{"a":1}', headers=PROTOBUF)


async def test_a_rule_of_aggregation_is_read_as_protobuf(admin: Person) -> None:
    chosen = part(1, part(1, b"x") + part(2, b"y"))
    sent = in_protobuf(b"ClusterRole", part(1, part(1, b"agg")) + part(3, part(1, chosen)))
    made = await admin.told("POST", CLUSTER_ROLES, 201, content=sent, headers=PROTOBUF)
    assert made["aggregationRule"] == {"clusterRoleSelectors": [{"matchLabels": {"x": "y"}}]}


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


TWICE = """
kind: Service
apiVersion: v1
metadata: {name: old, labels: {a.b/c: x, a.b/c: y}, name: cart}
spec: {selector: {app: cart}, ports: [{name: x, port: 1, port: 80}], selector: {app: cart}}
"""
PATHS = ["spec.selector", "spec.ports[0].port", "metadata.name", "metadata.labels.a.b/c"]
YAML = {"content-type": "application/yaml"}


async def test_a_field_that_is_said_twice_is_told_and_its_last_value_counts(admin: Person) -> None:
    answer = await admin.post(SERVICES, content=TWICE, headers=YAML)
    assert answer.status_code == 201
    told = [text.replace("\\", "") for text in answer.headers.get_list("warning")]
    assert sorted(told) == sorted(f'299 - "duplicate field "{path}""' for path in PATHS)
    made = answer.json()
    assert (made["metadata"]["name"], made["metadata"]["labels"]) == ("cart", {"a.b/c": "y"})
    assert made["spec"]["ports"][0]["port"] == 80
    patch = b'{"metadata":{"labels":{"x":"1"},"labels":{"y":"2"}}}'
    quiet = await admin.patch(f"{SERVICES}/cart?fieldValidation=Ignore", content=patch, headers=MERGE)
    assert ("warning" in quiet.headers, quiet.json()["metadata"]["labels"]) == (False, {"a.b/c": "y", "y": "2"})


async def test_under_strict_no_field_is_said_twice(admin: Person) -> None:
    told = await admin.told("POST", f"{SERVICES}?fieldValidation=Strict", 400, content=TWICE, headers=YAML)
    assert all(f'duplicate field "{path}"' in told["message"] for path in PATHS)
    assert "cannot be handled as a Service: strict decoding error: " in told["message"]
    applied = f"{SERVICES}/cart?fieldManager=me&fieldValidation=Strict"
    await admin.told("PATCH", applied, 400, content=TWICE, headers=APPLY)
    await admin.makes(SERVICES, service())
    patch = b'{"metadata":{"labels":{"x":"1","x":"2"}}}'
    told = await admin.told("PATCH", f"{SERVICES}/cart?fieldValidation=Strict", 422, content=patch, headers=MERGE)
    (cause,) = told["details"]["causes"]
    assert (cause["field"], 'duplicate field "metadata.labels.x"' in cause["message"]) == ("patch", True)


@pytest.mark.parametrize("part", ["", "/status"])
async def test_only_kubernetes_own_kinds_are_replaced_by_who_has_not_seen_them(admin: Person, part: str) -> None:
    made = await admin.makes(GROUPS, group())
    unseen = {**made["metadata"], "resourceVersion": "0"}
    told = await admin.told("PUT", f"{GROUPS}/cart{part}", 422, json={**made, "metadata": unseen})
    (cause,) = told["details"]["causes"]
    message = "Invalid value: 0x0: must be specified for an update"
    assert cause == {"reason": "FieldValueInvalid", "field": "metadata.resourceVersion", "message": message}
    await admin.told("PUT", f"{GROUPS}/cart{part}", 200, json=made)
    for path, sent in ((SERVICES, service()), (ROLES, role(rule(["get"]), name="cart"))):
        await admin.makes(path, sent)
        await admin.told("PUT", f"{path}/cart", 200, json=sent)


async def test_a_put_creates_what_is_not_there_of_the_kinds_that_kubernetes_creates_so(
    api: Scene, admin: Person
) -> None:
    seen = {**service(), "metadata": {"name": "cart", "resourceVersion": "7"}}
    made = await admin.told("PUT", f"{SERVICES}/cart", 201, json=seen)
    assert made == await admin.told("GET", f"{SERVICES}/cart", 200)
    (manager,) = made["metadata"]["managedFields"]
    assert manager["operation"] == "Update"
    await admin.told("PUT", f"{ROLES}/cart?dryRun=All", 201, json=role(rule(["get"]), name="cart"))
    await admin.told("PUT", f"{ROLES}/cart", 201, json=role(rule(["update"]), name="cart"))
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "cart"}}
    gone = {**service(), "metadata": {"name": "new", "uid": made["metadata"]["uid"]}}
    for path, sent, code in (
        (SERVICES.replace("services", "serviceaccounts"), account, 404),
        (GROUPS, group(), 404),
        (SERVICES.replace("/shop/", "/nowhere/"), service(), 404),
        (SERVICES, gone, 409),
    ):
        await admin.told("PUT", f"{path}/{sent['metadata']['name']}", code, json=sent)
    await admin.told("PUT", f"{SERVICES}/other/status", 404, json=service())


async def test_only_those_kinds_have_a_generation_that_have_one_in_kubernetes(admin: Person) -> None:
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "cart"}}
    accounts = SERVICES.replace("services", "serviceaccounts")
    for path, sent, has in ((GROUPS, group(), True), (accounts, account, False), (ROLES, role(rule(["get"])), False)):
        made = await admin.makes(path, sent)
        assert ("generation" in made["metadata"]) is has
        listed = await admin.told("GET", path, 200, headers={"accept": PARTIAL})
        assert ["generation" in item["metadata"] for item in listed["items"]] == [has]


async def test_a_put_that_creates_takes_the_right_to_create(api: Scene, admin: Person) -> None:
    await admin.makes(ROLES, role(rule(["update"])))
    await admin.makes(BINDINGS, binding("bob"))
    async with api.of("bob") as bob:
        told = await bob.told("PUT", f"{SERVICES}/cart", 403, json=service())
        assert 'cannot create resource "services"' in told["message"]
        await admin.makes(SERVICES, service())
        await bob.told("PUT", f"{SERVICES}/cart", 200, json=service())


async def test_what_never_changes_is_told_with_everything_else(admin: Person) -> None:
    await admin.makes(SERVICES, service(clusterIP="10.0.0.1"))
    sent = service(clusterIP="10.0.0.2", ports=[{"port": 0}])
    told = await admin.told("PUT", f"{SERVICES}/cart", 422, json=sent)
    assert [cause["field"] for cause in told["details"]["causes"]] == ["spec.ports[0].port", "spec.clusterIP"]
    await admin.makes(ROLES, role(rule(["get"])))
    await admin.makes(BINDINGS, binding("bob"))
    sent = binding("", to="other")
    told = await admin.told("PUT", f"{BINDINGS}/b", 422, json=sent)
    assert [cause["field"] for cause in told["details"]["causes"]] == ["subjects[0].name", "roleRef"]
    assert '"name":"other"' in told["message"]
    assert told["message"].endswith("}: cannot change roleRef]")


async def test_an_address_of_a_service_never_becomes_another(admin: Person) -> None:
    await admin.makes(SERVICES, service())
    await admin.told("PATCH", f"{SERVICES}/cart", 200, json={"spec": {"clusterIP": "10.0.0.1"}}, headers=MERGE)
    told = await admin.told("PATCH", f"{SERVICES}/cart", 422, json={"spec": {"clusterIP": "None"}}, headers=MERGE)
    assert told["message"].endswith('spec.clusterIP: Invalid value: "None": may not change once set')
    applied = service(clusterIP="10.0.0.2")
    path = f"{SERVICES}/cart?fieldManager=a&force=true"
    await admin.told("PATCH", path, 422, json=applied, headers=APPLY)


@pytest.mark.parametrize("address", ["10.0.0.1", "None"])
async def test_an_address_that_a_service_leaves_out_stays(admin: Person, address: str) -> None:
    made = await admin.makes(SERVICES, service(clusterIP=address, clusterIPs=[address]))
    path = f"{SERVICES}/cart"
    applied = {"json": service(), "headers": APPLY}
    for method, query, more in (
        ("PUT", "", {"json": service()}),
        ("PUT", "", {"json": service(clusterIP="", clusterIPs=[])}),
        ("PATCH", "", {"json": {"spec": {"clusterIP": None, "clusterIPs": None}}, "headers": MERGE}),
        ("PATCH", "", {"json": [{"op": "remove", "path": "/spec/clusterIP"}], "headers": OPERATIONS}),
        ("PATCH", "?fieldManager=a&force=true", applied),
    ):
        found = await admin.told(method, f"{path}{query}", 200, **more)
        assert found["spec"] == made["spec"]
        assert found["metadata"]["generation"] == 1


async def test_both_ways_to_write_an_address_agree(admin: Person) -> None:
    sent = service(clusterIP="10.0.0.1", clusterIPs=["10.0.0.2"])
    told = await admin.told("POST", SERVICES, 422, json=sent)
    (cause,) = told["details"]["causes"]
    assert cause["field"] == "spec.clusterIPs"
    assert cause["message"].startswith("first value must match `clusterIP`")


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
        there = await admin.told("GET", f"{GROUPS}/cart", 200)
        sent = {**{field: there[field] for field in ("apiVersion", "kind", "metadata")}, **spec}
        answer = await admin.put(f"{GROUPS}/cart/status", json={**sent, "status": status})
        assert (answer.status_code, answer.json()["spec"]) == (200, made["spec"])
    assert answer.json()["metadata"]["generation"] == made["metadata"]["generation"]
    assert answer.json()["status"]["conditions"] == status["conditions"]


@pytest.mark.parametrize(
    "query", ["dryRun=Some", f"fieldManager={'x' * 129}", "fieldManager=a%07b", "fieldValidation=x"]
)
@pytest.mark.parametrize(
    ("method", "path", "kind", "headers"),
    [
        ("POST", GROUPS, "CreateOptions", {}),
        ("PUT", f"{GROUPS}/cart", "UpdateOptions", {}),
        ("PATCH", f"{GROUPS}/cart", "PatchOptions", MERGE),
    ],
)
async def test_wrong_options_of_a_write_are_invalid(
    admin: Person, query: str, method: str, path: str, kind: str, headers: dict[str, str]
) -> None:
    told = await admin.told(method, f"{path}?{query}", 422, json=group(), headers=headers)
    assert (told["reason"], told["details"]["kind"]) == ("Invalid", kind)
    assert told["message"].startswith(f'{kind}.meta.k8s.io "" is invalid: {query.partition("=")[0]}: ')
    assert [cause["field"] for cause in told["details"]["causes"]] == [query.partition("=")[0]]


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("dryRun=Some", 'dryRun: Unsupported value: []string{"Some"}: supported values: "All"'),
        ("fieldManager=a%07b", r'fieldManager: Invalid value: "a\u0007b": invalid character U+0007 (at position 1)'),
        ("fieldValidation=x", 'Unsupported value: "x": supported values: "", "Ignore", "Strict", "Warn"'),
    ],
)
async def test_wrong_options_are_told_in_kubernetes_words(admin: Person, query: str, problem: str) -> None:
    told = await admin.told("POST", f"{GROUPS}?{query}", 422, json=group())
    assert told["message"].endswith(problem)


@pytest.mark.parametrize(
    ("query", "code", "field"),
    [
        ("dryRun=Some", 422, "dryRun"),
        ("propagationPolicy=Some", 422, "propagationPolicy"),
        ("propagationPolicy=Orphan&orphanDependents=true", 422, "propagationPolicy"),
        ("gracePeriodSeconds=x", 400, ""),
    ],
)
async def test_wrong_options_of_a_deletion_are_refused(admin: Person, query: str, code: int, field: str) -> None:
    await admin.makes(GROUPS, group())
    told = await admin.told("DELETE", f"{GROUPS}/cart?{query}", code)
    assert [cause["field"] for cause in told.get("details", {}).get("causes", [])] == ([field] if field else [])
    await admin.told("DELETE", f"{GROUPS}/cart?gracePeriodSeconds=-1", 200)


@pytest.mark.parametrize("name", ["Cart", "1cart", "a.b", "-a"])
async def test_a_wrong_name_of_a_service_is_told_once(admin: Person, name: str) -> None:
    told = await admin.told("POST", SERVICES, 422, json={**service(), "metadata": {"name": name}})
    assert [cause["field"] for cause in told["details"]["causes"]] == ["metadata.name"]
