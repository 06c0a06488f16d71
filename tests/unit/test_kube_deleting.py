"""Deletion over the API: propagation, finalizers, preconditions, collections, namespaces that go last."""

from typing import Any

import pytest

from tests.unit.test_kube_api import MERGE, Api, running

ACCOUNTS = "/api/v1/namespaces/shop/serviceaccounts"
SHOP = "/api/v1/namespaces/shop"
FINALIZERS = ["example.com/cleanup"]


@pytest.fixture
async def api() -> Any:
    async with running() as client:
        await client.made("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
        yield client


async def _account(
    api: Api, name: str, *owners: dict[str, Any], blocks: bool = True, **metadata: Any
) -> dict[str, Any]:
    references = [
        {"apiVersion": "v1", "kind": "ServiceAccount", "blockOwnerDeletion": blocks}
        | {field: owner["metadata"][field] for field in ("name", "uid")}
        for owner in owners
    ]
    named = {"name": name, "ownerReferences": references, **metadata}
    return await api.made(ACCOUNTS, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": named})


async def _names(api: Api) -> dict[str, list[str]]:
    """What is there, with its finalizers."""
    items = (await api.get(ACCOUNTS)).json()["items"]
    return {item["metadata"]["name"]: item["metadata"].get("finalizers", []) for item in items}


async def _delete(api: Api, name: str, policy: str = "Background", **more: Any) -> dict[str, Any]:
    options = {
        "kind": "DeleteOptions",
        "apiVersion": "v1",
        "propagationPolicy": policy,
        "gracePeriodSeconds": 0,
        **more,
    }
    answer = await api.request("DELETE", f"{ACCOUNTS}/{name}", json=options)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def _free(api: Api, name: str) -> None:
    answer = await api.patch(f"{ACCOUNTS}/{name}", json={"metadata": {"finalizers": None}}, headers=MERGE)
    assert answer.status_code == 200, answer.text


async def test_in_the_background_a_dependent_that_is_held_stays_behind_marked(api: Api) -> None:
    owner = await _account(api, "owner")
    await _account(api, "held", owner, finalizers=FINALIZERS)
    assert "deletionTimestamp" not in (await _delete(api, "owner"))["metadata"]
    assert await _names(api) == {"held": FINALIZERS}
    await _free(api, "held")
    assert await _names(api) == {}


async def test_in_the_foreground_an_owner_waits_for_what_blocks_it_however_far(api: Api) -> None:
    top = await _account(api, "top")
    middle = await _account(api, "middle", top)
    await _account(api, "held", middle, finalizers=FINALIZERS)
    await _account(api, "free", top)
    marked = await _delete(api, "top", "Foreground")
    assert marked["metadata"]["deletionTimestamp"]
    waiting = ["foregroundDeletion"]
    assert await _names(api) == {"top": waiting, "middle": waiting, "held": FINALIZERS}
    await _free(api, "held")
    assert await _names(api) == {}


async def test_in_the_foreground_an_owner_does_not_wait_for_what_does_not_block_it(api: Api) -> None:
    owner = await _account(api, "owner")
    await _account(api, "held", owner, blocks=False, finalizers=FINALIZERS)
    assert "deletionTimestamp" not in (await _delete(api, "owner", "Foreground"))["metadata"]
    assert await _names(api) == {"held": FINALIZERS}


async def test_an_owner_that_waits_and_has_finalizers_of_its_own_goes_with_the_last(api: Api) -> None:
    owner = await _account(api, "owner", finalizers=FINALIZERS)
    await _account(api, "held", owner, finalizers=FINALIZERS)
    await _delete(api, "owner", "Foreground")
    assert await _names(api) == {"owner": [*FINALIZERS, "foregroundDeletion"], "held": FINALIZERS}
    await _free(api, "held")
    assert await _names(api) == {"owner": FINALIZERS}
    await _free(api, "owner")
    assert await _names(api) == {}


@pytest.mark.parametrize("policy", ["Background", "Foreground"])
async def test_owners_in_a_circle_end(api: Api, policy: str) -> None:
    one = await _account(api, "one")
    two = await _account(api, "two", one)
    reference = {"apiVersion": "v1", "kind": "ServiceAccount", "name": "two", "blockOwnerDeletion": True}
    owners = {"metadata": {"ownerReferences": [{**reference, "uid": two["metadata"]["uid"]}]}}
    assert (await api.patch(f"{ACCOUNTS}/one", json=owners, headers=MERGE)).status_code == 200
    await _delete(api, "one", policy)
    assert await _names(api) == {}


async def test_what_is_orphaned_stays_also_where_the_owner_is_held(api: Api) -> None:
    owner = await _account(api, "owner", finalizers=FINALIZERS)
    await _account(api, "owned", owner)
    await _delete(api, "owner", "Orphan")
    await _free(api, "owner")
    assert await _names(api) == {"owned": []}


async def test_a_dry_run_deletes_and_marks_nothing(api: Api) -> None:
    owner = await _account(api, "owner")
    await _account(api, "held", owner, finalizers=FINALIZERS)
    before = await _names(api)
    for policy in ("Background", "Foreground", "Orphan"):
        await _delete(api, "owner", policy, dryRun=["All"])
    assert await _names(api) == before


async def test_a_collection_is_deleted_as_far_as_it_was_asked(api: Api) -> None:
    for name in "abcd":
        await _account(api, name, labels={"app": "x" if name in "ab" else "y"})
    answer = await api.delete(f"{ACCOUNTS}?labelSelector=app%3Dx")
    assert [item["metadata"]["name"] for item in answer.json()["items"]] == ["a", "b"]
    await api.delete(f"{ACCOUNTS}?limit=1")
    assert await _names(api) == {"d": []}


@pytest.mark.parametrize("precondition", [{"uid": "another"}, {"resourceVersion": "1"}])
async def test_preconditions_that_do_not_hold_refuse(api: Api, precondition: dict[str, str]) -> None:
    await _account(api, "a")
    options = {"preconditions": precondition}
    assert (await api.refused("DELETE", f"{ACCOUNTS}/a", 409, json=options))["reason"] == "Conflict"


async def test_a_namespace_goes_last_and_takes_nothing_new_until_then(api: Api) -> None:
    await _account(api, "held", finalizers=FINALIZERS)
    await _account(api, "free")
    await api.delete(SHOP)
    namespace = (await api.get(SHOP)).json()
    assert namespace["status"]["phase"] == "Terminating"
    told = {one["type"]: one["message"] for one in namespace["status"]["conditions"]}
    assert "example.com/cleanup in 1 resource instances" in told["NamespaceFinalizersRemaining"]
    assert await _names(api) == {"held": FINALIZERS}
    late = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "late"}}
    refused = await api.refused("POST", ACCOUNTS, 403, json=late)
    assert "because it is being terminated" in refused["message"]
    assert refused["details"]["causes"][0]["reason"] == "NamespaceTerminating"
    await _free(api, "held")
    assert (await api.get(SHOP)).status_code == 404


async def test_a_namespace_with_finalizers_of_its_own_waits_for_them(api: Api) -> None:
    await api.patch(SHOP, json={"metadata": {"finalizers": FINALIZERS}}, headers=MERGE)
    await api.delete(SHOP)
    assert (await api.get(SHOP)).json()["status"]["phase"] == "Terminating"
    await api.patch(SHOP, json={"metadata": {"finalizers": []}}, headers=MERGE)
    assert (await api.get(SHOP)).status_code == 404
