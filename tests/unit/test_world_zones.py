"""What it costs that callers in different zones see different endpoints first: counted, and only where asked for."""

import gc
from dataclasses import replace
from itertools import product

from outrig.control.world import World
from outrig.dialects.readiness import ReadyReason
from outrig.envoy import api
from outrig.resources import Resource
from outrig.snapshot import CLUSTER, ENDPOINTS, ROUTES, ProxyId
from tests.mesh_making import added, deleted, group, make, service, sidecar, task, world_of
from tests.unit.test_world_costs import NOTHING, OUT, cost

NAME = "outbound|9080||api.shop.svc.cluster.local"
ZONES = {"a": "r1/z1", "b": "r1/z2", "c": "r2/z1"}
ELSEWHERE = "z"


def api_task(zone: str, reason: ReadyReason = ReadyReason.READY) -> Resource:
    return task(f"api-{zone}", "api", f"10.0.0.{ord(zone)}", locality=ZONES[zone], reason=reason)


def web(zone: str, number: int) -> Resource:
    place = ZONES.get(zone, "r9/z9")
    return task(f"web-{zone}{number}", "web", f"10.1.{ord(zone)}.{number}", locality=f"{place}/rack")


def shop(near: str, *more: Resource) -> World:
    """`web` has ten tasks in each of three zones and calls `api`, which has one."""
    return world_of(
        *(group(name) for name in ("web", "api")),
        service("api", near=near),
        sidecar("web", app="web", ingress=[], egress=[{**OUT, "hosts": ["./*"]}]),
        sidecar("api", app="api", egress=[]),
        *map(api_task, ZONES),
        *(web(zone, number) for zone, number in product(ZONES, range(10))),
        *more,
    )


def endpoints(world: World, proxy: str, name: str = NAME) -> list[tuple[int, list[str]]]:
    """The addresses that a proxy is told of, by priority."""
    snapshot = world.snapshot(ProxyId(f"shop/{proxy}"))
    assert snapshot is not None
    body = api.Resource.FromString(snapshot[ENDPOINTS][name].body).resource.value
    return [
        (place.priority, [one.endpoint.address.socket_address.address for one in place.lb_endpoints])
        for place in api.ClusterLoadAssignment.FromString(body).endpoints
    ]


A, B, C = (f"10.0.0.{ord(zone)}" for zone in ZONES)


def test_near_endpoints_come_first_for_callers_of_each_zone() -> None:
    world = shop("PreferClose")
    assert endpoints(world, "web-a0") == [(0, [A]), (1, [B]), (2, [C])]
    assert endpoints(world, "web-b0") == [(0, [B]), (1, [A]), (2, [C])]
    assert endpoints(world, "web-c0") == [(0, [C]), (1, [A]), (1, [B])]
    assert endpoints(shop(""), "web-b0") == [(0, [A]), (0, [B]), (0, [C])]


def test_callers_of_one_zone_share_one_object_and_without_the_wish_all_do() -> None:
    for near, expected in (("PreferClose", 3), ("", 1)):
        world = shop(near)
        callers = [world.snapshot(proxy) for proxy in world.proxies() if "web" in proxy]
        assert len({id(snapshot[ENDPOINTS][NAME]) for snapshot in callers if snapshot}) == expected


def test_an_endpoint_that_drains_costs_a_load_assignment_for_each_zone_that_calls_and_one_without_the_wish() -> None:
    for near, expected in (("PreferClose", 3), ("", 1)):
        world = shop(near)
        before = world.work
        dirty = world.apply(added(api_task("a", ReadyReason.DRAINING)))
        assert len(dirty) == 30
        assert cost(world, before) == replace(NOTHING, encodings=expected, assignments=expected)


def test_zones_that_all_see_the_same_share_one_object() -> None:
    world = shop("PreferClose")
    world.apply(deleted(api_task("b"), api_task("c")))
    callers = [world.snapshot(proxy) for proxy in world.proxies() if "web" in proxy]
    assert len({id(snapshot[ENDPOINTS][NAME]) for snapshot in callers if snapshot}) == 1


def test_a_caller_in_a_zone_that_calls_already_costs_no_load_assignment() -> None:
    world = shop("PreferClose")
    before = world.work
    world.apply(added(web("a", 99)))
    assert cost(world, before).assignments == 0


def test_the_last_caller_of_a_zone_takes_its_load_assignment_along() -> None:
    world = shop("PreferClose")
    gc.collect()
    there = world._encodings.held
    before = world.work
    world.apply(added(web(ELSEWHERE, 1)))
    assert cost(world, before).assignments == 1
    assert endpoints(world, "web-z1") == [(0, [A]), (0, [B]), (0, [C])]
    world.apply(deleted(web(ELSEWHERE, 1)))
    gc.collect()
    assert world._encodings.held == there


def test_a_caller_that_moves_to_another_zone_gets_the_endpoints_there_and_nobody_else_anything() -> None:
    world = shop("PreferClose")
    before = world.work
    moved = task("web-a0", "web", f"10.1.{ord('a')}.0", locality="r1/z2")
    assert world.apply(added(moved)) == {ProxyId("shop/web-a0"): {ENDPOINTS: {NAME}}}
    assert endpoints(world, "web-a0") == endpoints(world, "web-b0")
    assert cost(world, before).assignments == 0


def test_a_service_that_begins_or_ceases_to_prefer_near_endpoints_changes_no_cluster_and_no_listener() -> None:
    world = shop("")
    for near, priorities in (("PreferSameZone", [0, 1, 2]), ("", [0, 0, 0])):
        dirty = world.apply(added(service("api", near=near)))
        assert len(dirty) == 30
        assert {frozenset(names) for names in dirty.values()} == {frozenset({ENDPOINTS, ROUTES})}
        assert [priority for priority, _ in endpoints(world, "web-a0")] == priorities


def test_names_that_callers_look_up_have_no_load_assignment_and_change_one_cluster_for_all() -> None:
    spec = {
        "hosts": ["ext.example.com"],
        "ports": [{"number": 9080, "name": "http", "protocol": "HTTP"}],
        "resolution": "DNS",
        "workloadSelector": {"labels": {"app": "ext"}},
    }
    world = shop("", make("ServiceEntry", "ext", "shop", spec))
    before = world.work
    dirty = world.apply(added(make("WorkloadEntry", "ext-1", "shop", {"address": "a.example.net"}, app="ext")))
    assert {frozenset(names) for names in dirty.values()} == {frozenset({CLUSTER})}
    assert len(dirty) == 30
    assert cost(world, before) == replace(NOTHING, outlooks=1, renders=1, encodings=1)
    snapshot = world.snapshot(ProxyId("shop/web-a0"))
    assert snapshot is not None
    assert snapshot[ENDPOINTS].keys() == {NAME}
    assert b"a.example.net" in snapshot[CLUSTER]["outbound|9080||ext.example.com"].body
