"""kubectl's API shows Dataplanes and their meshes, read-only; and a Namespace belongs to a mesh that exists."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest

from outrig.api.kube.shown import Shown
from outrig.dialects.conditions import READY, Condition, with_condition
from outrig.resources import Key, Resource
from outrig.store.protocol import Query
from tests.unit.kuma_making import NOW, Kuma, dataplane, mesh, serving

GROUP = "/apis/networking.istio.io/v1"
ENTRIES = f"{GROUP}/namespaces/kuma-default/workloadentries"
ENTRY = Query(kinds=(("networking.istio.io", "WorkloadEntry"),))
MERGE = {"content-type": "application/merge-patch+json"}


@pytest.fixture
async def api() -> AsyncIterator[Kuma]:
    async with serving() as client:
        await client.written("/meshes/default/dataplanes/kv-1", dataplane())
        yield client


def entry(name: str, namespace: str = "default") -> dict[str, Any]:
    meta, spec = {"name": name, "namespace": namespace}, {"address": "10.9.9.9"}
    return {"apiVersion": "networking.istio.io/v1", "kind": "WorkloadEntry", "metadata": meta, "spec": spec}


async def found(api: Kuma, path: str) -> list[tuple[str, str]]:
    items = (await api.read(path))["items"]
    return [(item["metadata"].get("namespace", ""), item["metadata"]["name"]) for item in items]


async def test_a_dataplane_is_a_workload_entry_in_the_namespace_of_its_mesh(api: Kuma) -> None:
    advertised = {"advertisedAddress": "192.0.2.7", "outbound": [{"port": 9, "tags": {"kuma.io/service": "x"}}]}
    two = [
        {"port": 80, "name": "web", "tags": {"kuma.io/service": "a", "v": "1", "url": "a:b"}},
        {"port": 81, "protocol": "http", "tags": {"kuma.io/service": "b", "v": "1", "url": "a:b"}},
    ]
    await api.written(
        "/meshes/default/dataplanes/two", {**dataplane("two", inbound=two, **advertised), "labels": {"l": "m"}}
    )
    shown = await api.read(f"{ENTRIES}/two")
    labels = {"v": "1", "kuma.io/zone": "default", "l": "m"}
    assert shown["spec"] == {"address": "192.0.2.7", "labels": labels, "ports": {"web": 80, "http-81": 81}}
    assert shown["metadata"]["labels"] == {**labels, "outrig.dev/source": "Dataplane"}
    stored = await api.store.get(Key("kuma.io", "Dataplane", "default", "", "two"))
    assert stored
    assert (shown["metadata"]["uid"], shown["metadata"]["resourceVersion"]) == (stored.uid, str(stored.revision))


async def test_lists_hold_both_kinds_of_entries(api: Kuma) -> None:
    answer = await api.post(f"{GROUP}/namespaces/default/workloadentries", json=entry("hand"))
    assert answer.status_code == 201, answer.text
    assert await found(api, f"{GROUP}/workloadentries") == [("default", "hand"), ("kuma-default", "kv-1")]
    assert await found(api, ENTRIES) == [("kuma-default", "kv-1")]
    assert await found(api, f"{GROUP}/namespaces/default/workloadentries") == [("default", "hand")]
    assert await found(api, f"{GROUP}/workloadentries?labelSelector=kuma.io/service=kv") == [("kuma-default", "kv-1")]
    assert await found(api, f"{GROUP}/namespaces/kuma-default/workloadgroups") == []
    assert await found(api, f"{GROUP}/namespaces/kuma-other/workloadentries") == []
    assert await found(api, "/api/v1/namespaces") == [("", "default"), ("", "kuma-default")]
    assert (await api.read("/api/v1/namespaces/kuma-default"))["metadata"]["labels"]["kuma.io/mesh"] == "default"
    assert (await api.get("/api/v1/namespaces/kuma-other")).status_code == 404


async def test_a_table_shows_whether_it_is_ready(api: Kuma) -> None:
    async with api.store.transaction() as tx:
        stored = await tx.get(Key("kuma.io", "Dataplane", "default", "", "kv-1"))
        assert stored
        status = with_condition(stored.status, Condition(READY, True, "Ready"), now=NOW)
        await tx.update(Resource(stored.key, stored.body, status))
    table = {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    answer = (await api.get(f"{GROUP}/workloadentries", headers=table)).json()
    columns = [column["name"] for column in answer["columnDefinitions"]]
    (row,) = answer["rows"]
    assert (row["cells"][0], row["cells"][columns.index("Ready")]) == ("kv-1", "True")


@pytest.mark.parametrize(
    ("states", "status", "reason", "message"),
    [
        (["", ""], "True", "Ready", None),
        (
            ["probed", "NotReady"],
            "False",
            "Unhealthy",
            "inbounds that are not called: 80 (its serviceProbe does not succeed), 81 (state NotReady)",
        ),
        (["probed", ""], "True", "Degraded", "inbounds that are not called: 80 (its serviceProbe does not succeed)"),
        (
            ["probed", "Ignored"],
            "False",
            "Unhealthy",
            "inbounds that are not called: 80 (its serviceProbe does not succeed)",
        ),
    ],
)
async def test_the_entry_of_a_dataplane_tells_of_inbounds_that_are_not_called(
    api: Kuma, states: list[str], status: str, reason: str, message: str | None
) -> None:
    said = {"probed": {"serviceProbe": {"tcp": {}}}, "": {}}
    inbound = [
        {"port": 80 + place, "tags": {"kuma.io/service": "kv"}, **said.get(state, {"state": state})}
        for place, state in enumerate(states)
    ]
    await api.written("/meshes/default/dataplanes/kv-1", dataplane(inbound=inbound), 200)
    async with api.store.transaction() as tx:
        stored = await tx.get(Key("kuma.io", "Dataplane", "default", "", "kv-1"))
        assert stored
        ready = with_condition({"unreadyPorts": [80]}, Condition(READY, True, "Ready"), now=NOW)
        await tx.update(
            Resource(stored.key, stored.body, ready if "probed" in states else {**ready, "unreadyPorts": []})
        )
    (found,) = (await api.read(f"{ENTRIES}/kv-1"))["status"]["conditions"]
    assert (found["status"], found["reason"], found.get("message")) == (status, reason, message)


async def test_the_entry_of_a_dataplane_that_is_not_ready_says_its_own_reason(api: Kuma) -> None:
    inbound = [{"port": 80, "tags": {"kuma.io/service": "kv"}, "serviceProbe": {"tcp": {}}}]
    await api.written("/meshes/default/dataplanes/kv-1", dataplane(inbound=inbound), 200)
    (nobody,) = (await api.read(f"{ENTRIES}/kv-1"))["status"]["conditions"]
    assert (nobody["status"], nobody["reason"]) == ("False", "Unhealthy"), "no agent has joined as it"
    async with api.store.transaction() as tx:
        stored = await tx.get(Key("kuma.io", "Dataplane", "default", "", "kv-1"))
        assert stored
        gone = with_condition({}, Condition(READY, False, "Disconnected"), now=NOW)
        await tx.update(Resource(stored.key, stored.body, gone))
    (found,) = (await api.read(f"{ENTRIES}/kv-1"))["status"]["conditions"]
    assert found["reason"] == "Disconnected"


async def test_a_watch_sees_dataplanes_come_change_and_go(api: Kuma) -> None:
    before = (await Shown(api.store).list(ENTRY)).revision
    await api.written("/meshes/default/dataplanes/kv-2", dataplane("kv-2"))
    await api.written("/meshes/default/dataplanes/kv-2", dataplane("kv-2", address="10.0.0.9"), 200)
    await api.written("/meshes/default/secrets/s", {"type": "Secret", "mesh": "default", "name": "s", "data": ""})
    await api.delete("/meshes/default/dataplanes/kv-2")
    for query in (ENTRY, Query(kinds=ENTRY.kinds, namespace="kuma-default")):
        seen: list[tuple[str, str, str, str]] = []
        async with asyncio.timeout(20), aclosing(Shown(api.store).watch(query, before)) as batches:
            async for batch in batches:
                for change in batch:
                    key = change.resource.key
                    seen.append((change.type, key.namespace, key.name, change.resource.spec["address"]))
                if len(seen) == 3:
                    break
        at = ("kuma-default", "kv-2")
        assert seen == [("ADDED", *at, "10.0.0.1"), ("MODIFIED", *at, "10.0.0.9"), ("DELETED", *at, "10.0.0.9")]


@pytest.mark.parametrize("namespace", ["kuma-default", "kuma-other"])
async def test_nothing_can_be_written_where_dataplanes_are_shown(api: Kuma, namespace: str) -> None:
    before = await api.store.list(Query())
    entries = f"{GROUP}/namespaces/{namespace}/workloadentries"
    answers = [
        await api.post(entries, json=entry("new", namespace)),
        await api.put(f"{entries}/kv-1", json=entry("kv-1", namespace)),
        await api.patch(f"{entries}/kv-1", json={"spec": {"weight": 2}}, headers=MERGE),
        await api.patch(f"{entries}/kv-1/status", json={"status": {}}, headers=MERGE),
        await api.delete(f"{entries}/kv-1"),
        await api.delete(entries),
        await api.post(
            "/api/v1/namespaces", json={"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
        ),
        await api.delete(f"/api/v1/namespaces/{namespace}"),
        await api.post(
            f"/api/v1/namespaces/{namespace}/serviceaccounts",
            json={"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "a"}},
        ),
    ]
    for answer in answers:
        assert answer.status_code == 403, answer.text
        assert f"/meshes/{namespace.removeprefix('kuma-')}/dataplanes" in answer.json()["message"]
    assert await api.store.list(Query()) == before


def namespace_of(name: str, in_mesh: str) -> dict[str, Any]:
    labels = {"kuma.io/mesh": in_mesh} if in_mesh else {}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


async def test_a_namespace_belongs_to_a_mesh_that_exists(api: Kuma) -> None:
    refused = await api.post("/api/v1/namespaces", json=namespace_of("shop", "bank"))
    assert refused.status_code == 422, refused.text
    assert 'there is no mesh "bank"' in refused.json()["message"]
    await api.written("/meshes/bank", mesh("bank"))
    assert (await api.post("/api/v1/namespaces", json=namespace_of("shop", "bank"))).status_code == 201
    patch = {"metadata": {"labels": {"kuma.io/mesh": "other"}}}
    assert (await api.patch("/api/v1/namespaces/shop", json=patch, headers=MERGE)).status_code == 422


async def test_a_namespace_with_workloads_stays_in_its_mesh(api: Kuma) -> None:
    await api.written("/meshes/bank", mesh("bank"))
    await api.post("/api/v1/namespaces", json=namespace_of("shop", "bank"))
    await api.post(f"{GROUP}/namespaces/shop/workloadentries", json=entry("w", "shop"))
    patch = {"metadata": {"labels": {"kuma.io/mesh": "default"}}}
    refused = await api.patch("/api/v1/namespaces/shop", json=patch, headers=MERGE)
    assert refused.status_code == 422
    assert "has workloads in mesh" in refused.json()["message"]
    kept = {"metadata": {"labels": {"kuma.io/mesh": "bank", "team": "a"}}}
    assert (await api.patch("/api/v1/namespaces/shop", json=kept, headers=MERGE)).status_code == 200
    await api.delete(f"{GROUP}/namespaces/shop/workloadentries/w")
    assert (await api.patch("/api/v1/namespaces/shop", json=patch, headers=MERGE)).status_code == 200
