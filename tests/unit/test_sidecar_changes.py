"""What a change of a Sidecar, or of what it refers to, rewrites at the proxy: that and nothing else."""

from typing import Any

import pytest

from outrig.control.world import World
from outrig.snapshot import CLUSTER, ENDPOINTS, LISTENER, ROUTES, ProxyId
from tests.mesh_making import added, demand, service, sidecar, task, world_of

WEB = ProxyId("shop/web-1")
OUT = {"bind": "127.0.0.2", "port": {"number": 9080}, "hosts": ["./api.shop.svc.cluster.local"]}
GATE = "outbound|3128||gate.shop.svc.cluster.local"


def shape(*, protocol: str = "HTTP", **spec: Any) -> Any:
    ingress = [{"port": {"number": 9080, "protocol": protocol}, "defaultEndpoint": "127.0.0.1:8080"}]
    return sidecar("web", app="web", ingress=ingress, egress=[OUT], **spec)


def shop(**spec: Any) -> World:
    return world_of(shape(**spec), service("api"), service("gate", port=3128), task("web-1", "web", "10.0.0.1"))


@pytest.mark.parametrize(
    ("protocol", "pool", "rewrites"),
    [
        ("HTTP", {"tcp": {"maxConnections": 1}}, {CLUSTER: {"inbound|9080||", "inbound|9080|grpc|"}}),
        ("HTTP", {"tcp": {"idleTimeout": "1m"}}, {}),
        ("HTTP", {"http": {"maxConcurrentStreams": 1}}, {CLUSTER: {"inbound|9080|grpc|"}}),
        ("TCP", {"tcp": {"maxConnections": 1}}, {CLUSTER: {"inbound|9080||"}}),
        ("TCP", {"tcp": {"idleTimeout": "1m"}}, {LISTENER: {"10.0.0.1_9080"}}),
    ],
)
def test_a_pool_rewrites_the_application_and_the_listener_only_where_it_forwards_bytes(
    protocol: str, pool: dict[str, Any], rewrites: dict[str, set[str]]
) -> None:
    world = shop(protocol=protocol)
    dirty = world.apply(added(shape(protocol=protocol, inboundConnectionPool=pool)))
    assert dirty == ({WEB: rewrites} if rewrites else {})


def test_another_default_endpoint_leaves_the_listener_alone() -> None:
    world = shop()
    ingress = [{"port": {"number": 9080, "protocol": "HTTP"}, "defaultEndpoint": "0.0.0.0:8080"}]
    dirty = world.apply(added(sidecar("web", app="web", ingress=ingress, egress=[OUT])))
    assert dirty == {WEB: {CLUSTER: {"inbound|9080||", "inbound|9080|grpc|"}}}


def test_a_way_out_rewrites_routes_and_brings_a_cluster() -> None:
    world = shop()
    policy = {"mode": "ALLOW_ANY", "egressProxy": {"host": "gate.shop.svc.cluster.local", "port": {"number": 3128}}}
    dirty = world.apply(added(shape(outboundTrafficPolicy=policy)))
    assert dirty == {WEB: {ROUTES: {"9080"}, CLUSTER: {GATE}, ENDPOINTS: {GATE}}}


def test_a_service_that_comes_later_is_the_way_out_it_was_meant_to_be() -> None:
    policy = {"mode": "ALLOW_ANY", "egressProxy": {"host": "late.shop.svc.cluster.local", "port": {"number": 80}}}
    world = shop(outboundTrafficPolicy=policy)
    assert [finding.code for finding in world.findings(WEB)] == ["OUT601"]
    dirty = world.apply(added(service("late", port=80)))
    assert dirty[WEB].keys() == {ROUTES, CLUSTER, ENDPOINTS}
    assert (world.findings(WEB), world.take_doubtful()) == ((), {WEB})


def test_a_service_whose_calls_nobody_receives_rewrites_nothing_and_is_told() -> None:
    world = shop()
    world.take_doubtful()
    assert world.apply(added(service("web", port=80, target=9999))) == {}
    assert [finding.code for finding in world.findings(WEB)] == ["OUT611"]
    assert world.take_doubtful() == {WEB}
    assert world.apply(added(service("web", port=80, target=9080))) == {}
    assert (world.findings(WEB), world.take_doubtful()) == ((), {WEB})


def test_calls_without_tls_may_be_the_applications_own() -> None:
    world = shop()
    world.apply(added(service("web", port=80, target=9999)))
    world.apply(added(demand("open", "STRICT", app="web", p9999="DISABLE")))
    assert world.findings(WEB) == ()


def test_a_second_sidecar_that_is_as_close_rewrites_nothing_and_is_told() -> None:
    world = shop()
    world.take_doubtful()
    assert world.apply(added(sidecar("web-too", app="web", egress=[]))) == {}
    assert [(finding.code, finding.origin.name) for finding in world.findings(WEB)] == [("OUT610", "web-too")]
    assert world.take_doubtful() == {WEB}
