"""What a change of a Dataplane costs, counted: as little as one of the other dialect's workloads does."""

from dataclasses import fields, replace

import pytest

from outrig.control.world import Work, World
from outrig.resources import Resource
from outrig.snapshot import CLUSTER, ENDPOINTS, EXTENSION, LISTENER, ROUTES, SECRET, ProxyId
from outrig.view import NOWHERE
from tests.mesh_making import added, dataplane, deleted, mesh, offer, service, tagged, task, trust, world_of

APP, KV = ProxyId("dataplane/default/app-1"), ProxyId("dataplane/default/kv-1")
CALLED = "outbound|6379||kv.mesh"
NOTHING = Work(views=0, outlooks=0, renders=0, encodings=0, assignments=0)


def counter(*more: Resource) -> World:
    """`app` calls `kv`, which calls nobody."""
    return world_of(
        mesh(),
        dataplane("kv-1", "10.0.0.1", inbound={"kv": 6379}),
        dataplane("app-1", "10.0.0.2", inbound={"app": 8080}, outbound={"kv": 16379}),
        *more,
    )


def cost(world: World, before: Work) -> Work:
    now = world.work
    return Work(**{field.name: getattr(now, field.name) - getattr(before, field.name) for field in fields(Work)})


def test_a_dataplane_that_joins_a_known_service_is_one_load_assignment_to_others() -> None:
    world = counter()
    before = world.work
    dirty = world.apply(added(dataplane("kv-2", "10.0.0.3", inbound={"kv": 6379})))
    assert dirty.keys() == {APP, ProxyId("dataplane/default/kv-2")}
    assert dirty[APP] == {ENDPOINTS: {CALLED}}
    # The view and the listener are the newcomer's own; all else it shares with its like.
    assert cost(world, before) == replace(NOTHING, views=1, renders=1, encodings=2, assignments=1)


def test_one_that_leaves_others_behind_is_one_load_assignment_and_no_view() -> None:
    world = counter(dataplane("kv-2", "10.0.0.3", inbound={"kv": 6379}))
    before = world.work
    dirty = world.apply(deleted(dataplane("kv-2", "10.0.0.3", inbound={"kv": 6379})))
    assert dirty[APP] == {ENDPOINTS: {CALLED}}
    assert cost(world, before) == replace(NOTHING, encodings=1, assignments=1)


def test_an_inbound_that_is_not_ready_any_longer_is_one_load_assignment_and_no_view() -> None:
    world = counter()
    before = world.work
    ill = dataplane("kv-1", "10.0.0.1", inbound={"kv": 6379}, status={"unreadyPorts": [6379]})
    assert world.apply(added(ill)) == {APP: {ENDPOINTS: {CALLED}}}
    assert cost(world, before) == replace(NOTHING, encodings=1, assignments=1)


def test_status_that_says_nothing_about_calls_costs_nothing() -> None:
    world = counter()
    before = world.work
    told = dataplane("kv-1", "10.0.0.1", inbound={"kv": 6379}, status={"insight": {"subscriptions": []}})
    assert world.apply(added(told)) == {}
    assert cost(world, before) == NOTHING


def test_the_last_of_a_service_leaves_one_load_assignment_empty_and_every_listener_as_it_is() -> None:
    world = counter(offer("kv", (6379, "http")))
    last = dataplane("kv-1", "10.0.0.1", inbound={"kv": 6379})
    before, snapshot = world.work, world.snapshot(APP)
    assert snapshot is not None
    had = {url: dict(snapshot[url]) for url in (CLUSTER, LISTENER, ROUTES)}
    assert world.apply(deleted(last))[APP] == {ENDPOINTS: {CALLED}}
    assert cost(world, before) == replace(NOTHING, encodings=1, assignments=1)
    assert world.findings(APP) == ()
    before = world.work
    assert world.apply(added(last))[APP] == {ENDPOINTS: {CALLED}}
    assert cost(world, before).outlooks == 1  # its own
    now = world.snapshot(APP)
    assert now is not None
    assert had == {url: dict(now[url]) for url in had}


def test_what_is_kept_counts_only_as_long_as_nobody_offers_the_service() -> None:
    world = counter(offer("kv", (6379, "tcp"), (6380, "http")))
    before = world.work
    assert world.apply(added(offer("kv", (9999, "grpc")))) == {}
    assert cost(world, before) == NOTHING
    dirty = world.apply(deleted(dataplane("kv-1", "10.0.0.1", inbound={"kv": 6379})))
    assert "outbound|9999||kv.mesh" in dirty[APP][CLUSTER]
    assert world.apply(added(offer("kv", (9999, "grpc"), unofferedSince="2026-11-22T10:00:00+00:00"))) == {}
    dirty = world.apply(deleted(offer("kv")))
    assert dirty[APP][LISTENER] == {"127.0.0.1_16379"}
    assert [finding.code for finding in world.findings(APP)] == ["OUT601"]


def test_without_an_offer_that_is_kept_a_service_comes_and_goes_for_those_who_call_it_and_nobody_else() -> None:
    world = counter(dataplane("other-1", "10.0.0.9", inbound={"other": 8080}, outbound={"elsewhere": 16379}))
    last = dataplane("kv-1", "10.0.0.1", inbound={"kv": 6379})
    before = world.work
    dirty = world.apply(deleted(last))
    assert dirty.keys() == {APP, KV}
    assert dirty[APP] == {
        CLUSTER: {CALLED, NOWHERE},
        ENDPOINTS: {CALLED},
        LISTENER: {"127.0.0.1_16379"},
        ROUTES: {"16379"},
    }
    assert [finding.code for finding in world.findings(APP)] == ["OUT601"]
    assert cost(world, before).outlooks == 1
    assert world.apply(added(last)).keys() == {APP, KV}
    assert world.findings(APP) == ()


def test_a_service_that_one_leaves_while_another_takes_it_over_was_never_gone() -> None:
    world = counter()
    dirty = world.apply(
        [
            *deleted(dataplane("kv-1", "10.0.0.1", inbound={"kv": 6379})),
            *added(dataplane("kv-2", "10.0.0.3", inbound={"kv": 6379})),
        ]
    )
    assert dirty[APP] == {ENDPOINTS: {CALLED}}


def test_a_new_service_is_worked_out_once_for_all_dataplanes_that_call_alike() -> None:
    callers = (
        dataplane(f"app-{n}", f"10.1.0.{n}", inbound={"app": 8080}, outbound={"kv": 16379}) for n in range(2, 50)
    )
    world = counter(*callers)
    last = dataplane("kv-1", "10.0.0.1", inbound={"kv": 6379})
    world.apply(deleted(last))
    before = world.work
    dirty = world.apply(added(last))
    assert len(dirty) == 50
    assert cost(world, before).outlooks == 2  # what the 49 call, and what the new one does: nothing
    assert {str(f.origin) for f in world.findings(ProxyId("dataplane/default/app-7"))} == set()
    world.apply(deleted(last))
    told = world.findings(ProxyId("dataplane/default/app-7"))
    assert [str(finding.origin) for finding in told] == ["Dataplane default/app-7"]


def test_a_new_outbound_is_the_callers_own() -> None:
    world = counter()
    before = world.work
    calls = {"kv": 16379, "app": 18080}
    dirty = world.apply(added(dataplane("app-1", "10.0.0.2", inbound={"app": 8080}, outbound=calls)))
    assert dirty.keys() == {APP}
    assert dirty[APP].keys() == {CLUSTER, ENDPOINTS, LISTENER, ROUTES}
    assert cost(world, before) == replace(NOTHING, views=1, outlooks=1, renders=1, encodings=4, assignments=1)


def test_a_subset_is_a_load_assignment_of_its_own() -> None:
    outbound = [{"port": 1, "tags": {"kuma.io/service": "kv", "version": "v2"}}]
    world = counter(dataplane("app-2", "10.0.0.4", inbound={"app": 8080}, outbound=outbound))
    new = dataplane("kv-2", "10.0.0.3", inbound=[tagged("kv", 6379, version="v2")])
    dirty = world.apply(added(new))
    assert dirty[ProxyId("dataplane/default/app-2")] == {ENDPOINTS: {"outbound|6379|version=v2|kv.mesh"}}
    other = dataplane("kv-3", "10.0.0.5", inbound=[tagged("kv", 6379, version="v3")])
    assert world.apply(added(other)).keys() == {APP, ProxyId("dataplane/default/kv-3")}


def test_mutual_tls_that_is_turned_on_changes_listeners_and_endpoints_and_no_cluster() -> None:
    world = counter()
    dirty = world.apply(added(mesh(mode="PERMISSIVE")))
    assert dirty[KV] == {LISTENER: {"10.0.0.1_6379"}}
    assert ENDPOINTS not in dirty[APP]
    dirty = world.apply(added(mesh(mode="")))
    assert dirty[APP].keys() == {EXTENSION, LISTENER, ENDPOINTS}
    assert dirty[APP][LISTENER] == {"10.0.0.2_8080"}
    assert dirty[APP][ENDPOINTS] == {CALLED}


def test_a_mesh_learns_of_new_authorities_by_one_secret_and_no_view() -> None:
    world = counter()
    before = world.work
    dirty = world.apply(added(trust("default", "cluster.local", 1, 0)))
    assert dirty == {proxy: {SECRET: {"trust/default"}} for proxy in (APP, KV)}
    assert cost(world, before) == replace(NOTHING, encodings=1)


@pytest.mark.parametrize("size", [10, pytest.param(1000, marks=pytest.mark.slow)])
def test_the_cost_of_a_change_does_not_grow_with_the_mesh(size: int) -> None:
    others = [
        dataplane(f"d{number}", f"10.1.{number // 250}.{number % 250}", inbound={f"s{number % 50}": 8080})
        for number in range(size)
    ]
    tasks = (task(f"t{number}", "web", f"10.2.{number // 250}.{number % 250}") for number in range(size))
    world = counter(*others, service("web"), *tasks)
    changes = (
        (
            dataplane("kv-1", "10.0.0.1", inbound={"kv": 6379}, status={"unreadyPorts": [6379]}),
            replace(NOTHING, encodings=1, assignments=1),
        ),
        (
            dataplane("kv-2", "10.0.0.3", inbound={"kv": 6379}),
            replace(NOTHING, views=1, renders=1, encodings=2, assignments=1),
        ),
    )
    for change, expected in changes:
        before = world.work
        world.apply(added(change))
        assert cost(world, before) == expected


def test_a_proxy_that_comes_as_its_authority_goes_is_told_of_neither() -> None:
    world = counter()
    dirty = world.apply([*deleted(trust()), *added(dataplane("kv-2", "10.0.0.3", inbound={"kv": 6379}))])
    assert dirty[KV][SECRET] == {"trust/default"}
    assert ProxyId("dataplane/default/kv-2") not in dirty
