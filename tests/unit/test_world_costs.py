"""What a change costs, counted: the affected are worked on, and nobody else."""

import gc
from dataclasses import fields, replace

import pytest

from outrig.control.world import Work, World
from outrig.dialects.readiness import ReadyReason
from outrig.resources import Resource
from outrig.snapshot import CLUSTER, ENDPOINTS, EXTENSION, LISTENER, ROUTES, SECRET, ProxyId
from tests.mesh_making import (
    added,
    all_snapshots,
    deleted,
    demand,
    group,
    make,
    namespace,
    service,
    sidecar,
    task,
    trust,
    world_of,
)

WEB, API = ProxyId("shop/web-1"), ProxyId("shop/api-1")
OUT = {"bind": "127.0.0.2", "port": {"number": 9080}}


def shop(*more: Resource) -> World:
    """`web` calls `api`, which calls nobody."""
    return world_of(
        *(group(name) for name in ("web", "api")),
        service("api"),
        sidecar("web", app="web", ingress=[], egress=[{**OUT, "hosts": ["./*"]}]),
        sidecar("api", app="api", egress=[]),
        task("web-1", "web", "10.0.0.1"),
        task("api-1", "api", "10.0.0.2"),
        *more,
    )


NOTHING = Work(views=0, outlooks=0, renders=0, encodings=0, assignments=0)


def cost(world: World, before: Work) -> Work:
    now = world.work
    return Work(**{field.name: getattr(now, field.name) - getattr(before, field.name) for field in fields(Work)})


def test_an_endpoint_that_is_no_longer_ready_costs_one_load_assignment_and_no_view() -> None:
    world = shop()
    before = world.work
    dirty = world.apply(added(task("api-1", "api", "10.0.0.2", reason=ReadyReason.UNHEALTHY)))
    assert dirty == {WEB: {ENDPOINTS: {"outbound|9080||api.shop.svc.cluster.local"}}}
    assert cost(world, before) == replace(NOTHING, encodings=1, assignments=1)


def test_an_endpoint_that_nobody_calls_costs_nothing_at_all() -> None:
    world = shop(service("lonely", "bank"), task("lonely-1", "lonely", "10.0.0.9", space="bank"))
    before = world.work
    assert world.apply(added(task("lonely-1", "lonely", "10.0.0.9", space="bank", reason=ReadyReason.UNHEALTHY))) == {}
    assert cost(world, before) == NOTHING


def test_a_task_that_joins_renders_itself_and_shows_in_one_load_assignment() -> None:
    world = shop()
    before = world.work
    new = ProxyId("shop/api-2")
    dirty = world.apply(added(task("api-2", "api", "10.0.0.3")))
    assert dirty[WEB] == {ENDPOINTS: {"outbound|9080||api.shop.svc.cluster.local"}}
    assert dirty.keys() == {WEB, new}
    assert cost(world, before) == replace(NOTHING, views=1, renders=1, encodings=2, assignments=1)


def test_a_task_that_leaves_touches_no_view_of_others() -> None:
    world = shop()
    before = world.work
    dirty = world.apply(deleted(task("api-1", "api", "10.0.0.2")))
    assert dirty[WEB] == {ENDPOINTS: {"outbound|9080||api.shop.svc.cluster.local"}}
    assert dirty[API].keys() == {CLUSTER, EXTENSION, LISTENER, ROUTES, SECRET}
    assert cost(world, before) == replace(NOTHING, encodings=1, assignments=1)
    assert world.snapshot(API) is None


def test_writing_the_same_again_costs_nothing() -> None:
    world = shop()
    before = world.work
    assert (
        world.apply(added(task("api-1", "api", "10.0.0.2"), service("api"), sidecar("api", app="api", egress=[]))) == {}
    )
    assert cost(world, before) == NOTHING


def test_a_change_without_effect_on_bytes_dirties_nobody() -> None:
    world = shop()
    before = world.work
    assert world.apply(added(demand("same", "STRICT"))) == {}
    assert cost(world, before).renders == 0
    assert cost(world, before).encodings == 0


def test_a_task_whose_group_is_unknown_shows_in_the_clusters_of_its_callers_once() -> None:
    """Callers accept declared identities; one that nobody declared has to be told to them."""
    world = shop()
    for name, address in (("api-2", "10.0.0.3"), ("api-3", "10.0.0.4")):
        dirty = world.apply(added(task(name, "api", address, account="other")))
        assert (CLUSTER in dirty[WEB]) == (name == "api-2")


def test_a_policy_for_one_workload_leaves_the_others_alone() -> None:
    world = shop()
    before = world.work
    dirty = world.apply(added(demand("relaxed", "PERMISSIVE", app="api")))
    assert dirty == {API: {LISTENER: {"10.0.0.2_9080"}}}
    assert cost(world, before).views == 1


def test_a_service_in_a_namespace_that_nobody_imports_reaches_nobody() -> None:
    world = shop()
    before = world.work
    assert world.apply(added(service("far", "bank"))) == {}
    assert cost(world, before).views == 0


def test_a_service_without_the_ports_of_its_importers_changes_nothing_for_them() -> None:
    world = shop()
    assert world.apply(added(service("db", port=5432, port_name="tcp"))) == {}


def test_new_authorities_are_one_secret_for_all_and_touch_no_view() -> None:
    world = shop()
    before = world.work
    assert world.apply(added(trust("default", "cluster.local", 0, 1))) == {
        proxy: {SECRET: {"trust/default"}} for proxy in (WEB, API)
    }
    assert cost(world, before) == replace(NOTHING, encodings=1)


def test_a_namespace_that_moves_takes_its_proxies_along_and_leaves_no_trace() -> None:
    world = shop(service("api", "bank"), group("api", "bank"))
    world.apply(added(trust("other", "other.org", 1)))
    dirty = world.apply(added(namespace("shop", "other")))
    snapshot = world.snapshot(WEB)
    assert snapshot is not None
    assert snapshot[SECRET].keys() == {"trust/other"}
    assert dirty[WEB][SECRET] == {"trust/default", "trust/other"}
    assert dirty[API].keys() == {LISTENER, SECRET}  # its application is called and routed to as before
    cluster = snapshot[CLUSTER]["outbound|9080||api.shop.svc.cluster.local"].body
    assert b"spiffe://other.org/ns/shop/sa/api" in cluster


def test_proxies_of_different_meshes_do_not_see_each_other() -> None:
    world = shop(
        namespace("bank", "other"),
        service("vault", "bank"),
        sidecar("all", "shop", app="web", egress=[{**OUT, "hosts": ["*/*"]}]),
    )
    snapshot = world.snapshot(WEB)
    assert snapshot is not None
    assert not any("vault" in name for name in snapshot[CLUSTER])


@pytest.mark.parametrize("size", [10, pytest.param(1000, marks=pytest.mark.slow)])
def test_the_cost_of_a_change_does_not_grow_with_the_mesh(size: int) -> None:
    others = [
        resource
        for number in range(size)
        for resource in (
            service(f"s{number}", "bank"),
            task(f"t{number}", f"s{number}", f"10.1.{number // 250}.{number % 250}", space="bank"),
        )
    ]
    world = shop(*others, sidecar("all", "bank", egress=[{**OUT, "hosts": ["./*"]}]))
    changes = (
        (task("api-1", "api", "10.0.0.2", reason=ReadyReason.UNHEALTHY), replace(NOTHING, encodings=1, assignments=1)),
        (task("api-2", "api", "10.0.0.3"), replace(NOTHING, views=1, renders=1, encodings=2, assignments=1)),
        (service("more"), replace(NOTHING, outlooks=1, renders=1, encodings=3, assignments=1)),
        (demand("d", "PERMISSIVE", app="api"), replace(NOTHING, views=2, renders=2, encodings=2, assignments=1)),
    )
    for change, expected in changes:
        before = world.work
        world.apply(added(change))
        assert cost(world, before) == expected


def test_a_new_service_is_worked_out_once_for_all_proxies_that_import_alike() -> None:
    world = shop(*(task(f"web-{number}", "web", f"10.0.1.{number}") for number in range(2, 50)))
    before = world.work
    dirty = world.apply(added(service("more")))
    assert len(dirty) == 49
    assert cost(world, before) == replace(NOTHING, outlooks=1, renders=1, encodings=3, assignments=1)


def test_equal_proxies_share_every_object_but_their_own_listener() -> None:
    world = shop(*(task(f"web-{number}", "web", f"10.0.1.{number}") for number in range(2, 20)))
    first, *others = (world.snapshot(proxy) for proxy in world.proxies() if proxy.startswith("shop/web"))
    assert first is not None
    for other in others:
        assert other is not None
        for url, resources in first.items():
            assert all(other[url][name] is encoded for name, encoded in resources.items())
    before = world.work
    world.apply(added(task("web-99", "web", "10.0.1.99")))
    assert cost(world, before).encodings == 0


def test_equal_receivers_differ_only_in_the_address_they_listen_on() -> None:
    world = shop(task("api-2", "api", "10.0.0.3"))
    first, second = world.snapshot(API), world.snapshot(ProxyId("shop/api-2"))
    assert first is not None
    assert second is not None
    for url in (CLUSTER, ROUTES, SECRET):
        assert first[url].keys() == second[url].keys()
        assert all(first[url][name] is second[url][name] for name in first[url])
    assert first[LISTENER].keys() == {"10.0.0.2_9080"}


def test_what_no_proxy_uses_any_longer_is_forgotten() -> None:
    world = shop()
    encodings = world._encodings
    gc.collect()
    there = encodings.held
    world.apply(added(task("web-2", "web", "10.0.1.2"), service("more"), task("api-2", "api", "10.0.0.3")))
    world.apply(deleted(task("web-2", "web", "10.0.1.2"), service("more"), task("api-2", "api", "10.0.0.3")))
    gc.collect()
    assert encodings.held == there
    world.apply(deleted(*(task(name, name[:3], "10.0.0.1") for name in ("web-1", "api-1"))))
    gc.collect()
    assert encodings.held == 1  # the trust bundle


def test_a_proxy_gets_its_configuration_whatever_its_health() -> None:
    world = shop(task("api-2", "api", "10.0.0.3", reason=ReadyReason.STARTING))
    snapshot = world.snapshot(ProxyId("shop/api-2"))
    assert snapshot is not None
    assert snapshot[LISTENER].keys() == {"10.0.0.3_9080"}


def test_without_an_authority_a_proxy_listens_on_nothing_and_is_told_why() -> None:
    world = world_of(sidecar("all"), task("api-1", "api", "10.0.0.2"), trusts=())
    assert all(not some for url, some in all_snapshots(world)[API].items())
    assert [finding.code for finding in world.findings(API)] == ["OUT609"]


def test_a_machine_without_a_sidecar_of_ours_is_no_proxy() -> None:
    world = shop(make("WorkloadEntry", "machine", "shop", {"address": "10.0.0.7"}, app="api"))
    assert ProxyId("shop/machine") not in world.proxies()
    assert world.snapshot(ProxyId("shop/machine")) is None
    assert world.findings(ProxyId("shop/machine")) == ()


def test_of_two_changes_of_one_resource_the_later_counts() -> None:
    world = shop()
    ill = task("api-1", "api", "10.0.0.2", reason=ReadyReason.UNHEALTHY)
    assert world.apply([*added(ill), *added(task("api-1", "api", "10.0.0.2"))]) == {}


def test_a_task_that_is_relabelled_gets_the_sidecar_of_its_new_labels() -> None:
    world = shop(sidecar("other", app="other", egress=[{**OUT, "bind": "127.0.0.9", "hosts": ["./*"]}]))
    dirty = world.apply(added(task("web-1", "other", "10.0.0.1")))
    assert dirty[WEB][LISTENER] == {"127.0.0.2_9080", "10.0.0.1_9080", "127.0.0.9_9080"}


def test_what_a_proxy_left_in_the_same_step_is_not_marked_for_it() -> None:
    """It gets another Sidecar while a service comes that only its old one imports."""
    world = shop(service("far", "bank"))
    moved = sidecar("web", app="web", ingress=[], egress=[{**OUT, "hosts": ["bank/*"]}])
    dirty = world.apply(added(moved, service("more")))
    clusters = {"outbound|9080||api.shop.svc.cluster.local", "outbound|9080||far.bank.svc.cluster.local"}
    assert dirty[WEB][CLUSTER] == clusters


def test_ports_of_one_number_and_different_protocols_have_different_routes() -> None:
    ingress = {"defaultEndpoint": "127.0.0.1:9080", "port": {"number": 9080, "name": "main", "protocol": "GRPC"}}
    world = shop(sidecar("grpc", app="grpc", ingress=[ingress], egress=[]), task("grpc-1", "grpc", "10.0.0.5"))
    one, other = world.snapshot(API), world.snapshot(ProxyId("shop/grpc-1"))
    assert one is not None
    assert other is not None
    assert one[ROUTES]["inbound|9080||"] != other[ROUTES]["inbound|9080||"]
