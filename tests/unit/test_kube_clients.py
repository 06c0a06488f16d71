"""What programs other than kubectl ask: controllers, GitOps tools, client libraries, curl."""

import json
from typing import Any

import pytest

from tests.unit.access_making import SERVICES, Person, service

GROUPS = "/apis/networking.istio.io/v1/namespaces/shop/workloadgroups"
AUTHORIZATION = "/apis/authorization.k8s.io/v1"
MERGE = {"content-type": "application/merge-patch+json"}
APPLY = {"content-type": "application/apply-patch+yaml"}
PARTIAL = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
FIRST_PROTOBUF = f"application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,{PARTIAL}"
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
REVIEWS = {
    "authorization.k8s.io": {
        "localsubjectaccessreviews",
        "selfsubjectaccessreviews",
        "selfsubjectrulesreviews",
        "subjectaccessreviews",
    },
    "authentication.k8s.io": {"selfsubjectreviews"},
}


def group(**metadata: Any) -> dict[str, Any]:
    named = {"apiVersion": "networking.istio.io/v1", "kind": "WorkloadGroup", "metadata": {"name": "cart", **metadata}}
    return {**named, "spec": {"template": {"serviceAccount": "cart"}}}


@pytest.mark.parametrize("of", REVIEWS)
async def test_reviews_are_listed_and_can_only_be_created(admin: Person, of: str) -> None:
    listed = await admin.told("GET", f"/apis/{of}/v1", 200)
    assert {one["name"] for one in listed["resources"]} == REVIEWS[of]
    assert {verb for one in listed["resources"] for verb in one["verbs"]} == {"create"}
    spaced = {one["name"] for one in listed["resources"] if one["namespaced"]}
    assert spaced == {name for name in REVIEWS[of] if name.startswith("local")}
    groups = (await admin.told("GET", "/apis", 200))["groups"]
    assert [one["preferredVersion"]["version"] for one in groups if one["name"] == of] == ["v1"]
    answer = await admin.told("GET", "/apis", 200, headers={"accept": AGGREGATED})
    (found,) = [one for one in answer["items"] if one["metadata"].get("name") == of]
    (version,) = found["versions"]
    assert {one["resource"]: tuple(one["verbs"]) for one in version["resources"]} == dict.fromkeys(
        REVIEWS[of], ("create",)
    )


async def test_a_review_is_read_as_strictly_as_other_objects(admin: Person) -> None:
    path = f"{AUTHORIZATION}/selfsubjectaccessreviews"
    misspelt = {"spec": {"resourceAttributes": {"verb": "get", "resource": "services", "namespac": "shop"}}}
    told = await admin.told("POST", f"{path}?fieldValidation=Strict", 400, json=misspelt)
    unknown = "unknown field \"spec.resourceAttributes.namespac\" (did you mean 'namespace'?)"
    assert told["message"].endswith(f"strict decoding error: {unknown}")
    answer = await admin.post(path, json=misspelt)
    assert (answer.status_code, answer.json()["status"]["allowed"]) == (201, True)
    assert "namespac" in answer.headers["warning"]
    wrong = {"spec": {"resourceAttributes": {"verb": ["get"]}}}
    told = await admin.told("POST", path, 400, json=wrong)
    assert "spec.resourceAttributes.verb: Invalid value" in told["message"]
    chosen = {"requirements": [{"key": "metadata.name", "operator": "In", "values": ["cart"]}]}
    asked = {"verb": "list", "resource": "services", "fieldSelector": chosen, "labelSelector": None}
    found = await admin.told(
        "POST", f"{path}?fieldValidation=Strict", 201, json={"spec": {"resourceAttributes": asked}}
    )
    assert found["spec"]["resourceAttributes"]["fieldSelector"] == chosen


@pytest.mark.parametrize("accept", ["application/vnd.kubernetes.protobuf", "text/html"])
async def test_who_cannot_be_answered_writes_nothing(admin: Person, accept: str) -> None:
    headers = {"accept": accept}
    await admin.told("POST", SERVICES, 406, json=service(), headers=headers)
    await admin.told("PATCH", f"{SERVICES}/cart?fieldManager=a", 406, json=service(), headers={**headers, **APPLY})
    await admin.told("GET", f"{SERVICES}/cart", 404)
    made = await admin.makes(SERVICES, service())
    labelled = {**made, "metadata": {**made["metadata"], "labels": {"a": "b"}}}
    await admin.told("PUT", f"{SERVICES}/cart", 406, json=labelled, headers=headers)
    await admin.told("PATCH", f"{SERVICES}/cart", 406, json=labelled, headers={**headers, **MERGE})
    await admin.told("DELETE", f"{SERVICES}/cart", 406, headers=headers)
    assert await admin.told("GET", f"{SERVICES}/cart", 200) == made


@pytest.mark.parametrize("accept", [PARTIAL, FIRST_PROTOBUF, f"{PARTIAL},application/json"])
async def test_informers_of_metadata_are_given_metadata(admin: Person, accept: str) -> None:
    made = await admin.makes(GROUPS, group())
    headers = {"accept": accept}
    one = await admin.told("GET", f"{GROUPS}/cart", 200, headers=headers)
    assert one == {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": made["metadata"]}
    many = await admin.told("GET", GROUPS, 200, headers=headers)
    assert (many["kind"], many["items"]) == ("PartialObjectMetadataList", [one])
    changed = await admin.told("PATCH", f"{GROUPS}/cart", 200, json={}, headers={**headers, **MERGE})
    assert changed == one


async def test_pretty_json_says_the_same_on_many_lines(admin: Person) -> None:
    await admin.makes(SERVICES, service())
    for path in (SERVICES, f"{SERVICES}/cart", "/api/v1", "/version"):
        plain, pretty = await admin.get(path), await admin.get(f"{path}?pretty=true")
        assert pretty.json() == plain.json()
        assert len(plain.text.splitlines()) == 1
        assert pretty.text == json.dumps(plain.json(), indent=2) + "\n"
    assert (await admin.get("/readyz?pretty=true")).text == "ok"


@pytest.mark.parametrize("sent", [{"creationTimestamp": None}, {"creationTimestamp": None, "selfLink": "", "uid": ""}])
async def test_files_that_programs_write_settle(admin: Person, sent: dict[str, Any]) -> None:
    path = f"{GROUPS}/cart?fieldManager=argocd-controller&force=true"
    document = {**group(**sent), "status": {}}
    first = await admin.told("PATCH", path, 201, json=document, headers=APPLY)
    assert await admin.told("PATCH", path, 200, json=document, headers=APPLY) == first
    assert await admin.told("PATCH", f"{GROUPS}/cart", 200, json=document, headers=MERGE) == first
    (manager,) = first["metadata"]["managedFields"]
    assert "f:status" not in manager["fieldsV1"]
    assert set(manager["fieldsV1"]) == {"f:spec"}


@pytest.mark.parametrize(("method", "headers"), [("PUT", {}), ("PATCH", MERGE)])
async def test_a_uid_of_another_is_a_conflict(admin: Person, method: str, headers: dict[str, str]) -> None:
    version = (await admin.makes(GROUPS, group()))["metadata"]["resourceVersion"]
    sent = group(uid="of-another", resourceVersion=version)
    told = await admin.told(method, f"{GROUPS}/cart", 409, json=sent, headers=headers)
    assert (told["reason"], "UID in precondition: of-another" in told["message"]) == ("Conflict", True)


async def test_a_list_is_sent_object_by_object(admin: Person) -> None:
    listed = {"apiVersion": "v1", "kind": "List", "items": [service()]}
    told = await admin.told("POST", SERVICES, 400, json=listed)
    assert 'kind "List"' in told["message"]


@pytest.mark.parametrize(
    "path", ["/api", "/apis", "/api/v1", "/version", "/healthz", "/apis/networking.istio.io/v1", SERVICES]
)
async def test_a_slash_at_the_end_and_head_change_nothing(admin: Person, path: str) -> None:
    plain, slashed, head = await admin.get(path), await admin.get(f"{path}/"), await admin.head(path)
    assert (slashed.status_code, slashed.text) == (200, plain.text)
    assert (head.status_code, head.headers["content-type"]) == (200, plain.headers["content-type"])
