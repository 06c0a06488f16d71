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


def _listed(found: dict[str, Any]) -> list[str]:
    return [item["metadata"]["name"] for item in found["items"]]


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


async def _owned(api: Api, name: str, owner: dict[str, Any]) -> None:
    """Give it that owner alone, which it blocks."""
    reference = {"apiVersion": "v1", "kind": "ServiceAccount", "blockOwnerDeletion": True}
    named = {field: owner["metadata"][field] for field in ("name", "uid")}
    change = {"metadata": {"ownerReferences": [reference | named]}}
    assert (await api.patch(f"{ACCOUNTS}/{name}", json=change, headers=MERGE)).status_code == 200


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
    await _owned(api, "one", two)
    await _delete(api, "one", policy)
    assert await _names(api) == {}


async def test_owners_in_a_circle_wait_for_what_is_held_and_not_for_each_other(api: Api) -> None:
    one = await _account(api, "one")
    two = await _account(api, "two", one)
    await _account(api, "held", two, finalizers=FINALIZERS)
    await _owned(api, "one", two)
    await _delete(api, "one", "Foreground")
    waiting = ["foregroundDeletion"]
    assert await _names(api) == {"one": waiting, "two": waiting, "held": FINALIZERS}
    await _free(api, "held")
    assert await _names(api) == {}


@pytest.mark.parametrize("left", [[], [{"blockOwnerDeletion": False}]], ids=["no owner", "an owner it does not block"])
async def test_an_owner_goes_as_soon_as_what_it_waited_for_no_longer_blocks_it(
    api: Api, left: list[dict[str, Any]]
) -> None:
    owner = await _account(api, "owner")
    held = await _account(api, "held", owner, finalizers=FINALIZERS)
    await _delete(api, "owner", "Foreground")
    references = [{**held["metadata"]["ownerReferences"][0], **change} for change in left]
    change = {"metadata": {"ownerReferences": references}}
    assert (await api.patch(f"{ACCOUNTS}/held", json=change, headers=MERGE)).status_code == 200
    assert await _names(api) == {"held": FINALIZERS}


@pytest.mark.parametrize("policy", ["Orphan", "Background"])
async def test_a_later_deletion_may_be_one_that_does_not_wait(api: Api, policy: str) -> None:
    owner = await _account(api, "owner")
    await _account(api, "held", owner, finalizers=FINALIZERS)
    await _delete(api, "owner", "Foreground")
    assert (await api.delete(f"{ACCOUNTS}/owner")).json()["metadata"]["finalizers"] == ["foregroundDeletion"]
    await _delete(api, "owner", policy)
    assert await _names(api) == {"held": FINALIZERS}
    held = (await api.get(f"{ACCOUNTS}/held")).json()["metadata"]
    assert ("ownerReferences" in held) is (policy == "Background")


async def test_what_is_made_for_an_owner_that_waits_goes_at_once_unless_another_owner_stays(api: Api) -> None:
    owner, other = await _account(api, "owner"), await _account(api, "other")
    await _account(api, "held", owner, finalizers=FINALIZERS)
    await _delete(api, "owner", "Foreground")
    await _account(api, "late", owner)
    kept = await _account(api, "kept", owner, other)
    assert [one["name"] for one in kept["metadata"]["ownerReferences"]] == ["other"]
    await _free(api, "held")
    assert await _names(api) == {"kept": [], "other": []}


@pytest.mark.parametrize(("finalizer", "left"), [("orphan", ["owned"]), ("foregroundDeletion", [])])
async def test_an_object_may_say_itself_what_becomes_of_what_it_owns(api: Api, finalizer: str, left: list[str]) -> None:
    owner = await _account(api, "owner", finalizers=[finalizer])
    await _account(api, "owned", owner)
    assert (await api.delete(f"{ACCOUNTS}/owner")).status_code == 200
    assert list(await _names(api)) == left


async def test_a_finalizer_of_the_foreground_that_is_taken_away_ends_the_wait(api: Api) -> None:
    owner = await _account(api, "owner")
    await _account(api, "held", owner, finalizers=FINALIZERS)
    await _delete(api, "owner", "Foreground")
    await _free(api, "owner")
    assert await _names(api) == {"held": FINALIZERS}


async def test_what_is_orphaned_stays_also_where_the_owner_is_held(api: Api) -> None:
    owner = await _account(api, "owner", finalizers=FINALIZERS)
    await _account(api, "owned", owner)
    await _delete(api, "owner", "Orphan")
    await _free(api, "owner")
    assert await _names(api) == {"owned": []}
    assert not {"ownerReferences", "managedFields"} & (await api.get(f"{ACCOUNTS}/owned")).json()["metadata"].keys()


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
    assert _listed(answer.json()) == ["a", "b"]
    await api.delete(f"{ACCOUNTS}?limit=1")
    assert await _names(api) == {"d": []}


async def test_of_a_collection_goes_what_a_list_with_the_same_parameters_would_show(api: Api) -> None:
    for name in "abcd":
        await _account(api, name)
    past = {"resourceVersion": "1", "resourceVersionMatch": "Exact"}
    assert (await api.delete(ACCOUNTS, params=past)).json()["items"] == []
    first = (await api.delete(ACCOUNTS, params={"limit": "1"})).json()
    assert (_listed(first), first["metadata"]["remainingItemCount"]) == (["a"], 3)
    await _account(api, "aa")
    rest = {"continue": first["metadata"]["continue"], "limit": "2"}
    second = (await api.delete(ACCOUNTS, params=rest)).json()
    assert (_listed(second), second["metadata"]["remainingItemCount"]) == (["b", "c"], 1)
    assert await _names(api) == {"aa": [], "d": []}


@pytest.mark.parametrize(
    ("query", "code"),
    [("continue=garbage", 400), ("resourceVersion=999999", 504), ("resourceVersion=x", 400), ("limit=x", 400),
     ("resourceVersionMatch=Exact", 422)],
)  # fmt: skip
async def test_a_collection_stays_whole_where_its_parameters_are_wrong(api: Api, query: str, code: int) -> None:
    await _account(api, "kept")
    await api.refused("DELETE", f"{ACCOUNTS}?{query}", code)
    assert await _names(api) == {"kept": []}


@pytest.mark.parametrize("precondition", [{"uid": "another"}, {"resourceVersion": "1"}])
async def test_preconditions_that_do_not_hold_refuse(api: Api, precondition: dict[str, str]) -> None:
    await _account(api, "a")
    options = {"preconditions": precondition}
    for path in (f"{ACCOUNTS}/a", ACCOUNTS):
        told = await api.refused("DELETE", path, 409, json=options)
        assert (told["reason"], told["details"]["name"]) == ("Conflict", "a")


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


@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        ({"propagationPolicy": "Orphan", "orphanDependents": True}, 422, "cannot be both set"),
        ({"propagationPolicy": "Explode"}, 422, 'supported values: "Foreground", "Background", "Orphan", "nil"'),
        ({"dryRun": ["Some"]}, 422, 'supported values: "All"'),
        ({"dryRun": "All"}, 400, "not a list"),
        ({"gracePeriodSeconds": "soon"}, 400, "not a whole number"),
        ({"kind": "Foo"}, 400, "'Foo'"),
        ({"apiVersion": "bogus/v9"}, 400, "'bogus/v9'"),
        ({"preconditions": []}, 400, "must be an object"),
        ({"preconditions": {"resourceVersion": "9" * 5000}}, 400, "must be texts that this server gave"),
    ],
)
async def test_options_that_contradict_each_other_or_are_unknown_delete_nothing(
    api: Api, options: dict[str, Any], code: int, told: str
) -> None:
    await _account(api, "kept")
    assert told in (await api.refused("DELETE", f"{ACCOUNTS}/kept", code, json=options))["message"]
    assert await _names(api) == {"kept": []}


async def test_the_older_word_for_orphaning_is_heard_in_the_query_too(api: Api) -> None:
    owner = await _account(api, "owner")
    await _account(api, "owned", owner)
    assert (await api.delete(f"{ACCOUNTS}/owner?orphanDependents=true")).status_code == 200
    assert await _names(api) == {"owned": []}


async def test_a_collection_is_deleted_in_one_namespace_only(api: Api) -> None:
    await _account(api, "kept")
    for path in ("/api/v1/serviceaccounts", "/api/v1/namespaces"):
        assert (await api.refused("DELETE", path, 405))["reason"] == "MethodNotAllowed"
    assert await _names(api) == {"kept": []}


async def test_what_is_marked_says_so_and_takes_no_more_finalizers(api: Api) -> None:
    made = await _account(api, "held", finalizers=FINALIZERS)
    marked = (await _delete(api, "held"))["metadata"]
    assert marked["deletionGracePeriodSeconds"] == 0
    assert marked["resourceVersion"] != made["metadata"]["resourceVersion"]
    assert (await _delete(api, "held"))["metadata"]["resourceVersion"] == marked["resourceVersion"]
    more = {"metadata": {"finalizers": [*FINALIZERS, "example.com/late"]}}
    told = await api.refused("PATCH", f"{ACCOUNTS}/held", 422, json=more, headers=MERGE)
    assert 'being deleted, found new finalizers []string{"example.com/late"}' in told["message"]


async def test_what_loses_its_last_finalizer_and_its_owners_in_one_change_goes(api: Api) -> None:
    nobody = [{"apiVersion": "v1", "kind": "ServiceAccount", "name": "x", "uid": "1"}]
    await _account(api, "held", finalizers=FINALIZERS)
    await _delete(api, "held")
    change = {"metadata": {"finalizers": None, "ownerReferences": nobody}}
    assert (await api.patch(f"{ACCOUNTS}/held", json=change, headers=MERGE)).status_code == 200
    assert await _names(api) == {}


async def test_what_has_finalizers_and_no_owner_is_marked(api: Api) -> None:
    await _account(api, "held", {"metadata": {"name": "nobody", "uid": "1"}}, finalizers=FINALIZERS)
    assert (await api.get(f"{ACCOUNTS}/held")).json()["metadata"]["deletionTimestamp"]


async def test_a_dry_run_tells_the_revision_that_there_is(api: Api) -> None:
    made = await _account(api, "there")
    named = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "new"}}
    assert "resourceVersion" not in (await api.post(f"{ACCOUNTS}?dryRun=All", json=named)).json()["metadata"]
    change = {"metadata": {"labels": {"a": "b"}}}
    tried = await api.patch(f"{ACCOUNTS}/there?dryRun=All", json=change, headers=MERGE)
    assert tried.json()["metadata"]["labels"] == {"a": "b"}
    gone = await api.delete(f"{ACCOUNTS}/there?dryRun=All")
    for answer in (tried, gone):
        assert answer.json()["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


async def test_an_object_is_not_read_in_a_state_to_come(api: Api) -> None:
    await api.refused("GET", f"{SHOP}?resourceVersion=999999", 504)
    await api.refused("GET", f"{SHOP}?resourceVersion=soon", 400)
    assert (await api.get(f"{SHOP}?resourceVersion=1")).status_code == 200


@pytest.mark.parametrize(("about", "code"), [("shop", 201), ("other", 422), ("", 422)])
async def test_an_event_is_in_the_namespace_of_what_it_is_about(api: Api, about: str, code: int) -> None:
    event = {"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e"}}
    answer = await api.post(f"{SHOP}/events", json={**event, "involvedObject": {"kind": "Pod", "namespace": about}})
    assert answer.status_code == code, answer.text
    assert (code == 201) is ("does not match event.namespace" not in answer.text)
