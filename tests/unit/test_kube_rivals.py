"""Policies that choose the same workloads are told to their author when they are applied."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.unit.test_kube_api import Api, running

GROUP = "/apis/networking.istio.io/v1/namespaces/default/sidecars"
PEERS = "/apis/security.istio.io/v1/namespaces/default/peerauthentications"


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with running() as made:
        yield made


def sidecar(name: str, **labels: str) -> dict[str, Any]:
    spec = {
        "ingress": [{"port": {"number": 9080, "protocol": "HTTP"}, "defaultEndpoint": "127.0.0.1:9080"}],
        "egress": [{"bind": "127.0.0.2", "port": {"number": 9080}, "hosts": ["./*"]}],
        **({"workloadSelector": {"labels": labels}} if labels else {}),
    }
    return {"apiVersion": "networking.istio.io/v1", "kind": "Sidecar", "metadata": {"name": name}, "spec": spec}


async def warnings(api: Api, document: dict[str, Any]) -> str:
    answer = await api.post(GROUP, json=document)
    assert answer.status_code == 201, answer.text
    return answer.headers.get("warning", "")


async def test_a_second_sidecar_for_the_same_workloads_is_told_which_one_counts(api: Api) -> None:
    assert not await warnings(api, sidecar("first", app="ratings"))
    told = await warnings(api, sidecar("second", app="ratings"))
    assert "OUT315" in told
    assert "for them Sidecar default/first alone has an effect" in told


async def test_a_narrower_selector_of_the_same_level_is_a_rival_too(api: Api) -> None:
    await warnings(api, sidecar("first", app="ratings"))
    assert "OUT315" in await warnings(api, sidecar("narrow", app="ratings", version="v1"))


async def test_other_workloads_and_wider_levels_are_no_rivals(api: Api) -> None:
    assert not await warnings(api, sidecar("ratings", app="ratings"))
    assert not await warnings(api, sidecar("reviews", app="reviews"))
    assert not await warnings(api, sidecar("everybody"))


async def test_a_change_is_told_as_well_as_a_creation(api: Api) -> None:
    await warnings(api, sidecar("first", app="ratings"))
    await warnings(api, sidecar("second", app="reviews"))
    answer = await replaced(api, sidecar("second", app="ratings"))
    assert "OUT315" in answer.headers["warning"]
    again = await replaced(api, sidecar("second", app="reviews"))
    assert "warning" not in again.headers


async def replaced(api: Api, document: dict[str, Any]) -> httpx.Response:
    path = f"{GROUP}/{document['metadata']['name']}"
    there = (await api.get(path)).json()["metadata"]
    return await api.put(path, json={**document, "metadata": there})


async def test_two_peer_authentications_of_a_namespace_are_rivals(api: Api) -> None:
    for name, told in (("first", False), ("second", True)):
        document = {
            "apiVersion": "security.istio.io/v1",
            "kind": "PeerAuthentication",
            "metadata": {"name": name},
            "spec": {"mtls": {"mode": "STRICT"}},
        }
        answer = await api.post(PEERS, json=document)
        assert ("OUT315" in answer.headers.get("warning", "")) is told, answer.headers
