"""Who is behind a destination, and how they are called."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from outrig.model import (
    AddressForm,
    Health,
    Mesh,
    PeerTls,
    Policy,
    Protocol,
    Resolution,
    Selector,
    Service,
    ServicePort,
    TlsMode,
    Workload,
    WorkloadId,
)
from outrig.resources import Key
from outrig.view import Destination, Endpoint, assignment_of
from outrig.view.endpoints import lookup_of

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


PLACES = st.sampled_from(["", "r1", "r1/z1", "r1/z1/s", "r1/z2", "r2/z1", "r3/z1"])
WORKLOADS = st.lists(
    st.builds(
        lambda octet, place, health: replace(ONE, address=f"10.0.0.{octet}", locality=place, health=health),
        st.integers(1, 9),
        PLACES,
        st.sampled_from(Health),
    ),
    max_size=8,
)


@given(WORKLOADS, PLACES)
def test_priorities_have_no_gap_and_follow_the_distance_and_leave_nobody_out(
    workloads: list[Workload], place: str
) -> None:
    near = replace(ONE, locality=place).zone
    found = assignment_of("name", PORT, workloads=workloads, mesh=MESH, near=near).endpoints
    priorities = [one.priority for one in found]
    assert sorted(set(priorities)) == list(range(len(set(priorities))))
    assert {replace(one, priority=0) for one in found} == set(endpoints(*workloads))

    def distance(locality: str) -> int:
        zone = replace(ONE, locality=locality).zone
        return 0 if not near or zone == near else 1 if zone.split("/")[0] == near.split("/")[0] else 2

    by_distance = sorted(found, key=lambda one: distance(one.locality))
    assert [one.priority for one in by_distance] == sorted(priorities)


def test_a_service_takes_the_addresses_its_resolution_can_use_and_its_own_members() -> None:
    name = replace(ONE, address="a.example.com", form=AddressForm.NAME)
    socket = replace(ONE, address="unix:///run/a", form=AddressForm.SOCKET)
    own = replace(ONE, address="10.0.0.9")
    service = Service(ONE.origin, "shop", "h", (PORT,), Selector("shop"), members=(own,))
    assert service.behind([ONE, name, socket]) == [own, ONE]
    told = replace(service, forms=frozenset({AddressForm.IP, AddressForm.SOCKET}))
    assert told.behind([ONE, name, socket]) == [own, ONE, socket]
    assert {one.identities for one in replace(told, external=True).behind([ONE, socket])} == {()}


def test_a_socket_needs_no_port_even_where_ports_are_named() -> None:
    socket = replace(ONE, address="unix:///run/a", form=AddressForm.SOCKET)
    (found,) = endpoints(socket, port=replace(PORT, target="main"))
    assert (found.address, found.port) == ("unix:///run/a", 0)


def test_what_callers_look_up_is_known_only_where_they_do() -> None:
    name = replace(ONE, address="a.example.com", form=AddressForm.NAME)
    told = Service(ONE.origin, "shop", "h", (PORT,), None, members=(name,))
    called = Destination(told.origin, told.host, PORT.number)
    assert lookup_of(called, told, PORT, mesh=MESH) is None
    for resolution in (Resolution.DNS, Resolution.DNS_ROUND_ROBIN):
        found = lookup_of(called, replace(told, resolution=resolution), PORT, mesh=MESH)
        assert found is not None
        assert [one.address for one in found.assignment.endpoints] == ["a.example.com"]
        assert found.one_at_a_time is (resolution is Resolution.DNS_ROUND_ROBIN)
