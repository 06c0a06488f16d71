"""Kuma's API: lists, overviews, inspections, counts, and the tasks of WorkloadGroups among the Dataplanes."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from outrig.admission.meshes import Meshes
from outrig.ca.meshes import authority_key
from outrig.ca.settings import CaSettings
from outrig.dialects.conditions import (
    AGENT_CONNECTED,
    PARTIALLY_INVALID,
    PROGRAMMED,
    READY,
    Condition,
    with_condition,
)
from outrig.dialects.kuma.insight import (
    Counts,
    with_certificate,
    with_counts,
    with_subscription,
    with_versions,
    without_subscription,
)
from outrig.resources import Key, Owner, Resource
from outrig.store.protocol import Listing, Query
from tests.unit.kuma_making import MTLS, NOW, Kuma, dataplane, mesh, permission, serving

PLANES = "/meshes/default/dataplanes"
PERMISSIONS = "/meshes/default/meshtrafficpermissions"
KV_1 = Key("kuma.io", "Dataplane", "default", "", "kv-1")
EVERYBODY = {"from": [{"targetRef": {"kind": "Mesh"}, "default": {"action": "Allow"}}]}
GATEWAY = {"inbound": [], "gateway": {"tags": {"kuma.io/service": "edge"}}}


@pytest.fixture
async def api() -> AsyncIterator[Kuma]:
    async with serving() as client:
        yield client


async def names(api: Kuma, path: str, **query: Any) -> list[str]:
    return [item["name"] for item in (await api.read(path, **query))["items"]]


async def several(api: Kuma, *wanted: str) -> None:
    for name in wanted:
        await api.written(f"{PLANES}/{name}", dataplane(name))


async def test_a_list_is_read_page_by_page_by_following_next(api: Kuma) -> None:
    await several(api, "a", "b", "c", "d", "e")
    page = await api.read(PLANES, size=2, name="")
    seen = [item["name"] for item in page["items"]]
    assert page["total"] == 5
    while page["next"]:
        assert page["next"].startswith("http://mesh.test/meshes/default/dataplanes?size=2&name=&offset=")
        page = await api.read(page["next"])
        assert page["total"] == 5
        seen += [item["name"] for item in page["items"]]
    assert seen == ["a", "b", "c", "d", "e"]


async def test_what_comes_and_goes_between_pages_shifts_nothing(api: Kuma) -> None:
    await several(api, "b", "c", "d", "e")
    first = await api.read(PLANES, size=2)
    await api.delete(f"{PLANES}/b")
    await several(api, "a")
    assert await names(api, first["next"]) == ["d", "e"]


@pytest.mark.parametrize(
    ("query", "field", "detail"),
    [
        ("size=0", "size", "Invalid page size"),
        ("size=-1", "size", "Invalid page size"),
        ("size=ten", "size", "Invalid page size"),
        ("size=1001", "size", "Invalid page size"),
        ("offset=***", "offset", "Invalid offset"),
        ("offset=eA==", "offset", "Invalid offset"),
        ("offset=/w==", "offset", "Invalid offset"),
        ("filter[status]=online", "filter[status]", "Resource is not valid"),
        ("filter[labels.a=b", "filter[labels.a", "Resource is not valid"),
        ("filter[labels.a]=b&filter[labels.a]=c", "filter[labels.a]", "Resource is not valid"),
        ("gateway=maybe", "gateway", "Resource is not valid"),
    ],
)
async def test_queries_that_mean_nothing_are_refused(api: Kuma, query: str, field: str, detail: str) -> None:
    problem = await api.refused("GET", f"{PLANES}?{query}", 400)
    assert (problem["title"], problem["detail"]) == ("Could not retrieve resources", detail)
    assert [one["field"] for one in problem["causes"]] == [field]


async def test_lists_are_narrowed_by_name_labels_tags_and_gateway(api: Kuma) -> None:
    await api.written(f"{PLANES}/kv-1", {**dataplane(), "labels": {"team": "a"}})
    two = [
        {"port": 1, "tags": {"kuma.io/service": "x", "v": "1"}},
        {"port": 2, "tags": {"kuma.io/service": "y", "v": "2"}},
    ]
    await api.written(f"{PLANES}/two-1", dataplane("two-1", inbound=two))
    await api.written(f"{PLANES}/edge-1", dataplane("edge-1", **GATEWAY))
    assert await names(api, PLANES, name="-1") == ["edge-1", "kv-1", "two-1"]
    assert await names(api, PLANES, name="kv") == ["kv-1"]
    assert await names(api, f"{PLANES}?filter[labels.team]=a") == ["kv-1"]
    assert await names(api, f"{PLANES}?filter[labels.kuma.io/proxy-type]=gateway") == ["edge-1"]
    assert await names(api, f"{PLANES}?tag=kuma.io/service:y&tag=v:2") == ["two-1"]
    assert await names(api, f"{PLANES}?tag=kuma.io/service:x&tag=v:2") == [], "tags of one inbound, not of several"
    assert await names(api, f"{PLANES}?tag=kuma.io/service:edge") == ["edge-1"]
    assert await names(api, f"{PLANES}?tag=v") == ["two-1"]
    assert await names(api, PLANES, gateway="true") == await names(api, PLANES, gateway="delegated") == ["edge-1"]
    assert await names(api, PLANES, gateway="false") == ["kv-1", "two-1"]
    assert await names(api, PLANES, gateway="builtin") == []


async def test_a_list_across_meshes_names_the_mesh_of_each(api: Kuma) -> None:
    await api.written("/meshes/bank", mesh("bank"))
    await api.written("/meshes/bank/dataplanes/kv-1", dataplane(mesh="bank"))
    await several(api, "kv-1")
    items = (await api.read("/dataplanes", size=1))["items"] + (await api.read("/dataplanes"))["items"][1:]
    assert [(item["mesh"], item["name"]) for item in items] == [("bank", "kv-1"), ("default", "kv-1")]
    assert await names(api, "/meshes") == ["bank", "default"]


async def noted(api: Kuma, key: Key, *changes: Any) -> None:
    async with api.store.transaction() as tx:
        resource = await tx.get(key)
        for change in changes:
            resource = change(resource)
        await tx.update(resource)


async def test_an_overview_shows_connection_counters_and_certificate(api: Kuma) -> None:
    await several(api, "kv-1")
    await api.written("/meshes/default", mesh("default", mtls=MTLS), 200)
    await noted(
        api,
        KV_1,
        lambda it: with_versions(it, agent="1.0", envoy="1.39.0"),
        lambda it: with_subscription(it, control_plane="cp-1", now=NOW),
        lambda it: with_certificate(it, expires=NOW + timedelta(hours=1), backend="ca", now=NOW),
        lambda it: with_counts(it, {"cds": Counts(2, 1, 1), "lds": Counts(1, 1, 0)}, now=NOW),
    )
    found = await api.read(f"{PLANES}/kv-1/_overview")
    assert (found["type"], found["dataplane"]["networking"]) == ("DataplaneOverview", dataplane()["networking"])
    insight = found["dataplaneInsight"]
    (subscription,) = insight["subscriptions"]
    assert (subscription["controlPlaneInstanceId"], subscription["connectTime"]) == ("cp-1", "2026-11-22T12:00:00Z")
    assert subscription["version"]["envoy"]["version"] == "1.39.0"
    assert subscription["status"]["cds"] == {
        "responsesSent": "2", "responsesAcknowledged": "1", "responsesRejected": "1",
    }  # fmt: skip
    assert subscription["status"]["total"]["responsesSent"] == "3"
    assert subscription["status"]["lastUpdateTime"] == "2026-11-22T12:00:00Z"
    assert insight["mTLS"]["issuedBackend"] == "ca"
    assert (await api.read(f"{PLANES}/_overview"))["items"] == [found]
    assert (await api.read("/meshes/default/dataplanes+insights"))["items"] == [found]
    assert await api.read("/meshes/default/dataplanes+insights/kv-1") == found
    assert (await api.read("/dataplanes/_overview"))["items"] == [found]


async def test_a_certificate_of_before_is_shown_once_mutual_tls_is_on_and_not_when_it_is_off_again(api: Kuma) -> None:
    await several(api, "kv-1")
    await noted(api, KV_1, lambda it: with_certificate(it, expires=NOW + timedelta(hours=1), backend="", now=NOW))
    shown = []
    for mtls in ({}, {"mtls": MTLS}, {}):
        await api.written("/meshes/default", mesh("default", **mtls), 200)
        shown.append((await api.read(f"{PLANES}/kv-1/_overview"))["dataplaneInsight"].get("mTLS"))
    assert (shown[0], shown[2]) == (None, None)
    assert (shown[1]["issuedBackend"], shown[1]["supportedBackends"]) == ("ca", ["ca"])
    assert shown[1]["certificateExpirationTime"] == "2026-11-22T13:00:00Z"


async def test_who_writes_a_mesh_whose_authority_is_about_to_end_is_warned_and_who_looks_at_its_members(
    api: Kuma,
) -> None:
    await several(api, "kv-1")
    for expiration, warned in (("1d", False), ("1m", True)):
        api.kept.keep = Meshes(CaSettings(), clock=lambda: NOW)
        backend = {"name": expiration, "type": "builtin", "conf": {"caCert": {"expiration": expiration}}}
        mtls = {"enabledBackend": expiration, "backends": [backend]}
        told = [
            await api.written("/meshes/default", mesh("default", mtls=mtls), 200),
            await api.read(f"{PLANES}/kv-1/_overview"),
        ]
        for each in told:
            warnings = [one for one in each.get("warnings", ()) if "OUT145" in one]
            assert len(warnings) == warned, each
            assert all("the authority of mesh default ends at 2026-11-22 12:01 UTC" in one for one in warnings)


async def test_a_damaged_authority_hides_no_overview(api: Kuma) -> None:
    await several(api, "kv-1")
    api.kept.keep = Meshes(CaSettings(), clock=lambda: NOW)
    await api.written("/meshes/default", mesh("default", mtls=MTLS), 200)
    async with api.store.transaction() as tx:
        kept = await tx.get(authority_key("default"))
        assert kept is not None
        await tx.update(replace(kept, body={**kept.body, "key": "x"}))
    assert (await api.read(f"{PLANES}/kv-1/_overview"))["dataplane"]


async def test_an_overview_and_the_rules_tell_what_stands_against_the_configuration(api: Kuma) -> None:
    await several(api, "kv-1")
    await api.written("/meshes/default", mesh("default", mtls=MTLS), 200)
    await api.written(f"{PERMISSIONS}/all", permission("all", targetRef={"kind": "Mesh"}, **EVERYBODY))
    assert "warnings" not in await api.read(f"{PLANES}/kv-1/_overview")
    absent = "OUT601 Dataplane default/kv-1 networking.outbound[0]: there is no service 'b'; or is there?"
    elsewhere = "OUT613 MeshTrafficPermission default/kv is for inbound '1', which this workload does not have"
    doubts = Condition(PARTIALLY_INVALID, True, "ConfigIncomplete", f"{absent}; {elsewhere}")
    rejects = Condition(PROGRAMMED, False, "ConfigRejected", "Listener 10.0.0.1_80: cannot bind")

    def judged(it: Resource) -> Resource:
        status = with_condition(with_condition(it.status, doubts, now=NOW), rejects, now=NOW)
        return Resource(**{**_fields(it), "status": status})

    await noted(api, KV_1, judged)
    told = (await api.read(f"{PLANES}/kv-1/_overview"))["warnings"]
    assert told == [absent, elsewhere, "its proxy refuses Listener 10.0.0.1_80: cannot bind"]
    assert (await api.read(f"{PLANES}/kv-1/_rules"))["rules"][0]["warnings"] == [elsewhere]
    better = Condition(PARTIALLY_INVALID, False, "ConfigComplete")

    def mended(it: Resource) -> Resource:
        return Resource(**{**_fields(it), "status": with_condition(it.status, better, now=NOW)})

    await noted(api, KV_1, mended)
    assert len((await api.read(f"{PLANES}/kv-1/_overview"))["warnings"]) == 1


async def test_an_overview_shows_which_inbounds_are_not_ready(api: Kuma) -> None:
    await several(api, "kv-1")
    starting = Condition(READY, False, "Starting")

    def unready(it: Resource) -> Resource:
        return Resource(**{**_fields(it), "status": with_condition(it.status, starting, now=NOW)})

    await noted(api, KV_1, unready)
    inbound = (await api.read(f"{PLANES}/kv-1/_overview"))["dataplane"]["networking"]["inbound"][0]
    assert (inbound["state"], inbound["health"]) == ("NotReady", {"ready": False})
    assert "state" not in (await api.read(f"{PLANES}/kv-1"))["networking"]["inbound"][0], "what was written stays"


PROBED = [
    {"port": 5050, "serviceProbe": {"tcp": {}}, "tags": {"kuma.io/service": "kv"}},
    {"port": 5051, "tags": {"kuma.io/service": "kv"}},
]
NOT_READY = {"state": "NotReady", "health": {"ready": False}}


async def probes_told(api: Kuma, *failing: int) -> None:
    """What an agent reports of the inbounds."""
    await noted(
        api, KV_1, lambda it: Resource(**{**_fields(it), "status": {**it.status, "unreadyPorts": list(failing)}})
    )


async def test_a_dataplane_shows_the_inbounds_whose_probe_fails_and_keeps_what_was_written(api: Kuma) -> None:
    await api.written(f"{PLANES}/kv-1", dataplane(inbound=PROBED))
    probing = await api.read(f"{PLANES}/kv-1")
    assert probing["networking"]["inbound"] == [{**PROBED[0], **NOT_READY}, PROBED[1]], "nobody has probed it yet"
    await probes_told(api)
    assert (await api.read(f"{PLANES}/kv-1"))["networking"]["inbound"] == PROBED
    await probes_told(api, 5050)
    assert (await api.read(PLANES))["items"] == [await api.read(f"{PLANES}/kv-1")] == [probing]
    stored = await api.store.get(KV_1)
    assert stored
    assert stored.body["networking"]["inbound"] == PROBED


async def test_what_was_shown_of_a_probe_can_be_written_back_whatever_it_says_by_then(api: Kuma) -> None:
    await api.written(f"{PLANES}/kv-1", dataplane(inbound=PROBED))
    await probes_told(api, 5050)
    shown, revision = await api.read(f"{PLANES}/kv-1"), await api.store.revision()
    assert await api.written(f"{PLANES}/kv-1", shown, 200) == {}
    assert await api.store.revision() == revision
    await probes_told(api)
    revision = await api.store.revision()
    answer = await api.written(f"{PLANES}/kv-1", shown, 200)
    (warning,) = answer["warnings"]
    assert warning.startswith("networking.inbound[0].state: is not what its serviceProbe says, and has no effect")
    assert await api.store.revision() == revision
    assert (await api.read(f"{PLANES}/kv-1"))["networking"]["inbound"] == PROBED


@pytest.mark.parametrize("state", [{"state": "NotReady"}, {"health": {"ready": False}}])
async def test_an_inbound_without_a_probe_is_as_its_author_says(api: Kuma, state: dict[str, Any]) -> None:
    inbound = [PROBED[0], {**PROBED[1], **state}]
    await api.written(f"{PLANES}/kv-1", dataplane(inbound=inbound))
    await probes_told(api)
    assert (await api.read(f"{PLANES}/kv-1"))["networking"]["inbound"] == inbound


def _fields(resource: Resource) -> dict[str, Any]:
    return {name: getattr(resource, name) for name in resource.__slots__}


async def test_counts_tell_how_dataplanes_stand(api: Kuma) -> None:
    await several(api, "kv-1", "kv-2", "kv-3")
    await noted(api, KV_1, lambda it: with_subscription(it, control_plane="cp-1", now=NOW))
    gone = (
        lambda it: with_subscription(it, control_plane="cp-1", now=NOW),
        lambda it: without_subscription(it, now=NOW),
    )
    await noted(api, Key("kuma.io", "Dataplane", "default", "", "kv-2"), *gone)
    await api.written(f"{PERMISSIONS}/p", permission("p", **EVERYBODY))
    found = await api.read("/mesh-insights/default")
    assert found["dataplanes"] == {"total": 3, "online": 1, "offline": 2}
    assert found["services"]["total"] == 1
    assert found["policies"] == {"MeshTrafficPermission": {"total": 1}}
    assert (await api.read("/mesh-insights"))["items"] == [found]
    overview = await api.read("/meshes/default/_overview")
    assert overview["meshInsight"]["dataplanes"] == found["dataplanes"]
    assert (await api.read("/meshes/_overview"))["items"] == [overview]
    everywhere = await api.read("/global-insight")
    assert everywhere["resources"]["Dataplane"] == {"total": 3}
    assert everywhere["dataplanes"]["standard"]["online"] == 1


@pytest.mark.parametrize("path", ["/mesh-insights", "/meshes/_overview"])
async def test_only_meshes_that_are_shown_are_counted(api: Kuma, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    for name in ("a", "b", "c"):
        await api.written(f"/meshes/{name}", mesh(name))
    counted: set[str] = set()
    really = api.store.list

    async def list_(query: Query) -> Listing:
        counted.add(query.mesh or "")
        return await really(query)

    monkeypatch.setattr(api.store, "list", list_)
    page = await api.read(path, size=1)
    assert ([one["name"] for one in page["items"]], page["total"], counted - {""}) == (["a"], 4, {"a"})
    counted.clear()
    page = await api.read(page["next"])
    assert ([one["name"] for one in page["items"]], counted - {""}) == (["b"], {"b"})


async def test_zones_have_overviews(api: Kuma) -> None:
    await api.written("/zones/east", {"type": "Zone", "name": "east"})
    found = await api.read("/zones/east/_overview")
    assert (found["type"], found["zone"], found["zoneInsight"]) == ("ZoneOverview", {"enabled": True}, {})
    assert (await api.read("/zones/_overview"))["items"] == [found]
    assert (await api.read("/zone-ingresses/_overview"))["items"] == []


async def test_rules_name_the_permissions_of_each_inbound_in_their_order(api: Kuma) -> None:
    inbound = [
        {"port": 1, "tags": {"kuma.io/service": "kv"}},
        {"port": 2, "name": "adm", "tags": {"kuma.io/service": "kva"}},
    ]
    await api.written(f"{PLANES}/kv-1", dataplane(inbound=inbound))
    everybody = [{"targetRef": {"kind": "Mesh"}, "default": {"action": "Deny"}}]
    front = [{"targetRef": {"kind": "MeshSubset", "tags": {"kuma.io/service": "web"}}, "default": {"action": "Allow"}}]
    allow = [{"default": {"allow": [{"spiffeID": {"type": "Exact", "value": "spiffe://default/web"}}]}}]
    kv = {"kind": "MeshSubset", "tags": {"kuma.io/service": "kv"}}
    section = {"kind": "Dataplane", "name": "kv-1", "sectionName": "adm"}
    other = {"kind": "MeshSubset", "tags": {"kuma.io/service": "other"}}
    await api.written(f"{PERMISSIONS}/a-mesh", permission("a-mesh", targetRef={"kind": "Mesh"}, **{"from": everybody}))
    await api.written(f"{PERMISSIONS}/z-kv", permission("z-kv", targetRef=kv, **{"from": front}))
    await api.written(f"{PERMISSIONS}/adm", permission("adm", targetRef=section, rules=allow))
    await api.written(f"{PERMISSIONS}/other", permission("other", targetRef=other, **{"from": front}))
    found = await api.read(f"{PLANES}/kv-1/_rules")
    assert found["resource"]["name"] == "kv-1"
    (rule,) = found["rules"]
    assert rule["warnings"] == ["they have no effect while mtls of the Mesh is off"]
    shown = {
        one["inbound"]["name"]: [
            (each["origin"][0]["name"], each["conf"]["action"], each["matchers"]) for each in one["rules"]
        ]
        for one in rule["fromRules"]
    }
    web = [{"key": "kuma.io/service", "value": "web", "not": False}]
    assert shown == {"1": [("a-mesh", "Deny", []), ("z-kv", "Allow", web)], "adm": [("a-mesh", "Deny", [])]}
    (strict,) = rule["inboundRules"]
    assert strict["inbound"]["name"] == "adm"
    assert strict["rules"][0]["conf"] == [allow[0]["default"]]
    assert strict["rules"][0]["origin"][0]["resourceMeta"]["name"] == "adm"
    await api.written("/meshes/default", mesh("default", mtls=MTLS), 200)
    assert (await api.read(f"{PLANES}/kv-1/_rules"))["rules"][0]["warnings"] == []
    policies = (await api.read(f"{PLANES}/kv-1/_policies"))["policies"]
    assert [one["origins"][0]["kri"].split("_")[5] for one in policies] == ["a-mesh", "z-kv", "adm"]


async def test_a_policy_names_the_dataplanes_it_is_for(api: Kuma) -> None:
    await several(api, "kv-1")
    web = [{"port": 80, "tags": {"kuma.io/service": "web"}}]
    await api.written(f"{PLANES}/web-1", dataplane("web-1", inbound=web))
    kv = {"kind": "MeshSubset", "tags": {"kuma.io/service": "kv"}}
    await api.written(f"{PERMISSIONS}/kv", permission("kv", targetRef=kv, **EVERYBODY))
    assert await names(api, f"{PERMISSIONS}/kv/_resources/dataplanes") == ["kv-1"]
    assert (await api.get(f"{PERMISSIONS}/none/_resources/dataplanes")).status_code == 404
    assert (await api.get(f"{PLANES}/kv-1/_resources/dataplanes")).status_code == 404


async def test_a_configuration_is_what_the_proxy_is_given(api: Kuma) -> None:
    await several(api, "kv-1")
    await api.refused("GET", f"{PLANES}/kv-1/_config", 404)
    api.live.configs[KV_1] = {"type.googleapis.com/envoy.config.listener.v3.Listener": {"in": {"name": "in"}}}
    assert (await api.read(f"{PLANES}/kv-1/_config"))["xds"] == api.live.configs[KV_1]
    (dumped,) = (await api.read(f"{PLANES}/kv-1/xds"))["configs"]
    assert dumped["dynamic_listeners"][0]["active_state"]["listener"]["name"] == "in"
    for view in ("_layout", "_inbounds/kri_dp/_policies"):
        problem = await api.refused("GET", f"{PLANES}/kv-1/{view}", 404)
        assert f"{view} is not supported yet" in problem["detail"]
    for view in ("stats", "clusters"):
        assert "is not asked for yet" in (await api.refused("GET", f"{PLANES}/kv-1/{view}", 404))["detail"]


async def task(api: Kuma, name: str = "ratings-1", *, registered: bool = True) -> Key:
    """A WorkloadEntry of namespace `default`, as joining leaves it, behind the Service `ratings`."""
    key = Key("networking.istio.io", "WorkloadEntry", "", "default", name)
    registration = Key("runtime.onboarding.tetrate.io", "WorkloadAutoRegistration", "", "default", name)
    owner = Owner(registration, "u-1", "runtime.onboarding.tetrate.io/v1alpha1")
    status = with_condition({}, Condition(READY, True, "Ready"), now=NOW)
    status = with_condition(status, Condition(AGENT_CONNECTED, True, "AgentEstablishedConnection"), now=NOW)
    async with api.store.transaction() as tx:
        spec = {"address": "10.1.0.7", "labels": {"app": "ratings"}, "ports": {"http-web": 9081}}
        owners = (owner,) if registered else ()
        await tx.create(Resource(key, {"spec": spec}, status, {"app": "ratings"}, owners=owners))
    return key


async def service(api: Kuma) -> None:
    ports = [{"name": "http", "port": 9080, "targetPort": "http-web"}, {"name": "tcp-x", "port": 7000}]
    spec = {"ports": ports, "selector": {"app": "ratings"}}
    document = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "ratings"}, "spec": spec}
    answer = await api.post("/api/v1/namespaces/default/services", json=document)
    assert answer.status_code == 201, answer.text


async def test_a_task_of_a_workload_group_is_shown_as_a_dataplane_with_its_services(api: Kuma) -> None:
    entry = await task(api)
    await task(api, "handmade", registered=False)
    await service(api)
    await several(api, "kv-1")
    assert await names(api, PLANES) == ["kv-1", "ratings-1.default"]
    found = await api.read(f"{PLANES}/ratings-1.default")
    inbound = found["networking"]["inbound"]
    assert found["networking"]["address"] == "10.1.0.7"
    assert [(one["port"], one["tags"]["kuma.io/service"], one["tags"]["kuma.io/protocol"]) for one in inbound] == [
        (9081, "ratings_default_svc_9080", "http"),
        (7000, "ratings_default_svc_7000", "tcp"),
    ]
    assert inbound[0]["tags"]["app"] == "ratings"
    assert (found["labels"]["outrig.dev/source"], found["labels"]["k8s.kuma.io/namespace"]) == (
        "WorkloadEntry",
        "default",
    )
    assert found["kri"] == "kri_dp_default_default_default_ratings-1_"
    assert await names(api, f"{PLANES}?tag=kuma.io/service:ratings_default_svc_9080") == ["ratings-1.default"]
    overview = await api.read(f"{PLANES}/ratings-1.default/_overview")
    (subscription,) = overview["dataplaneInsight"]["subscriptions"]
    assert "disconnectTime" not in subscription
    assert "state" not in overview["dataplane"]["networking"]["inbound"][0]
    await api.written(f"{PERMISSIONS}/all", permission("all", **EVERYBODY))
    assert (await api.read(f"{PLANES}/ratings-1.default/_rules"))["rules"] == [], "they are for Dataplanes alone"
    assert len((await api.read(f"{PLANES}/kv-1/_rules"))["rules"]) == 1
    api.live.configs[entry] = {"listeners": {}}
    assert (await api.read(f"{PLANES}/ratings-1.default/_config"))["xds"] == {"listeners": {}}


async def test_a_task_cannot_be_written_as_a_dataplane(api: Kuma) -> None:
    await task(api)
    path = f"{PLANES}/ratings-1.default"
    problem = await api.refused("PUT", path, 405, json=dataplane("ratings-1.default"))
    assert "kubectl" in problem["detail"]
    await api.refused("DELETE", path, 405)


async def test_a_task_is_in_the_mesh_of_its_namespace_alone(api: Kuma) -> None:
    await task(api)
    await api.written("/meshes/bank", mesh("bank"))
    assert await names(api, "/meshes/bank/dataplanes") == []
    assert await names(api, "/dataplanes") == ["ratings-1.default"]


async def test_labels_of_a_dataplane_do_not_make_it_somebody_else(api: Kuma) -> None:
    labels = {"outrig.dev/source": "WorkloadEntry", "k8s.kuma.io/namespace": "default", "kuma.io/display-name": "r"}
    await api.written(f"{PLANES}/kv-1", {**dataplane(), "labels": labels})
    await api.read(f"{PLANES}/kv-1/_overview")
    api.live.configs[KV_1] = {"mine": {}}
    assert (await api.read(f"{PLANES}/kv-1/_config"))["xds"] == {"mine": {}}
