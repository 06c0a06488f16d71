"""Yes and no in a query, as Kubernetes reads them: a client may write them as its language does."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from outrig.api.kube.list_options import flag
from tests.unit.test_kube_api import Api, running

ACCOUNTS = "/api/v1/namespaces/default/serviceaccounts"


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with running() as client:
        yield client


@pytest.mark.parametrize("said", ["true", "True", "1", "2", ""])
def test_whatever_does_not_say_no_is_a_yes(said: str) -> None:
    assert flag({"watch": said}, "watch")


@pytest.mark.parametrize("query", [{}, {"watch": "false"}, {"watch": "False"}, {"watch": "0"}])
def test_a_no_is_said_or_not_spoken_of(query: dict[str, str]) -> None:
    assert not flag(query, "watch")


async def test_a_watch_begins_for_who_writes_true_as_python_does(api: Api) -> None:
    initial = "sendInitialEvents=True&allowWatchBookmarks=True&resourceVersionMatch=NotOlderThan"
    async with asyncio.timeout(20), api.stream("GET", f"{ACCOUNTS}?watch=True&{initial}") as answer:
        assert '"k8s.io/initial-events-end":"true"' in await anext(answer.aiter_lines())
    assert (await api.get(f"{ACCOUNTS}?watch=False")).json()["kind"] == "ServiceAccountList"


@pytest.mark.parametrize(("said", "stays"), [("True", True), ("", True), ("False", False)])
async def test_what_is_owned_stays_where_orphans_are_asked_for(api: Api, said: str, stays: bool) -> None:
    owner = (await api.made(ACCOUNTS, {"metadata": {"name": "owner"}}))["metadata"]
    reference = {"apiVersion": "v1", "kind": "ServiceAccount", "name": "owner", "uid": owner["uid"]}
    await api.made(ACCOUNTS, {"metadata": {"name": "owned", "ownerReferences": [reference]}})
    assert (await api.delete(f"{ACCOUNTS}/owner?orphanDependents={said}")).status_code == 200
    assert (await api.get(f"{ACCOUNTS}/owned")).status_code == (200 if stays else 404)
