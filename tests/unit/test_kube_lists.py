"""Lists in pages, and what the resourceVersion of a list may ask for."""

from typing import Any
from urllib.parse import parse_qsl

import pytest

from outrig.api.kube.list_options import list_options
from outrig.api.kube.pages import Place
from outrig.api.kube.statuses import Subject
from outrig.api.refusals import ApiError
from outrig.resources import Key, Resource
from outrig.store.memory import MemoryStore
from tests.unit.test_kube_api import GROUPS, MERGE, Api, group, running


@pytest.fixture
async def api() -> Any:
    async with running() as client:
        for name in "abcde":
            await client.made(GROUPS, group(name, labels={"app": name}))
        yield client


def _names(listed: dict[str, Any]) -> list[str]:
    return [item["metadata"]["name"] for item in listed["items"]]


async def _page(api: Api, **query: str) -> tuple[list[str], dict[str, Any]]:
    listed = (await api.get(GROUPS, params=query)).json()
    return _names(listed), listed["metadata"]


async def test_pages_are_of_one_state_whatever_happens_between_them(api: Api) -> None:
    names, first = await _page(api, limit="2")
    assert (names, first["remainingItemCount"]) == (["a", "b"], 3)
    await api.delete(f"{GROUPS}/c")
    await api.made(GROUPS, group("ba"))
    names, second = await _page(api, limit="2", **{"continue": first["continue"]})
    assert (names, second["remainingItemCount"]) == (["c", "d"], 1)
    names, last = await _page(api, limit="2", **{"continue": second["continue"]})
    assert names == ["e"]
    assert last == {"resourceVersion": first["resourceVersion"]}


async def test_a_token_of_another_replica_goes_on_in_the_state_of_its_first_page(api: Api) -> None:
    _, first = await _page(api, limit="2")
    await api.delete(f"{GROUPS}/c")
    async with running(store=api.store) as other:
        names, rest = await _page(other, **{"continue": first["continue"]})
    assert (names, rest["resourceVersion"]) == (["c", "d", "e"], first["resourceVersion"])


async def test_a_state_that_the_log_has_forgotten_has_expired() -> None:
    store = MemoryStore(keep_changes=3)
    async with store.transaction() as tx:
        for name in "abc":
            await tx.create(Resource(Key("", "Namespace", "", "", name)))
    async with running(store=store) as api, running(store=store) as other:
        first = (await api.get("/api/v1/namespaces?limit=2")).json()["metadata"]
        async with store.transaction() as tx:
            for name in "defg":
                await tx.create(Resource(Key("", "Namespace", "", "", name)))
        for query in ({"continue": first["continue"]}, {"resourceVersion": "3", "resourceVersionMatch": "Exact"}):
            status = await other.refused("GET", "/api/v1/namespaces", 410, params=query)
            assert status["reason"] == "Expired"


async def test_selected_lists_are_divided_too_and_not_counted(api: Api) -> None:
    names, first = await _page(api, limit="1", labelSelector="app in (b,d)")
    assert (names, "remainingItemCount" in first) == (["b"], False)
    names, last = await _page(api, limit="1", labelSelector="app in (b,d)", **{"continue": first["continue"]})
    assert (names, "continue" in last) == (["d"], False)


@pytest.mark.parametrize("token", ["abc", "!", "WzFd", "e30", "\u00e9", "W10" * 400])
async def test_a_token_that_is_none_is_refused(api: Api, token: str) -> None:
    assert "continue key is not valid" in (await api.refused("GET", GROUPS, 400, params={"continue": token}))["message"]


@pytest.mark.parametrize("revision", [True, False, -1, 2**63, 1.0, None])
async def test_a_token_of_no_revision_is_refused(api: Api, revision: Any) -> None:
    token = Place(await api.store.epoch(), revision, "", "").token()
    assert "continue key is not valid" in (await api.refused("GET", GROUPS, 400, params={"continue": token}))["message"]


async def test_a_token_of_another_history_has_expired(api: Api) -> None:
    _, first = await _page(api, limit="2")
    async with running() as other:
        status = await other.refused("GET", GROUPS, 410, params={"continue": first["continue"]})
    assert status["reason"] == "Expired"


@pytest.mark.parametrize(("query", "code"), [
    ("resourceVersion=0", 200), ("resourceVersion=1", 200),
    ("resourceVersion=1&resourceVersionMatch=NotOlderThan", 200),
    ("resourceVersion=999999", 504), ("resourceVersion=999999&resourceVersionMatch=Exact", 504),
    ("watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=999999", 504),
    ("watch=true&sendInitialEvents=true", 422),
    ("limit=-1", 400), ("limit=x", 400), ("resourceVersion=x", 400), ("resourceVersion=1&continue=x", 400),
])  # fmt: skip
async def test_what_a_resource_version_asks_for_is_given_or_refused(api: Api, query: str, code: int) -> None:
    answer = await api.get(f"{GROUPS}?{query}")
    assert answer.status_code == code, answer.text


MATCH = "resourceVersionMatch: "
NEEDS_REVISION = f"{MATCH}Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided"
NEEDS_INITIAL = f"{MATCH}Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
NEEDS_MATCH = f"{MATCH}Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
NOT_CONTINUED = f"{MATCH}Forbidden: resourceVersionMatch is forbidden when continue is provided"


@pytest.mark.parametrize(("query", "causes"), [
    ("resourceVersionMatch=Exact", [NEEDS_REVISION]),
    ("resourceVersionMatch=NotOlderThan&continue=x", [NEEDS_REVISION, NOT_CONTINUED]),
    ("resourceVersion=1&resourceVersionMatch=No",
     [f'{MATCH}Unsupported value: "No": supported values: "Exact", "NotOlderThan", ""']),
    ("resourceVersion=0&resourceVersionMatch=Exact",
     [f'{MATCH}Forbidden: resourceVersionMatch "exact" is forbidden for resourceVersion "0"']),
    ("sendInitialEvents=false", ["sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list"]),
    ("watch=1&sendInitialEvents=true", [NEEDS_MATCH]),
    ("watch=1&sendInitialEvents=true&resourceVersionMatch=Exact",
     [NEEDS_MATCH, f'{MATCH}Unsupported value: "Exact": supported values: "NotOlderThan"']),
    ("watch=1&resourceVersionMatch=NotOlderThan&resourceVersion=1", [NEEDS_INITIAL]),
    ("watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&continue=x", [NOT_CONTINUED]),
])  # fmt: skip
def test_parameters_that_contradict_each_other_are_refused_in_the_words_of_kubernetes(
    query: str, causes: list[str]
) -> None:
    asked = dict(parse_qsl(query))
    with pytest.raises(ApiError) as refusal:
        list_options(asked, Subject("networking.istio.io", "workloadgroups"), watching="watch" in asked)
    listed = ", ".join(causes) if len(causes) == 1 else f"[{', '.join(causes)}]"
    assert refusal.value.http_code == 422
    assert refusal.value.message == f'ListOptions.meta.k8s.io "" is invalid: {listed}'


@pytest.mark.parametrize("path", [GROUPS, f"{GROUPS}/a"])
async def test_a_state_to_come_is_refused_so_that_clients_ask_again(api: Api, path: str) -> None:
    answer = await api.get(f"{path}?resourceVersion=999999")
    status = answer.json()
    assert (answer.status_code, answer.headers["retry-after"], status["details"]["retryAfterSeconds"]) == (504, "1", 1)
    assert status["details"]["causes"] == [
        {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    ]
    assert status["message"].startswith("Timeout: Too large resource version: 999999, current: ")


async def test_a_state_of_the_past_is_listed_as_it_was_whole_and_in_pages(api: Api) -> None:
    then = str(await api.store.revision())
    was = (await api.get(GROUPS)).json()["items"]
    await api.delete(f"{GROUPS}/b")
    await api.made(GROUPS, group("bb"))
    await api.patch(f"{GROUPS}/d", json={"metadata": {"labels": {"app": "a"}}}, headers=MERGE)
    listed = (await api.get(GROUPS, params={"resourceVersion": then, "resourceVersionMatch": "Exact"})).json()
    assert (listed["items"], listed["metadata"]["resourceVersion"]) == (was, then)
    names, first = await _page(api, resourceVersion=then, limit="3")
    assert (names, first["resourceVersion"]) == (["a", "b", "c"], then)
    assert (await _page(api, **{"continue": first["continue"]}))[0] == ["d", "e"]
    selected, _ = await _page(api, resourceVersion=then, resourceVersionMatch="Exact", labelSelector="app=d")
    assert selected == ["d"]
