"""Requests that may be spelt in several ways mean the same in each."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from outrig.api.kube.spellings import respelled
from tests.unit.test_kube_api import SERVICES, Api, running, service

WATCHED = "/api/v1/watch/namespaces/default/services"
OF_ISTIO = "/apis/networking.istio.io/v1/watch/workloadgroups"


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with running() as client:
        yield client


@pytest.mark.parametrize(
    ("method", "sent", "read"),
    [
        ("GET", "/api/v1/services?limit=1&limit=2&continue=", "/api/v1/services?continue=&limit=1"),
        ("GET", "/api/v1/watch/services?watch=false&x=%C3%A9+%26", "/api/v1/services?x=%C3%A9+%26&watch=true"),
        ("GET", "/apis/a.b/v1/watch/namespaces/n/things/x?", "/apis/a.b/v1/namespaces/n/things/x?watch=true"),
        ("POST", "/api/v1/watch/services?", "/api/v1/watch/services?"),
        ("GET", "/api/v1/watch?", "/api/v1/watch?"),
        ("GET", "/api/v1/namespaces/watch/services?", "/api/v1/namespaces/watch/services?"),
    ],
)
def test_a_request_has_one_spelling(method: str, sent: str, read: str) -> None:
    path, _, query = sent.partition("?")
    found = respelled({"method": method, "path": path, "query_string": query.encode()})
    path, _, query = read.partition("?")
    said = dict.fromkeys(found["query_string"].decode().split("&"))
    assert (found["path"], said) == (path, dict.fromkeys(query.split("&")))


async def test_of_a_parameter_that_is_there_twice_the_first_counts(api: Api) -> None:
    for name in ("a", "b", "c"):
        await api.made(SERVICES, service({"port": 1}, name=name))
    assert len((await api.get(f"{SERVICES}?limit=1&limit=3")).json()["items"]) == 1
    assert len((await api.get(f"{SERVICES}?limit=3&limit=no")).json()["items"]) == 3


@pytest.mark.parametrize("path", [WATCHED, f"{WATCHED}/a"])
async def test_older_clients_watch_on_a_path_of_its_own(api: Api, path: str) -> None:
    await api.made(SERVICES, service({"port": 1}, name="a"))
    async with asyncio.timeout(20), api.stream("GET", path) as answer:
        assert (await anext(answer.aiter_lines())).startswith('{"type":"ADDED","object":{')
    await api.refused("GET", OF_ISTIO.replace("workloadgroups", "nothings"), 404)
    await api.refused("DELETE", WATCHED, 404)
