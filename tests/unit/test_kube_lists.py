"""Lists in pages, and what the resourceVersion of a list may ask for."""

from typing import Any

import pytest

from tests.unit.test_kube_api import GROUPS, Api, group, running


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


async def test_a_token_of_another_process_goes_on_where_its_page_ended(api: Api) -> None:
    _, first = await _page(api, limit="2")
    await api.delete(f"{GROUPS}/c")
    async with running(store=api.store) as other:
        names, rest = await _page(other, **{"continue": first["continue"]})
    assert (names, rest["resourceVersion"]) == (["d", "e"], first["resourceVersion"])


async def test_selected_lists_are_divided_too_and_not_counted(api: Api) -> None:
    names, first = await _page(api, limit="1", labelSelector="app in (b,d)")
    assert (names, "remainingItemCount" in first) == (["b"], False)
    names, last = await _page(api, limit="1", labelSelector="app in (b,d)", **{"continue": first["continue"]})
    assert (names, "continue" in last) == (["d"], False)


@pytest.mark.parametrize("token", ["abc", "!", "WzFd", "e30", "\u00e9", "W10" * 400])
async def test_a_token_that_is_none_is_refused(api: Api, token: str) -> None:
    assert "continue key is not valid" in (await api.refused("GET", GROUPS, 400, params={"continue": token}))["message"]


async def test_a_token_of_another_history_has_expired(api: Api) -> None:
    _, first = await _page(api, limit="2")
    async with running() as other:
        status = await other.refused("GET", GROUPS, 410, params={"continue": first["continue"]})
    assert status["reason"] == "Expired"


@pytest.mark.parametrize(("query", "code"), [
    ("resourceVersion=0", 200), ("resourceVersion=1", 200),
    ("resourceVersion=1&resourceVersionMatch=NotOlderThan", 200),
    ("resourceVersion=999999", 504), ("resourceVersion=1&resourceVersionMatch=Exact", 410),
    ("resourceVersionMatch=Exact", 422), ("resourceVersion=0&resourceVersionMatch=Exact", 422),
    ("resourceVersion=1&resourceVersionMatch=Sometimes", 422), ("sendInitialEvents=true", 422),
    ("limit=-1", 400), ("limit=x", 400), ("resourceVersion=x", 400),
    ("watch=true&resourceVersionMatch=NotOlderThan&resourceVersion=1", 422),
    ("watch=true&sendInitialEvents=true", 422),
])  # fmt: skip
async def test_what_a_resource_version_asks_for_is_given_or_refused(api: Api, query: str, code: int) -> None:
    answer = await api.get(f"{GROUPS}?{query}")
    assert answer.status_code == code, answer.text


async def test_the_state_of_this_moment_is_given_exactly(api: Api) -> None:
    now = str(await api.store.revision())
    names, metadata = await _page(api, resourceVersion=now, resourceVersionMatch="Exact")
    assert (len(names), metadata["resourceVersion"]) == (5, now)
