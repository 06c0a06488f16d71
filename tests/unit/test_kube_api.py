"""The API over a real connection: what each request is answered, and that what is refused changes nothing."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from outrig.api.access.gate import Gate
from outrig.api.bodies import MAX_BYTES
from outrig.api.callers import ADMINS, Authenticator, signed_in
from outrig.api.kube.app import kube_app
from outrig.api.kube.catalog import Catalog
from outrig.api.kube.foreign import foreign_to
from outrig.api.kube.review_kinds import REVIEWS
from outrig.api.serving import serve
from outrig.dialects import core, istio, onboarding
from outrig.resources import Key, Owner, Resource
from outrig.store.memory import MemoryStore
from outrig.store.protocol import Query

KINDS = (*core.KINDS, *istio.KINDS, *onboarding.KINDS)
GROUPS = "/apis/networking.istio.io/v1/namespaces/default/workloadgroups"
SERVICES = "/api/v1/namespaces/default/services"
MERGE = {"content-type": "application/merge-patch+json"}
STRATEGIC = {"content-type": "application/strategic-merge-patch+json"}


NO_AUTHORITIES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For clients of plain HTTP: to read the system's authorities takes longer than most tests."""


class Api(httpx.AsyncClient):
    """A client of a running API, with the store behind it."""

    def __init__(self, store: MemoryStore, port: int, transport: httpx.AsyncBaseTransport | None = None) -> None:
        super().__init__(base_url=f"http://127.0.0.1:{port}", timeout=30, transport=transport, verify=NO_AUTHORITIES)
        self.store = store

    async def made(self, path: str, document: dict[str, Any]) -> dict[str, Any]:
        """Create an object that must be accepted."""
        answer = await self.post(path, json=document)
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def refused(self, method: str, path: str, code: int, **more: Any) -> dict[str, Any]:
        """A request that must be refused with a Status and leave the store as it was."""
        before = await self.store.list(Query())
        answer = await self.request(method, path, **more)
        status: dict[str, Any] = answer.json()
        assert (answer.status_code, status["kind"], status["code"]) == (code, "Status", code), answer.text
        assert await self.store.list(Query()) == before
        return status


@asynccontextmanager
async def running(authenticator: Authenticator | None = None, store: MemoryStore | None = None) -> AsyncIterator[Api]:
    """The API; on a store that another one serves, or on a new one."""
    if store is None:
        store = MemoryStore()
        async with store.transaction() as tx:
            await tx.create(Resource(Key("", "Namespace", "", "", "default")))
    authenticator = authenticator or Authenticator(now=lambda: datetime.now(UTC), loopback_is_admin=True)
    async with (
        serve(kube_app(store, KINDS, Gate(authenticator)), host="127.0.0.1", port=0) as serving,
        Api(store, serving.port) as api,
    ):
        yield api


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with running() as client:
        yield client


def group(name: str = "ratings", **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "WorkloadGroup",
        "metadata": {"name": name, **metadata},
        "spec": {"template": {"serviceAccount": "ratings"}},
    }


def service(*ports: dict[str, Any], name: str = "ratings") -> dict[str, Any]:
    spec = {"ports": list(ports or ({"port": 9080, "name": "http"},)), "selector": {"app": "ratings"}}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


async def test_an_object_is_created_read_changed_and_deleted(api: Api) -> None:
    made = await api.made(GROUPS, group())
    assert made["metadata"]["uid"]
    assert made["metadata"]["generation"] == 1
    path = f"{GROUPS}/ratings"
    assert (await api.get(path)).json() == made
    changed = (await api.put(path, json={**made, "spec": {"template": {"serviceAccount": "other"}}})).json()
    assert changed["metadata"]["generation"] == 2
    assert int(changed["metadata"]["resourceVersion"]) > int(made["metadata"]["resourceVersion"])
    gone = (await api.delete(path)).json()
    assert (gone["status"], gone["details"]["uid"]) == ("Success", made["metadata"]["uid"])
    await api.refused("GET", path, 404)


async def test_every_served_version_shows_the_same_object(api: Api) -> None:
    made = await api.made(GROUPS, group())
    older = (await api.get(f"{GROUPS}/ratings".replace("/v1/", "/v1alpha3/"))).json()
    assert older == {**made, "apiVersion": "networking.istio.io/v1alpha3"}


async def test_labels_and_status_do_not_change_the_generation(api: Api) -> None:
    await api.made(GROUPS, group())
    labelled = await api.patch(f"{GROUPS}/ratings", json={"metadata": {"labels": {"a": "b"}}}, headers=MERGE)
    assert labelled.json()["metadata"]["generation"] == 1
    status = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}, "spec": {"template": {"weight": 5}}}
    answer = (await api.patch(f"{GROUPS}/ratings/status", json=status, headers=MERGE)).json()
    assert answer["status"] == status["status"]
    assert answer["spec"] == {"template": {"serviceAccount": "ratings"}}, "the status subresource changes status alone"
    assert answer["metadata"]["generation"] == 1
    spoofed = await api.patch(f"{GROUPS}/ratings", json={"status": {"x": 1}}, headers=MERGE)
    assert spoofed.json()["status"] == status["status"], "only the status subresource changes status"


async def test_a_stale_resource_version_is_a_conflict(api: Api) -> None:
    made = await api.made(GROUPS, group())
    await api.patch(f"{GROUPS}/ratings", json={"metadata": {"labels": {"a": "b"}}}, headers=MERGE)
    told = await api.refused("PUT", f"{GROUPS}/ratings", 409, json=made)
    assert "the object has been modified" in told["message"]
    stale = {"metadata": {"resourceVersion": made["metadata"]["resourceVersion"], "labels": {"c": "d"}}}
    await api.refused("PATCH", f"{GROUPS}/ratings", 409, json=stale, headers=MERGE)


async def test_patches_without_a_version_never_conflict_and_none_is_lost(api: Api) -> None:
    await api.made(GROUPS, group())
    patches = [
        api.patch(f"{GROUPS}/ratings", json={"metadata": {"labels": {f"l{n}": "x"}}}, headers=MERGE) for n in range(20)
    ]
    assert {answer.status_code for answer in await asyncio.gather(*patches)} == {200}
    labels = (await api.get(f"{GROUPS}/ratings")).json()["metadata"]["labels"]
    assert labels == {f"l{n}": "x" for n in range(20)}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"spec": None}, "spec"),
        ({"spec": {"template": 5}}, "spec.template"),
        ({"metadata": {"name": "Bad"}}, "metadata.name"),
        ({"metadata": {}}, "metadata.name"),
        ({"metadata": {"name": "a", "labels": {"a": 5}}}, "metadata.labels[a]"),
        ({"metadata": {"name": "a", "creationTimestamp": "garbage"}}, "metadata.creationTimestamp"),
        ({"metadata": {"name": "a", "deletionTimestamp": 5}}, "metadata.deletionTimestamp"),
        ({"metadata": {"name": "a", "resourceVersion": "9" * 5000}}, "metadata.resourceVersion"),
        ({"status": 5}, "status"),
    ],
)
async def test_a_wrong_value_is_named_by_its_field(api: Api, change: dict[str, Any], field: str) -> None:
    told = await api.refused("POST", GROUPS, 422, json={**group(), **change})
    assert field in [cause["field"] for cause in told["details"]["causes"]]
    assert told["details"]["kind"] == "WorkloadGroup"


async def test_all_problems_are_told_at_once(api: Api) -> None:
    document = service({"port": "80"}, {"port": 70000}, name="Bad_Name")
    told = await api.refused("POST", SERVICES, 422, json=document)
    fields = [cause["field"] for cause in told["details"]["causes"]]
    ports = ["spec.ports[0].port", "spec.ports[0].name", "spec.ports[1].port", "spec.ports[1].name"]
    assert fields == ["metadata.name", *ports]
    assert "write it without quotes: 80" in told["message"]


async def test_unknown_fields_are_refused_told_or_dropped_as_the_caller_wants(api: Api) -> None:
    document = {**group(lables={}), "spec": {"template": {"serviceAcount": "x"}}}
    told = await api.refused("POST", f"{GROUPS}?fieldValidation=Strict", 400, json=document)
    assert 'strict decoding error: unknown field "metadata.lables" (did you mean' in told["message"]
    assert 'unknown field "spec.template.serviceAcount"' in told["message"]
    warned = await api.post(f"{GROUPS}?fieldValidation=Warn&dryRun=All", json=document)
    assert [w for w in warned.headers.get_list("warning") if "serviceAcount" in w]
    ignored = await api.post(f"{GROUPS}?fieldValidation=Ignore", json=document)
    assert not [w for w in ignored.headers.get_list("warning") if "unknown" in w]
    assert ignored.json()["spec"]["template"] == {}


async def test_a_dry_run_answers_as_the_real_thing_and_keeps_nothing(api: Api) -> None:
    path, before = f"{GROUPS}/ratings", await api.store.list(Query())
    dry = await api.post(f"{GROUPS}?dryRun=All", json=group())
    assert (dry.status_code, dry.json()["metadata"]["name"]) == (201, "ratings")
    assert await api.store.list(Query()) == before
    made = await api.made(GROUPS, group())
    kept = await api.store.list(Query())
    for answer in (
        await api.put(f"{path}?dryRun=All", json={**made, "spec": {"template": {}}}),
        await api.patch(f"{path}?dryRun=All", json={"spec": {"template": {"weight": 3}}}, headers=MERGE),
        await api.delete(f"{path}?dryRun=All"),
        await api.request("DELETE", path, json={"dryRun": ["All"]}),
        await api.delete(f"{GROUPS}?dryRun=All"),
    ):
        assert answer.status_code == 200
        assert await api.store.list(Query()) == kept
    await api.refused("POST", f"{GROUPS}?dryRun=All", 409, json=group())
    await api.refused("POST", f"{GROUPS}?dryRun=Some", 422, json=group("other"))


@pytest.mark.parametrize(
    ("path", "document", "code", "words"),
    [
        (GROUPS.replace("default", "nowhere"), group(), 404, 'namespaces "nowhere" not found'),
        (GROUPS, group(namespace="other"), 400, "does not match the namespace"),
        (GROUPS, {**group(), "kind": "Sidecar"}, 400, "this URL takes"),
        (GROUPS, {**group(), "apiVersion": "networking.istio.io/v1beta1"}, 400, "this URL takes"),
        (GROUPS, group(resourceVersion="5"), 400, "resourceVersion should not be set"),
        (GROUPS.replace("/namespaces/default", ""), group(), 400, "an empty namespace"),
        ("/api/v1/namespaces/default/namespaces", {}, 404, "could not find"),
        ("/apis/nothing.io/v1/things", {}, 404, "could not find"),
        (f"{GROUPS}/ratings", group(), 405, "does not allow this method"),
        (GROUPS, [1], 400, "must be one object"),
    ],
)
async def test_what_does_not_fit_its_url_is_refused(api: Api, path: str, document: Any, code: int, words: str) -> None:
    assert words in (await api.refused("POST", path, code, json=document))["message"]


async def test_a_name_is_made_from_generate_name(api: Api) -> None:
    document = group(generateName="ratings-")
    del document["metadata"]["name"]
    names = {(await api.made(GROUPS, document))["metadata"]["name"] for _ in range(5)}
    assert len(names) == 5
    assert all(name.startswith("ratings-") and len(name) == len("ratings-") + 5 for name in names)


async def test_services_take_strategic_merge_patches_and_other_kinds_do_not(api: Api) -> None:
    await api.made(SERVICES, service({"port": 80, "name": "a"}, {"port": 81, "name": "b"}))
    patch = {"spec": {"ports": [{"port": 81, "$patch": "delete"}, {"port": 82, "name": "c"}]}}
    answer = await api.patch(f"{SERVICES}/ratings", json=patch, headers=STRATEGIC)
    assert [port["port"] for port in answer.json()["spec"]["ports"]] == [80, 82]
    await api.made(GROUPS, group())
    await api.refused("PATCH", f"{GROUPS}/ratings", 415, json={}, headers=STRATEGIC)


async def test_a_json_patch_applies_whole_or_not_at_all(api: Api) -> None:
    await api.made(GROUPS, group())
    headers = {"content-type": "application/json-patch+json"}
    patch = [
        {"op": "add", "path": "/metadata/labels", "value": {"a": "b"}},
        {"op": "test", "path": "/kind", "value": "X"},
    ]
    await api.refused("PATCH", f"{GROUPS}/ratings", 422, json=patch, headers=headers)
    answer = await api.patch(f"{GROUPS}/ratings", json=patch[:1], headers=headers)
    assert answer.json()["metadata"]["labels"] == {"a": "b"}


@pytest.mark.parametrize(
    "patch",
    [5, None, [], "x", {"metadata": {"name": "other"}}, {"kind": "X"}, {"metadata": None}, {"metadata": {"name": ""}}],
)
async def test_a_patch_that_leaves_no_such_object_is_refused(api: Api, patch: Any) -> None:
    await api.made(GROUPS, group())
    before = await api.store.list(Query())
    answer = await api.patch(f"{GROUPS}/ratings", content=json.dumps(patch), headers=MERGE)
    assert answer.status_code in (400, 422), answer.text
    assert answer.json()["kind"] == "Status"
    assert await api.store.list(Query()) == before


@pytest.mark.parametrize("metadata", [{}, {"metadata": None}, {"metadata": {"labels": {"a": "b"}}}])
async def test_an_object_is_not_replaced_by_one_without_a_name(api: Api, metadata: dict[str, Any]) -> None:
    await api.made(SERVICES, service())
    nameless = {field: value for field, value in service().items() if field != "metadata"} | metadata
    status = await api.refused("PUT", f"{SERVICES}/ratings", 400, json=nameless)
    assert status["message"] == (
        "the name of the object (ratings based on URL) was undeterminable: name must be provided"
    )


async def test_a_patch_of_nothing_is_not_found(api: Api) -> None:
    await api.refused("PATCH", f"{GROUPS}/ratings", 404, json={}, headers=MERGE)


async def _owned(api: Api) -> None:
    owner = await api.made(GROUPS, group())
    reference = {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": "ratings"}
    references = [{**reference, "uid": owner["metadata"]["uid"], "controller": True}]
    entry = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "WorkloadEntry",
        "metadata": {"name": "one", "ownerReferences": references},
        "spec": {"address": "10.0.0.1"},
    }
    made = await api.made(GROUPS.replace("workloadgroups", "workloadentries"), entry)
    assert made["metadata"]["ownerReferences"][0]["controller"] is True


@pytest.mark.parametrize(("policy", "survives"), [("Background", False), ("Foreground", False), ("Orphan", True)])
async def test_what_an_object_owns_goes_with_it_unless_orphaned(api: Api, policy: str, survives: bool) -> None:
    await _owned(api)
    answer = await api.request("DELETE", f"{GROUPS}/ratings", json={"propagationPolicy": policy})
    assert answer.status_code == 200
    entry = await api.get(f"{GROUPS}/one".replace("workloadgroups", "workloadentries"))
    assert (entry.status_code == 200) is survives
    assert "ownerReferences" not in entry.json()["metadata"]


async def test_a_precondition_that_fails_deletes_nothing(api: Api) -> None:
    await api.made(GROUPS, group())
    path = f"{GROUPS}/ratings"
    await api.refused("DELETE", path, 409, json={"preconditions": {"uid": "another"}})
    await api.refused("DELETE", path, 409, json={"preconditions": {"resourceVersion": "1"}})
    await api.refused("DELETE", path, 400, json={"preconditions": {"resourceVersion": 1}})
    await api.refused("DELETE", path, 422, json={"propagationPolicy": "Explode"})


async def test_finalizers_hold_an_object_until_they_are_taken_away(api: Api) -> None:
    await api.made(GROUPS, group(finalizers=["example.com/hold"]))
    path = f"{GROUPS}/ratings"
    held = (await api.delete(path)).json()
    assert held["metadata"]["deletionTimestamp"]
    assert (await api.get(path)).status_code == 200
    assert (await api.patch(path, json={"metadata": {"finalizers": None}}, headers=MERGE)).status_code == 200
    await api.refused("GET", path, 404)


async def test_a_collection_is_deleted_by_its_labels(api: Api) -> None:
    for name in ("a", "b", "c"):
        await api.made(GROUPS, group(name, labels={"keep": str(name == "b").lower()}))
    gone = (await api.delete(f"{GROUPS}?labelSelector=keep=false")).json()
    assert [item["metadata"]["name"] for item in gone["items"]] == ["a", "c"]
    left = (await api.get(GROUPS)).json()
    assert [item["metadata"]["name"] for item in left["items"]] == ["b"]


async def test_a_namespace_goes_with_everything_in_it_but_never_the_default_one(api: Api) -> None:
    await api.made("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "bookinfo"}})
    await api.made(GROUPS.replace("default", "bookinfo"), group())
    assert (await api.delete("/api/v1/namespaces/bookinfo")).status_code == 200
    assert [resource.key.name for resource in (await api.store.list(Query())).items] == ["default"]
    await api.refused("DELETE", "/api/v1/namespaces/default", 403)
    await api.refused("DELETE", "/api/v1/namespaces", 405)


async def test_what_the_control_plane_makes_can_be_read_and_deleted_only(api: Api) -> None:
    kind = onboarding.WORKLOAD_AUTO_REGISTRATION
    path = f"/apis/{kind.group}/{kind.versions[0]}/namespaces/default/{kind.plural}"
    document = {"apiVersion": f"{kind.group}/{kind.versions[0]}", "kind": kind.name, "metadata": {"name": "x"}}
    told = await api.refused("POST", path, 403, json=document)
    assert "made by Outrig alone" in told["message"]
    async with api.store.transaction() as tx:
        await tx.create(Resource(Key(kind.group, kind.name, "", "default", "x")))
    await api.refused("PUT", f"{path}/x", 403, json=document)
    await api.refused("PATCH", f"{path}/x/status", 403, json={}, headers=MERGE)
    assert (await api.get(f"{path}/x")).status_code == 200
    assert (await api.delete(f"{path}/x")).status_code == 200


@pytest.mark.parametrize(
    ("content", "headers", "code"),
    [
        (b"{", {"content-type": "application/json"}, 400),
        (b"a: [", {"content-type": "application/yaml"}, 400),
        (b"{}", {"content-type": "text/plain"}, 415),
        (b"{}", {}, 400),
        (b"x" * (MAX_BYTES + 1), {"content-type": "application/json"}, 413),
        (b'{"a":1,"a":2}', {"content-type": "application/json"}, 400),
        (b'{"a":' + b"9" * 5000 + b"}", {"content-type": "application/json"}, 400),
    ],
)
async def test_a_body_that_cannot_be_read_is_refused(
    api: Api, content: bytes, headers: dict[str, str], code: int
) -> None:
    await api.refused("POST", GROUPS, code, content=content, headers=headers)


async def test_an_endless_body_is_cut_off(api: Api) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 200 * MAX_BYTES:
            sent += 65536
            yield b" " * 65536

    headers = {"content-type": "application/json"}
    try:
        answer = await api.post(GROUPS, content=endless(), headers=headers)
    except httpx.TransportError:
        pass
    else:
        assert answer.status_code == 413
    assert sent < 100 * MAX_BYTES
    assert (await api.get("/readyz")).status_code == 200


async def test_lists_are_selected_and_come_in_order(api: Api) -> None:
    for name in ("b", "a", "c"):
        await api.made(GROUPS, group(name, labels={"app": name}))

    async def names(query: str, path: str = GROUPS) -> list[str]:
        return [item["metadata"]["name"] for item in (await api.get(f"{path}?{query}")).json()["items"]]

    assert await names("") == ["a", "b", "c"]
    assert await names("labelSelector=app%20in%20(a,c)") == ["a", "c"]
    assert await names("fieldSelector=metadata.name=b", GROUPS.replace("/namespaces/default", "")) == ["b"]
    assert await names("", GROUPS.replace("default", "nowhere")) == []
    await api.refused("GET", f"{GROUPS}?labelSelector=a%20b", 400)


async def test_tables_have_the_columns_of_the_kind_and_readable_ages(api: Api) -> None:
    await api.made(SERVICES, service())
    accept = {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    table = (await api.get(SERVICES, headers=accept)).json()
    names = [column["name"] for column in table["columnDefinitions"]]
    assert names[0] == "Name"
    assert "Age" in names
    row = table["rows"][0]
    assert row["cells"][0] == "ratings"
    assert row["cells"][names.index("Age")].endswith("s")
    assert row["object"]["kind"] == "PartialObjectMetadata"
    whole = (await api.get(f"{SERVICES}?includeObject=Object", headers=accept)).json()
    assert whole["rows"][0]["object"]["spec"]
    await api.refused("GET", SERVICES, 406, headers={"accept": "text/html"})


async def test_yaml_is_taken_and_given(api: Api) -> None:
    body = b"apiVersion: networking.istio.io/v1\nkind: WorkloadGroup\nmetadata: {name: y}\nspec: {template: {}}\n"
    headers = {"content-type": "application/yaml", "accept": "application/yaml"}
    answer = await api.post(GROUPS, content=body, headers=headers)
    assert answer.status_code == 201
    assert "kind: WorkloadGroup\n" in answer.text


@pytest.mark.parametrize(
    "path", ["/", "/nothing", "/api/v2", "/apis/nothing", "/apis/nothing/v1", "/openapi/v3/x", "/api/v1/x/y/z/w/v"]
)
async def test_an_unknown_path_is_a_status(api: Api, path: str) -> None:
    await api.refused("GET", path, 404)


@pytest.mark.parametrize(("method", "path"), [("POST", "/version"), ("DELETE", "/apis"), ("OPTIONS", GROUPS)])
async def test_an_unknown_method_is_a_status(api: Api, method: str, path: str) -> None:
    await api.refused(method, path, 405)


async def test_discovery_says_the_same_in_both_forms(api: Api) -> None:
    for prefix in ("/api", "/apis"):
        accept = {"accept": "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"}
        aggregated = await api.get(prefix, headers=accept)
        assert "as=APIGroupDiscoveryList" in aggregated.headers["content-type"]
        for found in aggregated.json()["items"]:
            for version in found["versions"]:
                group_path = f"/apis/{found['metadata']['name']}" if found["metadata"].get("name") else "/api"
                plain = (await api.get(f"{group_path}/{version['version']}")).json()
                names = {each["name"] for each in plain["resources"] if "/" not in each["name"]}
                assert names == {each["resource"] for each in version["resources"]}


async def test_every_served_kind_has_an_openapi_schema_without_dangling_references(api: Api) -> None:
    index = (await api.get("/openapi/v3")).json()
    described = set()
    for entry in index["paths"].values():
        document = (await api.get(entry["serverRelativeURL"])).json()
        schemas = document["components"]["schemas"]
        for reference in _references(document):
            assert reference.removeprefix("#/components/schemas/") in schemas
        for schema in schemas.values():
            described |= {(kind["group"], kind["kind"]) for kind in schema.get("x-kubernetes-group-version-kind", ())}
    named = {(kind.group, kind.name) for kind in (*KINDS, *foreign_to(Catalog(KINDS)))}
    reviews = {(kind.group, kind.name) for kind in REVIEWS}
    assert described == named | {(group, f"{kind}List") for group, kind in named} | reviews


async def test_openapi_is_sent_in_the_form_that_kubectl_asks_for_and_once(api: Api) -> None:
    protobuf = {"accept": "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"}
    message = await api.get("/openapi/v2", headers=protobuf)
    assert message.headers["content-type"] == "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
    assert message.content.startswith(b"\n\x032.0")
    text = await api.get("/openapi/v2")
    assert text.json()["swagger"] == "2.0"
    assert (text.headers["vary"], message.headers["vary"]) == ("Accept", "Accept")
    for path, answer, headers in (("/openapi/v2", message, protobuf), ("/openapi/v2", text, {})):
        again = await api.get(path, headers={**headers, "if-none-match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
    index = await api.get("/openapi/v3")
    assert (await api.get("/openapi/v3", headers={"if-none-match": index.headers["etag"]})).status_code == 304
    document = await api.get(index.json()["paths"]["api/v1"]["serverRelativeURL"])
    assert "immutable" in document.headers["cache-control"]
    assert "immutable" not in (await api.get("/openapi/v3/api/v1?hash=0")).headers.get("cache-control", "")
    await api.refused("GET", "/openapi/v2", 406, headers={"accept": "text/html"})
    await api.refused("GET", "/openapi/v1", 404)
    await api.refused("GET", "/openapi/api/v1", 404)


def _references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [found for inner in value.values() for found in _references(inner)]
    return [found for inner in value for found in _references(inner)] if isinstance(value, list) else []


async def test_a_kind_of_another_system_is_refused_with_one_sentence(api: Api) -> None:
    path = "/apis/apps/v1/namespaces/default/deployments"
    told = await api.refused("POST", path, 405, json={"apiVersion": "apps/v1", "kind": "Deployment"})
    assert told["message"].startswith("Outrig runs no containers")
    await api.refused("GET", f"{path}/web", 404)


@pytest.mark.parametrize(("accept", "kind"), [
    ("application/json", "PodList"), ("application/json;as=Table;v=v1;g=meta.k8s.io", "Table"),
    ("application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io", "PartialObjectMetadataList"),
])  # fmt: skip
async def test_a_list_of_what_there_is_none_of_is_empty_and_says_why(api: Api, accept: str, kind: str) -> None:
    answer = await api.get("/api/v1/pods", headers={"accept": accept})
    listed = answer.json()
    assert (answer.status_code, listed["kind"], listed.get("items", listed.get("rows"))) == (200, kind, [])
    assert "runs no containers" in answer.headers["warning"]
    await api.refused("GET", "/api/v1/pods?limit=all", 400)
    await api.refused("GET", "/api/v1/pods?watch=true", 405)
    await api.refused("DELETE", "/api/v1/namespaces/default/pods", 405)


async def test_who_applies_a_kind_of_istio_that_is_not_served_is_told_all_that_are(api: Api) -> None:
    path = "/apis/networking.istio.io/v1/namespaces/default/virtualservices"
    told = await api.refused("POST", path, 405, json={"apiVersion": "networking.istio.io/v1", "kind": "VirtualService"})
    assert all(kind.name in told["message"] for kind in istio.KINDS), told["message"]


async def test_an_unexpected_error_is_a_status_with_a_reference() -> None:
    class Broken(MemoryStore):
        async def get(self, _key: Key) -> Resource | None:
            raise ZeroDivisionError

    authenticator = Authenticator(now=lambda: datetime.now(UTC), loopback_is_admin=True)
    with capture_logs() as logged:
        async with (
            serve(kube_app(Broken(), KINDS, Gate(authenticator)), host="127.0.0.1", port=0) as serving,
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{serving.port}", verify=NO_AUTHORITIES) as client,
        ):
            answer = await client.get(f"{GROUPS}/ratings")
    assert answer.status_code == 500
    (reference,) = (line["reference"] for line in logged if line["event"] == "request failed")
    assert f"the server's log has it under {reference}" in answer.json()["message"]
    assert "ZeroDivision" not in answer.text


async def test_an_owner_outside_the_namespace_is_kept_as_cluster_scoped(api: Api) -> None:
    namespace = (await api.get("/api/v1/namespaces/default")).json()
    reference = {"apiVersion": "v1", "kind": "Namespace", "name": "default", "uid": namespace["metadata"]["uid"]}
    await api.made(GROUPS, group(ownerReferences=[reference]))
    stored = await api.store.get(Key("networking.istio.io", "WorkloadGroup", "", "default", "ratings"))
    assert stored is not None
    assert stored.owners == (
        Owner(Key("", "Namespace", "", "", "default"), reference["uid"], "v1", controller=None, blocks=None),
    )


def viewer() -> Authenticator:
    return Authenticator(now=lambda: datetime.now(UTC))


async def test_who_has_no_credential_sees_health_and_discovery_only() -> None:
    async with running(viewer()) as api:
        for path in (
            "/healthz",
            "/livez",
            "/readyz",
            "/version",
            "/api",
            "/apis",
            "/openapi/v3",
            "/apis/networking.istio.io/v1",
        ):
            assert (await api.get(path)).status_code == 200, path
        for method, path in (("GET", GROUPS), ("POST", GROUPS), ("DELETE", f"{GROUPS}/x"), ("GET", "/api/v1/secrets")):
            told = await api.refused(method, path, 403)
            assert 'User "system:anonymous" cannot' in told["message"]


@pytest.mark.parametrize("value", ["Bearer wrong", "Bearer", "Basic YWRtaW46YWRtaW4=", "Bearer \xff"])
async def test_a_wrong_credential_is_not_anonymous(value: str) -> None:
    local = Authenticator(
        now=lambda: datetime.now(UTC), tokens={"0" * 64: signed_in("a", (ADMINS,), by="token")}, loopback_is_admin=True
    )
    async with running(local) as api:
        await api.refused("GET", "/version", 401, headers={"authorization": value.encode("latin-1")})


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, 200),
        ({"host": "localhost:1"}, 200),
        ({"host": "[::1]:5681"}, 200),
        ({"host": "cp.example.com:5681"}, 200),
        ({"host": "evil.example.com"}, 403),
        ({"host": "127.0.0.1.evil.example.com"}, 403),
        ({"origin": "http://evil.example.com"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://localhost:5681"}, 200),
        ({"x-forwarded-for": "127.0.0.1"}, 403),
        ({"forwarded": "for=127.0.0.1"}, 403),
    ],
)
async def test_loopback_is_admin_only_for_direct_requests_by_its_own_names(headers: dict[str, str], code: int) -> None:
    local = replace(viewer(), loopback_is_admin=True, names=frozenset({"cp.example.com"}))
    async with running(local) as api:
        assert (await api.get(GROUPS, headers=headers)).status_code == code
