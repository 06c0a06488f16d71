"""Server-side apply: what is created, shared, refused and taken away, and who is noted for it."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from outrig.api.access.gate import Gate
from outrig.api.callers import Authenticator
from outrig.api.kube import owning
from outrig.api.kube.app import kube_app
from outrig.resources import Key, Resource
from outrig.store.memory import MemoryStore
from tests.unit import access_making
from tests.unit.access_making import BINDINGS, ROLES, binding, role, rule, scene
from tests.unit.access_making import service as cart
from tests.unit.test_kube_api import GROUPS, KINDS, MERGE, SERVICES, STRATEGIC, Api, group, service

APPLY = {"content-type": "application/apply-patch+yaml"}
RATINGS = f"{GROUPS}/ratings"
SERVICE = f"{SERVICES}/ratings"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
PORT = 'k:{"port":9080,"protocol":"TCP"}'


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    """The application itself: many small requests, of which none is about the connection."""
    store = MemoryStore()
    async with store.transaction() as tx:
        await tx.create(Resource(Key("", "Namespace", "", "", "default")))
    gate = Gate(Authenticator(now=lambda: datetime.now(UTC), loopback_is_admin=True))
    transport = httpx.ASGITransport(kube_app(store, KINDS, gate), client=("127.0.0.1", 1))
    async with Api(store, 1, transport) as client:
        yield client


async def put(api: Api, path: str, config: Any, manager: str = "one", **query: str) -> httpx.Response:
    """Apply a configuration."""
    parameters = {"fieldManager": manager, **query}
    return await api.patch(path, content=json.dumps(config), headers=APPLY, params=parameters)


async def done(api: Api, path: str, config: Any, manager: str = "one", **query: str) -> dict[str, Any]:
    """Apply a configuration that must be taken."""
    answer = await put(api, path, config, manager, **query)
    assert answer.status_code in (200, 201), answer.text
    found: dict[str, Any] = answer.json()
    return found


def managers(found: dict[str, Any]) -> dict[str, Any]:
    """The fields of each manager, by `name/operation[/subresource]`."""
    entries = found["metadata"].get("managedFields", [])
    named = {
        "/".join(filter(None, map(entry.get, ("manager", "operation", "subresource")))): entry for entry in entries
    }
    return {name: entry["fieldsV1"] for name, entry in named.items()}


async def test_an_absent_object_is_created_and_its_applier_owns_what_it_said(api: Api) -> None:
    answer = await put(api, SERVICE, service())
    assert answer.status_code == 201
    (entry,) = answer.json()["metadata"]["managedFields"]
    assert {**entry, "time": ""} == {
        "manager": "one",
        "operation": "Apply",
        "apiVersion": "v1",
        "time": "",
        "fieldsType": "FieldsV1",
        "fieldsV1": {
            "f:spec": {"f:ports": {PORT: {".": {}, "f:name": {}, "f:port": {}}}, "f:selector": {}},
        },
    }
    assert answer.json()["spec"]["type"] == "ClusterIP", "what is filled in is nobody's"


async def test_applying_again_changes_nothing(api: Api) -> None:
    made = await done(api, SERVICE, service())
    answer = await put(api, SERVICE, service())
    assert (answer.status_code, answer.json()) == (200, made)


async def test_two_managers_share_a_list_and_a_port_goes_with_its_last_owner(api: Api) -> None:
    await done(api, SERVICE, service())
    await done(api, SERVICE, service({"port": 9080, "name": "http"}, {"port": 9090, "name": "x"}), "two")
    left = await done(api, SERVICE, service({"port": 9081, "name": "new"}))
    assert [port["port"] for port in left["spec"]["ports"]] == [9080, 9090, 9081]
    left = await done(api, SERVICE, service({"port": 9081, "name": "new"}), "two")
    assert [port["port"] for port in left["spec"]["ports"]] == [9081]


async def test_a_conflict_is_told_in_kubernetes_words_and_causes(api: Api) -> None:
    await done(api, SERVICE, service())
    told = await api.refused(
        "PATCH", f"{SERVICE}?fieldManager=two", 409, headers=APPLY, json=service({"port": 9080, "name": "web"})
    )
    place = '.spec.ports[port=9080,protocol="TCP"].name'
    assert told["message"] == f'Apply failed with 1 conflict: conflict with "one": {place}'
    cause = {"reason": "FieldManagerConflict", "message": 'conflict with "one"', "field": place}
    assert (told["reason"], told["details"]) == ("Conflict", {"causes": [cause]})
    forced = await done(api, SERVICE, service({"port": 9080, "name": "web"}), "two", force="true")
    assert managers(forced)["one/Apply"]["f:spec"]["f:ports"] == {PORT: {".": {}, "f:port": {}}}


async def test_several_conflicts_are_listed_by_manager(api: Api) -> None:
    await api.made(f"{SERVICES}?fieldManager=hand", service())
    await done(api, SERVICE, {**service(), "metadata": {"name": "ratings", "labels": {"a": "b"}}})
    wanted = {**service({"port": 9080, "name": "web"}), "metadata": {"name": "ratings", "labels": {"a": "c"}}}
    told = await api.refused("PATCH", f"{SERVICE}?fieldManager=two", 409, headers=APPLY, json=wanted)
    name = '.spec.ports[port=9080,protocol="TCP"].name'
    assert told["message"].splitlines() == [
        'Apply failed with 3 conflicts: conflicts with "hand" using v1:',
        f"- {name}",
        'conflicts with "one":',
        "- .metadata.labels.a",
        f"- {name}",
    ]


async def test_creators_and_updaters_are_noted_under_the_name_they_give_or_their_agent(api: Api) -> None:
    await api.post(GROUPS, json=group(), headers={"user-agent": "tool/1.2 (x)"})
    await api.patch(RATINGS, json={"metadata": {"labels": {"a": "b"}}}, headers=MERGE, params={"fieldManager": "label"})
    stored = (await api.get(RATINGS)).json()
    changed = {**stored, "spec": {"template": {"serviceAccount": "other"}}}
    found = (await api.put(RATINGS, json=changed, headers={"user-agent": "x\x01y"})).json()
    assert managers(found) == {
        "tool/Update": {"f:spec": {".": {}, "f:template": {}}},
        "label/Update": {"f:metadata": {"f:labels": {".": {}, "f:a": {}}}},
        "xy/Update": {"f:spec": {"f:template": {"f:serviceAccount": {}}}},
    }


async def test_what_is_filled_in_belongs_to_who_created(api: Api) -> None:
    made = await api.made(f"{SERVICES}?fieldManager=hand", service())
    spec = managers(made)["hand/Update"]["f:spec"]
    assert spec.keys() >= {"f:type", "f:sessionAffinity", "f:ports", "f:selector"}
    assert "." not in spec, "a Service always has a spec"
    assert spec["f:ports"] == {
        ".": {},
        PORT: {".": {}, "f:name": {}, "f:port": {}, "f:protocol": {}, "f:targetPort": {}},
    }


async def test_a_strategic_patch_takes_only_what_it_changes(api: Api) -> None:
    await done(api, SERVICE, service())
    patch = {"spec": {"ports": [{"port": 9080, "name": "web"}]}}
    found = (await api.patch(SERVICE, json=patch, headers=STRATEGIC, params={"fieldManager": "patcher"})).json()
    assert managers(found)["patcher/Update"] == {"f:spec": {"f:ports": {PORT: {"f:name": {}}}}}


async def test_a_write_that_only_repeats_what_is_there_takes_nothing_and_changes_nothing(api: Api) -> None:
    made = await done(api, SERVICE, service())
    # The official Python client sends no Content-Type with a replacement.
    again = await api.put(SERVICE, content=json.dumps(made), params={"fieldManager": "other"})
    assert again.json() == made


async def test_the_status_has_managers_of_its_own(api: Api) -> None:
    await done(api, RATINGS, {**group(), "status": {"ignored": True}})
    status = {**group(), "metadata": {"name": "ratings", "labels": {"not": "here"}}, "status": {"phase": "fine"}}
    found = await done(api, f"{RATINGS}/status", status, "watcher")
    assert (found["status"], found["metadata"].get("labels")) == ({"phase": "fine"}, None)
    assert managers(found)["watcher/Apply/status"] == {"f:status": {"f:phase": {}}}
    written = {"status": {"phase": "bad"}}
    taken = await api.patch(f"{RATINGS}/status", json=written, headers=MERGE, params={"fieldManager": "hand"})
    assert managers(taken.json())["hand/Update/status"] == {"f:status": {"f:phase": {}}}
    told = await api.refused("PATCH", f"{RATINGS}/status?fieldManager=watcher", 409, headers=APPLY, json=status)
    version = "networking.istio.io/v1"
    assert f'conflict with "hand" with subresource "status" using {version}: .status.phase' in told["message"]
    wrong = {**status, "metadata": 5}
    await api.refused("PATCH", f"{RATINGS}/status?fieldManager=watcher&force=1", 422, headers=APPLY, json=wrong)
    await api.refused("PATCH", f"{GROUPS}/absent/status?fieldManager=x", 404, headers=APPLY, json=group("absent"))


async def test_another_version_of_the_api_makes_no_conflict(api: Api) -> None:
    await done(api, RATINGS, group())
    older = {**group(), "apiVersion": "networking.istio.io/v1alpha3"}
    found = await done(api, RATINGS.replace("/v1/", "/v1alpha3/"), older)
    (entry,) = found["metadata"]["managedFields"]
    assert entry["apiVersion"] == "networking.istio.io/v1alpha3"
    emptied = {**older, "spec": {"probe": {"tcpSocket": {"port": 1}}, "template": {}}}
    found = await done(api, RATINGS.replace("/v1/", "/v1alpha3/"), emptied)
    assert "serviceAccount" not in found["spec"]["template"]


async def test_the_ports_of_a_service_entry_are_told_apart_by_name_and_its_hosts_are_one_list(api: Api) -> None:
    entries = "/apis/networking.istio.io/v1/namespaces/default/serviceentries/ext"
    entry = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "ServiceEntry",
        "metadata": {"name": "ext"},
        "spec": {"hosts": ["a.example"], "ports": [{"name": "http", "number": 80}]},
    }
    await done(api, entries, entry)
    more = {**entry, "spec": {"hosts": ["a.example"], "ports": [{"name": "tcp", "number": 81}]}}
    found = await done(api, entries, more, "two")
    assert [port["name"] for port in found["spec"]["ports"]] == ["http", "tcp"]
    other = {**entry, "spec": {"hosts": ["b.example"], "ports": []}}
    assert (await put(api, entries, other, "two")).status_code == 409


async def test_openapi_says_how_lists_are_owned(api: Api) -> None:
    schemas = (await api.get("/openapi/v3/api/v1")).json()["components"]["schemas"]
    ports = schemas["core.v1.Service.ServiceSpec"]["properties"]["ports"]
    assert (ports["x-kubernetes-list-type"], ports["x-kubernetes-list-map-keys"]) == ("map", ["port", "protocol"])
    finalizers = schemas["io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"]["properties"]["finalizers"]
    assert finalizers["x-kubernetes-list-type"] == "set"


async def test_a_dry_run_answers_and_keeps_nothing(api: Api) -> None:
    assert (await put(api, SERVICE, service(), dryRun="All")).status_code == 201
    await api.refused("GET", SERVICE, 404)
    made = await done(api, SERVICE, service())
    shown = await done(api, SERVICE, service({"port": 1, "name": "x"}), dryRun="All")
    assert [port["port"] for port in shown["spec"]["ports"]] == [1]
    assert (await api.get(SERVICE)).json() == made


async def test_preconditions_hold_for_an_apply(api: Api) -> None:
    named = {**group(), "metadata": {"name": "ratings", "uid": "11111111-1111-1111-1111-111111111111"}}
    told = await api.refused("PATCH", f"{RATINGS}?fieldManager=x", 409, headers=APPLY, json=named)
    assert "uid mismatch: the provided object specified uid 11111111" in told["message"]
    made = await done(api, RATINGS, group())
    await api.refused("PATCH", f"{RATINGS}?fieldManager=x", 409, headers=APPLY, json=named)
    stale = {**group(), "metadata": {"name": "ratings", "resourceVersion": "1"}}
    told = await api.refused("PATCH", f"{RATINGS}?fieldManager=x", 409, headers=APPLY, json=stale)
    assert "the object has been modified" in told["message"]
    place = {key: made["metadata"][key] for key in ("name", "uid", "resourceVersion")}
    found = await done(api, RATINGS, {**group(), "metadata": {**place, "labels": {"a": "b"}}})
    assert managers(found)["one/Apply"]["f:metadata"] == {"f:labels": {"f:a": {}}}


REFUSED = (
    ("a: [", "fieldManager=x", 400, "error decoding YAML: "),
    ("{", "fieldManager=x", 400, "error decoding YAML: "),
    ("[]", "fieldManager=x", 400, "error decoding YAML: "),
    ("{}", "fieldManager=x", 400, "invalid object type: /, Kind="),
    ("{apiVersion: v1, kind: Service}", "fieldManager=x", 400, "invalid object type: /v1, Kind=Service"),
    ('{"kind": "WorkloadGroup"}', "fieldManager=x", 400, "invalid object type: /, Kind=WorkloadGroup"),
    (json.dumps(group(managedFields=[])), "fieldManager=x", 400, "metadata.managedFields must be nil"),
    (json.dumps(group("other")), "fieldManager=x", 400, "does not match the name on the URL"),
    (json.dumps({**group(), "spec": {"x": 1}}), "fieldManager=x", 400, 'unknown field "spec.x"'),
    (json.dumps({**group(), "spec": 5}), "fieldManager=x", 422, "spec: Invalid value: 5"),
    (json.dumps(group(labels=5)), "fieldManager=x", 422, "metadata.labels: Invalid value"),
    (json.dumps({**group(), "metadata": 5}), "fieldManager=x", 422, "metadata: Invalid value"),
    (json.dumps(group(finalizers=["a.b/c", "a.b/c"])), "fieldManager=x", 400,
     "failed to create typed patch object (default/ratings; networking.istio.io/v1, Kind=WorkloadGroup): "
     '.metadata.finalizers: duplicate entries for key [="a.b/c"]'),
    (json.dumps(group()), "", 422,
     'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch'),
    (json.dumps(group()), f"fieldManager={'x' * 129}", 422, "Too long: may not be more than 128 bytes"),
    (json.dumps(group()), "fieldManager=%01", 422, "invalid character U+0001 (at position 0)"),
    (json.dumps(group()), "fieldManager=x&dryRun=Some", 422, "dryRun"),
)  # fmt: skip


async def test_what_cannot_be_applied_is_refused_and_nothing_changes(api: Api) -> None:
    for _ in range(2):  # once where there is nothing yet, once where there is something
        for body, query, code, problem in REFUSED:
            told = await api.refused("PATCH", f"{RATINGS}?{query}", code, headers=APPLY, content=body)
            assert problem in told["message"], (body, query)
        await done(api, RATINGS, group(), "somebody")


async def test_what_the_managers_of_an_object_own_together_is_bounded(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owning, "MOST_OWNED", 8)
    six = group(labels=dict.fromkeys("abcdef", "x"))
    first = await done(api, RATINGS, six)
    refused = await put(api, RATINGS, six, "two")
    assert refused.status_code == 413
    assert "would own 14 fields together, and the limit is 8" in refused.json()["message"]
    three = {"metadata": {"labels": dict.fromkeys("ghi", "y")}}
    status = await api.refused("PATCH", RATINGS, 413, json=three, headers=MERGE)
    assert "would own 10 fields together" in status["message"]
    assert (await api.get(RATINGS)).json() == first


async def test_an_object_with_too_much_owned_may_get_smaller(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    await done(api, RATINGS, group(labels=dict.fromkeys("abcdef", "x")))
    monkeypatch.setattr(owning, "MOST_OWNED", 2)
    left = await done(api, RATINGS, group(labels=dict.fromkeys("abc", "x")))
    assert left["metadata"]["labels"] == dict.fromkeys("abc", "x")


async def test_force_is_for_applying_only(api: Api) -> None:
    await done(api, RATINGS, group())
    told = await api.refused("PATCH", f"{RATINGS}?force=true", 422, headers=MERGE, json={})
    assert told["message"].endswith("force: Forbidden: may not be specified for non-apply patch")


async def test_nothing_is_applied_into_a_namespace_that_is_not_there(api: Api) -> None:
    path = RATINGS.replace("default", "nowhere")
    await api.refused("PATCH", f"{path}?fieldManager=x", 404, headers=APPLY, json=group())


async def test_what_kubectl_applied_from_the_clients_side_it_takes_over_without_conflict(api: Api) -> None:
    last = service({"port": 9080, "name": "http", "protocol": "TCP"})
    made = service({"port": 9080, "name": "http", "protocol": "TCP"})
    made["metadata"]["annotations"] = {LAST_APPLIED: json.dumps(last)}
    await api.made(f"{SERVICES}?fieldManager=kubectl-client-side-apply", made)
    wanted = service({"port": 9080, "name": "web"})
    assert (await put(api, SERVICE, wanted, "tool")).status_code == 409
    found = await done(api, SERVICE, wanted, "kubectl")
    assert found["spec"]["ports"][0]["name"] == "web"
    note = json.loads(found["metadata"]["annotations"][LAST_APPLIED])
    assert note == wanted, "kubectl's own note is kept true"


@pytest.mark.parametrize("note", ["", "{", "5", "[" * 100_000, '{"a":' * 200 + "1" + "}" * 200])
async def test_a_note_of_kubectl_that_cannot_be_read_allows_nothing(api: Api, note: str) -> None:
    made = service()
    made["metadata"]["annotations"] = {LAST_APPLIED: note}
    await api.made(f"{SERVICES}?fieldManager=kubectl-client-side-apply", made)
    wanted = service({"port": 9080, "name": "web"})
    await api.refused("PATCH", f"{SERVICE}?fieldManager=kubectl", 409, headers=APPLY, json=wanted)


async def test_kubectl_does_not_take_over_what_was_changed_since_it_applied(api: Api) -> None:
    made = service()
    made["metadata"]["annotations"] = {LAST_APPLIED: json.dumps(service())}
    await api.made(f"{SERVICES}?fieldManager=kubectl-client-side-apply", made)
    patch = {"spec": {"ports": [{"port": 9080, "name": "web"}]}}
    await api.patch(SERVICE, json=patch, headers=STRATEGIC, params={"fieldManager": "hand"})
    wanted = service({"port": 9080, "name": "other"})
    told = await api.refused("PATCH", f"{SERVICE}?fieldManager=kubectl", 409, headers=APPLY, json=wanted)
    assert 'conflict with "hand" using v1' in told["message"]


async def test_managers_can_be_rewritten_by_a_json_patch_that_tests_them(api: Api) -> None:
    made = await api.made(f"{SERVICES}?fieldManager=kubectl-client-side-apply", service())
    (entry,) = made["metadata"]["managedFields"]
    operations = [
        {"op": "test", "path": "/metadata/managedFields/0/manager", "value": "kubectl-client-side-apply"},
        {
            "op": "replace",
            "path": "/metadata/managedFields",
            "value": [{**entry, "manager": "m", "operation": "Apply"}],
        },
        {"op": "replace", "path": "/metadata/resourceVersion", "value": made["metadata"]["resourceVersion"]},
    ]
    headers = {"content-type": "application/json-patch+json"}
    moved = await api.patch(SERVICE, json=operations, headers=headers)
    assert managers(moved.json()) == {"m/Apply": entry["fieldsV1"]}
    await api.refused("PATCH", SERVICE, 422, json=operations, headers=headers)
    left = await done(api, SERVICE, {**service({"port": 1, "name": "x"})}, "m")
    assert [port["port"] for port in left["spec"]["ports"]] == [1], "what was applied in the old way is now its own"


async def test_only_one_empty_entry_clears_managers(api: Api) -> None:
    made = await done(api, RATINGS, group())
    (entry,) = made["metadata"]["managedFields"]
    unreadable: tuple[dict[str, Any], ...] = (
        {"fieldsV1": {"k:" + "[" * 100_000: {}}},
        {"fieldsV1": {'v:"\\ud800"': {}}},
        {"fieldsV1": {"f:a": 1}},
        {"time": "0001-01-01T00:00:00+23:00"},
        {"operation": []},
        {"manager": 5},
        {"fieldsType": "FieldsV2"},
    )
    wrong: list[Any] = [[{**entry, **part}] for part in unreadable]
    for sent in (*wrong, [{"manager": "x"}], [5], [], None, [{}]):
        patch = {"metadata": {"managedFields": sent}}
        found = (await api.patch(RATINGS, json=patch, headers=MERGE)).json()
        assert managers(found) == ({} if sent == [{}] else managers(made)), sent


async def test_what_was_there_before_anybody_was_noted_is_owned_by_before_first_apply(api: Api) -> None:
    key = Key("networking.istio.io", "WorkloadGroup", "", "default", "ratings")
    async with api.store.transaction() as tx:
        await tx.create(Resource(key, body={"spec": {"template": {"serviceAccount": "old"}}}))
    patched = await api.patch(RATINGS, json={"metadata": {"labels": {"a": "b"}}}, headers=MERGE)
    assert managers(patched.json()) == {}, "updates of such an object are not tracked, as in Kubernetes"
    told = await api.refused("PATCH", f"{RATINGS}?fieldManager=x", 409, headers=APPLY, json=group())
    assert 'conflict with "before-first-apply" using networking.istio.io/v1' in told["message"]
    found = await done(api, RATINGS, group(), force="1")
    assert managers(found)["one/Apply"] == {"f:spec": {"f:template": {"f:serviceAccount": {}}}}


async def test_other_patches_are_listed_beside_apply_where_one_is_not_taken(api: Api) -> None:
    headers = {"content-type": "application/apply-patch+cbor"}
    told = await api.refused("PATCH", f"{RATINGS}?fieldManager=x", 415, headers=headers, content=b"\xa0")
    assert "application/apply-patch+yaml" in told["message"]


async def test_lists_and_watches_show_managers_too(api: Api) -> None:
    made = await done(api, RATINGS, group())
    listed = (await api.get(GROUPS)).json()["items"]
    assert managers(listed[0]) == managers(made)
    accept = {"accept": "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"}
    partial = (await api.get(GROUPS, headers=accept)).json()["items"]
    assert managers(partial[0]) == managers(made)


async def test_who_may_only_patch_applies_to_what_is_there_and_creates_nothing() -> None:
    async with scene() as people, people.of() as admin, people.of("alice") as alice:
        await admin.makes(ROLES, role(rule(["patch"])))
        await admin.makes(BINDINGS, binding("alice"))
        path, applying = f"{access_making.SERVICES}/cart?fieldManager=a", {"headers": APPLY, "json": cart()}
        told = await alice.told("PATCH", path, 403, **applying)
        assert 'User "alice" cannot create resource "services"' in told["message"]
        await admin.makes(access_making.SERVICES, cart())
        await alice.told("PATCH", path, 200, **applying)


async def test_nobody_applies_a_role_that_gives_more_than_he_has() -> None:
    async with scene() as people, people.of() as admin, people.of("alice") as alice:
        await admin.makes(ROLES, role(rule(["create", "patch"], ["roles"], ["rbac.authorization.k8s.io"])))
        await admin.makes(BINDINGS, binding("alice"))
        more = role(rule(["delete"]), name="more")
        told = await alice.told("PATCH", f"{ROLES}/more?fieldManager=a", 403, headers=APPLY, json=more)
        assert "is attempting to grant RBAC permissions not currently held" in told["message"]
        await admin.told("GET", f"{ROLES}/more", 404)
