"""Who is behind a destination, and how they are called."""

from dataclasses import replace

from outrig.model import (
    Health,
    Mesh,
    PeerTls,
    Policy,
    Protocol,
    Selector,
    ServicePort,
    TlsMode,
    Workload,
    WorkloadId,
)
from outrig.resources import Key
from outrig.view import Endpoint, assignment_of

MESH = Mesh("m", "d")
PORT = ServicePort(80, "http", Protocol.HTTP, 8080)
ONE = Workload(Key("", "W", "", "shop", "one"), WorkloadId("shop/one"), "shop", (), "10.0.0.1", ("spiffe://d/one",))


def endpoints(*workloads: Workload, port: ServicePort = PORT, mesh: Mesh = MESH) -> tuple[Endpoint, ...]:
    return assignment_of("name", port, workloads=workloads, mesh=mesh).endpoints


def test_ready_and_draining_workloads_are_published_and_others_are_not() -> None:
    several = [replace(ONE, address=f"10.0.0.{n}", health=health) for n, health in enumerate(Health)]
    assert [(one.address, one.draining) for one in endpoints(*several)] == [("10.0.0.0", False), ("10.0.0.2", True)]


def test_a_named_target_is_each_workloads_own_port_and_who_has_none_is_left_out() -> None:
    named = replace(PORT, target="main")
    workloads = (replace(ONE, ports=(("main", 1234),)), replace(ONE, address="10.0.0.2"))
    assert [(one.address, one.port) for one in endpoints(*workloads, port=named)] == [("10.0.0.1", 1234)]


def test_a_workload_port_named_as_the_service_port_comes_before_the_number() -> None:
    assert endpoints(replace(ONE, ports=(("http", 1234),)))[0].port == 1234
    assert endpoints(replace(ONE, ports=(("", 1234),)), port=replace(PORT, name=""))[0].port == 8080


def test_who_has_no_identity_or_demands_none_is_called_without_tls() -> None:
    off = Policy(ONE.origin, Selector(None), PeerTls(None, ((8080, TlsMode.DISABLE),)), (0,))
    assert not endpoints(ONE)[0].plain
    assert endpoints(replace(ONE, identities=()))[0].plain
    assert endpoints(ONE, mesh=replace(MESH, peer_tls=(off,)))[0].plain
    assert not endpoints(ONE, mesh=replace(MESH, peer_tls=(replace(off, settings=PeerTls(TlsMode.PERMISSIVE)),)))[
        0
    ].plain


def test_order_and_repetition_of_workloads_mean_nothing() -> None:
    other = replace(ONE, address="10.0.0.9", locality="region/zone", weight=0)
    assert endpoints(ONE, other) == endpoints(other, ONE, ONE)
    assert [(one.locality, one.weight) for one in endpoints(ONE, other)] == [("", 1), ("region/zone", 1)]


def test_a_workload_without_an_address_is_left_out() -> None:
    assert endpoints(replace(ONE, address="")) == ()
