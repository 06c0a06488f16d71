"""An egress that leads to one service, whatever that is called by: which one, where, and what is doubtful."""

import re
from typing import Any

from outrig.control.world import World
from outrig.resources import Resource
from outrig.snapshot import CLUSTER, LISTENER, ROUTES, ProxyId, Snapshot
from outrig.view import NOWHERE
from tests.mesh_making import dataplane, group, make, mesh, service, world_of

APP = ProxyId("dataplane/default/app-1")


def calling(outbound: Any, *more: Resource) -> World:
    """`app` calls these."""
    return world_of(mesh(), dataplane("app-1", "10.0.0.1", inbound={"app": 8080}, outbound=outbound), *more)


def clusters(world: World) -> list[str]:
    snapshot = world.snapshot(APP)
    assert snapshot is not None
    return sorted(name for name in snapshot[CLUSTER] if not name.startswith("inbound"))


def listeners(world: World) -> set[str]:
    snapshot = world.snapshot(APP)
    assert snapshot is not None
    return set(snapshot[LISTENER])


def led_to(world: World, listener: str) -> str:
    """The cluster of all that a listener takes."""
    snapshot = world.snapshot(APP)
    assert snapshot is not None
    return re.findall(rb"(BlackHoleCluster|outbound\|[^\x00-\x20]+)", _all_of(snapshot, listener))[0].decode()


def _all_of(snapshot: Snapshot, listener: str) -> bytes:
    """Its bytes, and those of its routes."""
    port = listener.rpartition("_")[2]
    return b"".join(
        some[name].body for some, name in ((snapshot[ROUTES], port), (snapshot[LISTENER], listener)) if name in some
    )


def said(world: World) -> list[str]:
    return [f"{finding.code} {finding.path}" for finding in world.findings(APP)]


def entry(name: str, host: str, port: int, space: str = "shop") -> Resource:
    ports = [{"number": port, "name": "http", "protocol": "HTTP"}]
    spec = {"hosts": [host], "ports": ports, "resolution": "STATIC", "endpoints": [{"address": "10.9.9.9"}]}
    return make("ServiceEntry", name, space, spec)


def test_a_service_of_dataplanes_comes_before_one_that_its_name_spells() -> None:
    outbound = {"api_shop_svc_9080": 19080}
    world = calling(outbound, service("api"), group("api"))
    assert clusters(world) == ["outbound|9080||api.shop.svc.cluster.local"]
    twin = dataplane("api-1", "10.0.0.2", inbound={"api_shop_svc_9080": 7000})
    world = calling(outbound, service("api"), group("api"), twin)
    assert clusters(world) == ["outbound|7000||api_shop_svc_9080.mesh"]


def test_a_service_comes_before_a_service_entry_of_its_name_unless_it_lacks_the_port() -> None:
    both = (service("api", port=9080), entry("api", "a.example.com", 9443))
    assert clusters(calling({"api_shop_svc_9080": 1080}, *both)) == ["outbound|9080||api.shop.svc.cluster.local"]
    assert clusters(calling({"api_shop_svc_9443": 1080}, *both)) == ["outbound|9443||a.example.com"]
    world = calling({"api_shop_svc_1": 1080}, *both)
    assert said(world) == ["OUT602 networking.outbound[0]"]
    assert led_to(world, "127.0.0.1_1080") == NOWHERE


def test_the_lowest_port_of_a_service_is_called_when_none_is_named() -> None:
    world = calling({"kv": 1080}, dataplane("kv-1", "10.0.0.2", inbound={"kv": 7000}))
    assert clusters(world) == ["outbound|7000||kv.mesh"]
    more = (dataplane(f"kv-{port}", "10.0.0.3", inbound={"kv": port}) for port in (9000, 6000, 8000))
    assert clusters(calling({"kv": 1080}, *more)) == ["outbound|6000||kv.mesh"]


def test_two_services_with_one_host_cannot_both_be_called() -> None:
    both = (entry("one", "a.example.com", 80), entry("two", "a.example.com", 80, "bank"))
    world = calling({"one_shop_svc_80": 1080, "two_bank_svc_80": 1081}, *both)
    assert said(world) == ["OUT604 networking.outbound[1]"]
    assert led_to(world, "127.0.0.1_1081") == NOWHERE


def test_a_service_that_is_not_exported_is_not_there() -> None:
    hidden = make("ServiceEntry", "api", "shop", {**entry("api", "a.example.com", 80).spec, "exportTo": ["."]})
    world = calling({"api_shop_svc_80": 1080}, hidden)
    assert said(world) == ["OUT601 networking.outbound[0]"]
    assert led_to(world, "127.0.0.1_1080") == NOWHERE


def test_what_no_service_is_behind_is_called_as_bytes_unless_the_tags_say_what_it_speaks() -> None:
    outbound = [
        {"port": port, "tags": {"kuma.io/service": "nobody", **({"kuma.io/protocol": spoken} if spoken else {})}}
        for port, spoken in ((1080, ""), (1081, "tcp"), (1082, "http"), (1083, "grpc"))
    ]
    world = calling(outbound)
    snapshot = world.snapshot(APP)
    assert snapshot is not None
    assert {name for name in snapshot[ROUTES] if name.startswith("1")} == {"1082", "1083"}
    assert {led_to(world, f"127.0.0.1_{one['port']}") for one in outbound} == {NOWHERE}
    assert said(world) == [f"OUT601 networking.outbound[{at}]" for at in range(4)]
    speaking = dataplane("nobody-1", "10.0.0.2", inbound={"nobody": 7000})
    found = calling(outbound, speaking)
    assert said(found) == []
    assert NOWHERE not in clusters(found)
    now = found.snapshot(APP)
    assert now is not None
    assert now[LISTENER]["127.0.0.1_1082"] == snapshot[LISTENER]["127.0.0.1_1082"]


def test_one_service_by_two_ways_is_one_cluster() -> None:
    outbound = [{"port": port, "tags": {"kuma.io/service": "kv"}} for port in (1080, 1081)]
    world = calling(outbound, dataplane("kv-1", "10.0.0.2", inbound={"kv": 7000}))
    assert clusters(world) == ["outbound|7000||kv.mesh"]
    assert listeners(world) == {"10.0.0.1_8080", "127.0.0.1_1080", "127.0.0.1_1081"}


def test_of_two_outbounds_on_one_address_the_first_has_it() -> None:
    """Refused when it is applied; a Dataplane of an older release may say so all the same."""
    outbound = [{"port": 1080, "tags": {"kuma.io/service": name}} for name in ("kv", "app")]
    world = calling(outbound, dataplane("kv-1", "10.0.0.2", inbound={"kv": 7000}))
    assert said(world) == ["OUT603 networking.outbound[1]"]
    assert clusters(world) == ["outbound|7000||kv.mesh"]
