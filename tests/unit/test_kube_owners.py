"""Owners of objects, and finalizers: what is refused, what is told, and who stays for whom."""

from typing import Any

import pytest

from tests.unit.test_kube_api import GROUPS, MERGE, Api, group, running

SHOP, ACCOUNTS = "/api/v1/namespaces/shop", "/api/v1/namespaces/shop/serviceaccounts"
NAMESPACES = "/api/v1/namespaces"
NOBODY = {"name": "owner", "uid": "00000000-0000-0000-0000-000000000000"}


@pytest.fixture
async def api() -> Any:
    async with running() as client:
        await client.made("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
        yield client


def account(name: str, *references: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": name, "ownerReferences": references, **metadata},
    }


def reference(owner: dict[str, Any], **more: Any) -> dict[str, Any]:
    named = {field: owner["metadata"][field] for field in ("name", "uid")}
    return {"apiVersion": owner["apiVersion"], "kind": owner["kind"], **named, **more}


async def _names(api: Api) -> list[str]:
    return [item["metadata"]["name"] for item in (await api.get(ACCOUNTS)).json()["items"]]


def _warnings(answer: Any) -> str:
    return " ".join(answer.headers.get_list("warning"))


async def test_what_names_only_owners_that_do_not_exist_goes_at_once_and_its_author_is_told(api: Api) -> None:
    nobody = {"apiVersion": "v1", "kind": "ServiceAccount", **NOBODY}
    owner = await api.made(ACCOUNTS, account("owner"))
    await api.made(ACCOUNTS, account("owned", reference(owner)))
    assert "none of these owners exists" in _warnings(await api.post(ACCOUNTS, json=account("orphan", nobody)))
    change = {"metadata": {"ownerReferences": [nobody]}}
    rehearsed = await api.patch(f"{ACCOUNTS}/owned?dryRun=All", json=change, headers=MERGE)
    assert "none of these owners exists" in _warnings(rehearsed)
    assert await _names(api) == ["owned", "owner"]
    await api.patch(f"{ACCOUNTS}/owned", json=change, headers=MERGE)
    assert await _names(api) == ["owner"]


async def test_a_reference_comes_back_as_it_was_written(api: Api) -> None:
    owner = await api.made(ACCOUNTS, account("owner"))
    for name, said in {
        "a": {},
        "b": {"controller": False},
        "c": {"controller": True, "blockOwnerDeletion": False},
    }.items():
        await api.made(ACCOUNTS, account(name, reference(owner, **said)))
        assert (await api.get(f"{ACCOUNTS}/{name}")).json()["metadata"]["ownerReferences"] == [reference(owner, **said)]


async def test_beside_an_owner_that_stays_those_that_do_not_exist_are_left_out(api: Api) -> None:
    one, two = [await api.made(ACCOUNTS, account(name)) for name in ("one", "two")]
    nobody = {"apiVersion": "v1", "kind": "ServiceAccount", **NOBODY}
    answer = await api.post(ACCOUNTS, json=account("owned", nobody, reference(one), reference(two)))
    assert "ServiceAccount/owner does not exist or is not to stay, and is left out" in _warnings(answer)
    assert [each["name"] for each in answer.json()["metadata"]["ownerReferences"]] == ["one", "two"]
    await api.delete(f"{ACCOUNTS}/one")
    owned = (await api.get(f"{ACCOUNTS}/owned")).json()["metadata"]
    assert [each["name"] for each in owned["ownerReferences"]] == ["two"]
    managed = owned["managedFields"][0]["fieldsV1"]["f:metadata"]["f:ownerReferences"]
    assert managed == {".": {}, f'k:{{"uid":"{two["metadata"]["uid"]}"}}': {}}
    await api.delete(f"{ACCOUNTS}/two")
    assert await _names(api) == []


async def test_an_owner_of_a_kind_that_is_not_served_counts_as_existing(api: Api) -> None:
    foreign = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d", "uid": "1"}
    owner = await api.made(ACCOUNTS, account("owner"))
    answer = await api.post(ACCOUNTS, json=account("owned", foreign, reference(owner)))
    assert "Deployment/d is out of reach here" in _warnings(answer)
    await api.delete(f"{ACCOUNTS}/owner")
    owned = (await api.get(f"{ACCOUNTS}/owned")).json()["metadata"]
    assert owned["ownerReferences"] == [foreign]


async def test_an_owner_in_another_namespace_is_none_and_an_event_says_so(api: Api) -> None:
    owner = await api.made("/api/v1/namespaces/default/serviceaccounts", account("owner"))
    answer = await api.post(ACCOUNTS, json=account("lost", reference(owner)))
    assert "none of these owners exists" in _warnings(answer)
    assert await _names(api) == []
    (event,) = (await api.get(f"{SHOP}/events")).json()["items"]
    assert (event["reason"], event["type"]) == ("OwnerRefInvalidNamespace", "Warning")
    assert event["involvedObject"]["apiVersion"] == "v1"
    named = f"[v1/ServiceAccount, namespace: shop, name: owner, uid: {owner['metadata']['uid']}]"
    assert event["message"] == f'ownerRef {named} does not exist in namespace "shop"'


async def test_what_is_in_no_namespace_stays_for_an_owner_in_one_and_an_event_says_so(api: Api) -> None:
    owner = await api.made(ACCOUNTS, account("owner"))
    owned = {"name": "kept", "ownerReferences": [reference(owner)]}
    answer = await api.post(NAMESPACES, json={"apiVersion": "v1", "kind": "Namespace", "metadata": owned})
    assert "ServiceAccount/owner is out of reach here" in _warnings(answer)
    await api.delete(f"{ACCOUNTS}/owner")
    assert (await api.get(f"{NAMESPACES}/kept")).status_code == 200
    (event,) = (await api.get("/api/v1/namespaces/default/events")).json()["items"]
    assert (event["reason"], event["involvedObject"]["name"]) == ("OwnerRefInvalidNamespace", "kept")


async def test_an_object_has_one_controller_at_most_and_no_event_owns_it(api: Api) -> None:
    common = {"apiVersion": "v1", "kind": "ServiceAccount", "uid": "1", "controller": True}
    owners = [{**common, "name": "a"}, {**common, "name": "b"}, {**common, "kind": "Event", "name": "c"}]
    told = (await api.refused("POST", ACCOUNTS, 422, json=account("x", *owners)))["message"]
    assert 'Found "true" in references for ServiceAccount/a and ServiceAccount/b' in told
    assert "/v1, Kind=Event is disallowed from being an owner" in told


async def test_a_reference_is_checked_field_by_field(api: Api) -> None:
    wrong = {"apiVersion": "bad/v/1", "kind": "A", "name": "x", "uid": "u", "controller": "yes"}
    told = await api.refused("POST", ACCOUNTS, 422, json=account("x", wrong, {"apiVersion": "v1"}, "x"))
    assert [cause["field"] for cause in told["details"]["causes"]] == [
        "metadata.ownerReferences[0].apiVersion",
        "metadata.ownerReferences[0].controller",
        "metadata.ownerReferences[1].kind",
        "metadata.ownerReferences[1].name",
        "metadata.ownerReferences[1].uid",
        "metadata.ownerReferences[2]",
    ]


@pytest.mark.parametrize(("strictness", "code", "told"), [("Strict", 400, 1), ("Warn", 201, 1), ("Ignore", 201, 0)])
async def test_an_unknown_field_of_a_reference_is_treated_as_any(
    api: Api, strictness: str, code: int, told: int
) -> None:
    owner = reference(await api.made(ACCOUNTS, account("owner")), foo=1)
    answer = await api.post(f"{ACCOUNTS}?fieldValidation={strictness}", json=account("owned", owner))
    assert answer.status_code == code
    said = answer.json().get("message", "") + _warnings(answer).replace("\\", "")
    assert said.count('unknown field "metadata.ownerReferences[0].foo"') == told


@pytest.mark.parametrize(
    ("finalizers", "field"),
    [
        ([""], "metadata.finalizers"),
        ([None], "metadata.finalizers"),
        (["a/b/c"], "metadata.finalizers"),
        (["has space/x"], "metadata.finalizers"),
        (["example.com/"], "metadata.finalizers"),
        (["orphan", "foregroundDeletion"], "metadata.finalizers"),
        (["example.com/a", "nodomain"], "metadata.finalizers[1]"),
    ],
)
async def test_finalizers_are_qualified_names_and_do_not_contradict_each_other(
    api: Api, finalizers: list[Any], field: str
) -> None:
    told = await api.refused("POST", ACCOUNTS, 422, json=account("x", finalizers=finalizers))
    assert {cause["field"] for cause in told["details"]["causes"]} >= {field}


async def test_kinds_that_are_not_kubernetes_own_take_a_finalizer_without_a_domain_and_warn_once(api: Api) -> None:
    answer = await api.post(GROUPS, json=group(finalizers=["nodomain", "orphan", "example.com/x"]))
    assert 'metadata.finalizers: \\"nodomain\\": prefer a domain-qualified' in _warnings(answer)
    label = {"metadata": {"labels": {"a": "b"}}}
    again = await api.patch(f"{GROUPS}/ratings", json=label, headers=MERGE)
    assert (again.status_code, _warnings(again)) == (200, "")


async def test_what_a_name_was_made_from_stays_with_the_object(api: Api) -> None:
    made = (await api.post(ACCOUNTS, json=account("", generateName="web-"))).json()["metadata"]
    assert (made["generateName"], made["name"][:4]) == ("web-", "web-")
    label = {"metadata": {"labels": {"a": "b"}}}
    changed = (await api.patch(f"{ACCOUNTS}/{made['name']}", json=label, headers=MERGE)).json()
    assert changed["metadata"]["generateName"] == "web-"


async def test_a_namespace_has_no_finalize(api: Api) -> None:
    namespace = (await api.get(SHOP)).json()
    assert "spec" not in namespace
    await api.refused("PUT", f"{SHOP}/finalize", 404, json=namespace)


async def test_what_a_name_is_made_from_must_be_one(api: Api) -> None:
    named = {"name": "fine", "generateName": "NOT FINE-"}
    told = await api.refused("POST", ACCOUNTS, 422, json={**account(""), "metadata": named})
    assert [cause["field"] for cause in told["details"]["causes"]] == ["metadata.generateName"]
