"""How one proxy's view is decided: policies, imports, protocols, conflicts."""

from dataclasses import replace
from typing import Any

import pytest

from outrig.model import (
    Address,
    Egress,
    Group,
    Import,
    Ingress,
    Mesh,
    OutboundPolicy,
    PeerTls,
    Policy,
    Protocol,
    ProxyShape,
    Selector,
    Service,
    ServicePort,
    TlsMode,
    Workload,
    WorkloadId,
)
from outrig.resources import Key
from outrig.view import HttpOutbound, ProxyView, TcpOutbound, tls_mode, view_of
from outrig.view.policies import levels

HOME = "shop"
ANY = Selector(None)
OWN = Workload(
    Key("", "W", "", HOME, "own"), WorkloadId("shop/own"), HOME, (("app", "own"),), "10.0.0.1", ("spiffe://d/own",)
)
ALL = Import("*", "*")


def key(name: str) -> Key:
    return Key("", "Any", "", HOME, name)


def service(
    name: str, protocol: Protocol = Protocol.HTTP, port: int = 80, *, space: str = HOME, **more: Any
) -> Service:
    host = more.pop("host", f"{name}.{space}.local")
    ports = (ServicePort(port, "main", protocol, port),)
    return Service(Key("", "Service", "", space, name), space, host, ports, Selector(space, (("app", name),)), **more)


def mesh(*egress: Egress, services: tuple[Service, ...] = (), ingress: tuple[Ingress, ...] = (), **more: Any) -> Mesh:
    shape = Policy(
        key("shape"), ANY, ProxyShape(ingress, egress, more.pop("outbound", OutboundPolicy.REGISTRY_ONLY)), (0,)
    )
    return Mesh("m", "d", ("authority",), services, workloads=(OWN,), shapes=(shape,), **more)


def egress(
    port: int | None = 80, protocol: Protocol = Protocol.UNSPECIFIED, *imports: Import, bind: str = "127.0.0.2"
) -> Egress:
    return Egress(imports or (ALL,), port, bind, protocol)


def codes(view: ProxyView) -> list[str]:
    return [finding.code for finding in view.findings]


def called(view: ProxyView) -> list[str]:
    return [upstream.name for upstream in view.outward.upstreams]


def demand(name: str, rank: tuple[int, ...], mode: TlsMode | None, *ports: tuple[int, TlsMode]) -> Policy[PeerTls]:
    return Policy(key(name), ANY, PeerTls(mode, ports), rank)


def test_demands_fold_from_the_widest_level_to_the_closest_and_unset_falls_through() -> None:
    wide, close = demand("wide", (0, 0), TlsMode.PERMISSIVE), demand("close", (2, 0), None, (80, TlsMode.DISABLE))
    found = mesh(peer_tls=(close, wide))
    assert tls_mode(OWN, 80, found) is TlsMode.DISABLE
    assert tls_mode(OWN, 81, found) is TlsMode.PERMISSIVE


def test_of_one_level_only_the_highest_counts_even_where_it_says_nothing() -> None:
    older, younger = demand("older", (2, 9), None), demand("younger", (2, 1), TlsMode.DISABLE, (80, TlsMode.DISABLE))
    assert levels((older, younger)) == [older]
    assert tls_mode(OWN, 80, mesh(peer_tls=(older, younger))) is TlsMode.STRICT


def test_the_shape_of_highest_rank_applies_whole() -> None:
    found = mesh(egress(80))
    closer = Policy(key("closer"), ANY, ProxyShape(egress=(egress(90),)), (1,))
    view = view_of(OWN, replace(found, shapes=(*found.shapes, closer)))
    assert [listener.port for listener in view.outward.listeners] == [90]


def test_whom_to_accept_comes_from_groups_and_from_workloads_sorted_and_once() -> None:
    api = service("api")
    groups = (
        Group(key("g1"), HOME, (("app", "api"),), ("spiffe://d/z", "spiffe://d/a")),
        Group(key("g2"), HOME, (), ("spiffe://d/open",)),
        Group(key("g3"), HOME, (("app", "other"),), ("spiffe://d/other",)),
        Group(key("g4"), "bank", (("app", "api"),), ("spiffe://d/bank",)),
    )
    member = replace(
        OWN, id=WorkloadId("shop/a"), labels=(("app", "api"),), identities=("spiffe://d/a", "spiffe://d/b")
    )
    found = replace(mesh(egress(), services=(api,), groups=groups), workloads=(OWN, member))
    (upstream,) = view_of(OWN, found).outward.upstreams
    assert upstream.identities == ("spiffe://d/a", "spiffe://d/b", "spiffe://d/open", "spiffe://d/z")


def test_a_listener_speaks_what_its_services_speak() -> None:
    for protocol, kind in (
        (Protocol.HTTP, HttpOutbound),
        (Protocol.GRPC, HttpOutbound),
        (Protocol.UNSPECIFIED, HttpOutbound),
        (Protocol.TCP, TcpOutbound),
        (Protocol.TLS, TcpOutbound),
    ):
        (listener,) = view_of(OWN, mesh(egress(), services=(service("a", protocol),))).outward.listeners
        assert isinstance(listener, kind)


def test_what_the_user_says_a_listener_speaks_comes_before_what_services_speak() -> None:
    (listener,) = view_of(OWN, mesh(egress(80, Protocol.TCP), services=(service("a"),))).outward.listeners
    assert listener == TcpOutbound("127.0.0.2", 80, "outbound|80|tcp|a.shop.local")
    (listener,) = view_of(
        OWN, mesh(egress(80, Protocol.HTTP), services=(service("a", Protocol.TCP),))
    ).outward.listeners
    assert isinstance(listener, HttpOutbound)
    assert [host.cluster for host in listener.hosts] == ["outbound|80|http|a.shop.local"]


def test_requests_win_over_bytes_on_one_port_and_what_is_left_out_is_said() -> None:
    view = view_of(OWN, mesh(egress(), services=(service("a", Protocol.TCP), service("b"))))
    assert called(view) == ["outbound|80||b.shop.local"]
    assert codes(view) == ["OUT605"]


def test_a_listener_of_bytes_leads_to_the_first_service_own_namespace_first() -> None:
    services = (service("a", Protocol.TCP, space="bank"), service("c", Protocol.TCP), service("b", Protocol.TCP))
    view = view_of(OWN, mesh(egress(), services=services))
    assert called(view) == ["outbound|80||b.shop.local"]
    assert codes(view) == ["OUT606"]


def test_of_services_with_one_host_that_of_the_own_namespace_is_called() -> None:
    services = (service("a", space="bank", host="same.local"), service("b", host="same.local"))
    view = view_of(OWN, mesh(egress(), services=services))
    assert [upstream.destination.service.namespace for upstream in view.outward.upstreams] == [HOME]
    assert codes(view) == ["OUT604"]


def test_one_host_is_one_service_on_all_listeners_of_a_proxy() -> None:
    services = (service("a", space="bank", host="same.local"), service("b", host="same.local"))
    first, second = egress(80, Protocol.HTTP, Import("bank", "*")), egress(81, Protocol.HTTP, ALL)
    view = view_of(OWN, mesh(first, second, services=services))
    assert {upstream.destination.service.namespace for upstream in view.outward.upstreams} == {"bank"}


def test_excluded_and_hidden_services_are_not_imported() -> None:
    services = (service("a"), service("b"), service("c", space="bank", exported_to=("bank",)))
    imports = (ALL, Import("*", "a.shop.local", exclude=True))
    assert called(view_of(OWN, mesh(egress(80, Protocol.HTTP, *imports), services=services))) == [
        "outbound|80||b.shop.local"
    ]


def test_a_dot_means_the_namespace_of_the_workload() -> None:
    services = (service("a"), service("b", space="bank"))
    found = mesh(egress(80, Protocol.HTTP, Import(".", "*")), services=services)
    assert called(view_of(OWN, found)) == ["outbound|80||a.shop.local"]
    banker = replace(OWN, namespace="bank")
    assert called(view_of(banker, found)) == ["outbound|80||b.bank.local"]


def test_a_port_that_is_said_listens_even_before_there_is_a_service() -> None:
    (listener,) = view_of(OWN, mesh(egress())).outward.listeners
    assert listener == HttpOutbound("127.0.0.2", 80, "80", ())


def test_a_listener_of_bytes_without_a_service_does_not_listen() -> None:
    view = view_of(OWN, mesh(egress(80, Protocol.TCP)))
    assert view.outward.listeners == ()
    assert codes(view) == ["OUT606"]


def test_an_egress_without_port_listens_on_each_port_that_no_earlier_one_has() -> None:
    services = (service("a"), service("b", port=81), service("c", Protocol.TCP, 82))
    view = view_of(OWN, mesh(egress(80), egress(None), services=services))
    assert [(listener.listener, type(listener)) for listener in view.outward.listeners] == [
        ("127.0.0.2_80", HttpOutbound),
        ("127.0.0.2_81", HttpOutbound),
        ("127.0.0.2_82", TcpOutbound),
    ]
    assert codes(view) == []


def test_two_listeners_on_one_port_have_routes_of_their_own() -> None:
    view = view_of(OWN, mesh(egress(80), egress(80, bind="127.0.0.3"), services=(service("a"),)))
    assert [one.routes for one in view.outward.listeners if isinstance(one, HttpOutbound)] == ["80", "127.0.0.3_80"]


def test_the_application_keeps_its_address() -> None:
    ingress = (Ingress(80, Protocol.HTTP, Address("127.0.0.1", 8080)),)
    view = view_of(OWN, mesh(egress(8080, bind="127.0.0.1"), ingress=ingress))
    assert view.outward.listeners == ()
    assert codes(view) == ["OUT603"]


@pytest.mark.parametrize("bind", ["10.0.0.1", "0.0.0.0"])
def test_an_egress_does_not_take_the_address_of_an_ingress(bind: str) -> None:
    ingress = (Ingress(80, Protocol.HTTP, Address("127.0.0.1", 8080)),)
    view = view_of(OWN, mesh(egress(80, bind=bind), ingress=ingress))
    assert [one.listener for one in view.inward.inbound] == ["10.0.0.1_80"]
    assert view.outward.listeners == ()
    assert codes(view) == ["OUT603"]


def test_ingress_ports_differ_in_number() -> None:
    target = Address("127.0.0.1", 8080)
    twice = (Ingress(80, Protocol.HTTP, target), Ingress(80, Protocol.HTTP, target, "10.0.0.9"))
    view = view_of(OWN, mesh(ingress=twice))
    assert [one.listener for one in view.inward.inbound] == ["10.0.0.1_80"]
    assert codes(view) == ["OUT603"]


def test_an_ingress_that_would_call_itself_is_left_out() -> None:
    view = view_of(OWN, mesh(ingress=(Ingress(80, Protocol.HTTP, Address("10.0.0.1", 80)),)))
    assert view.inward.inbound == ()
    assert codes(view) == ["OUT603"]


def test_letting_unknown_hosts_through_is_not_possible_and_said() -> None:
    assert codes(view_of(OWN, mesh(egress(), outbound=OutboundPolicy.ALLOW_ANY))) == ["OUT607"]


def test_imports_that_find_nothing_are_said() -> None:
    imports = (Import(HOME, "nobody.shop.local"), Import(HOME, "a.shop.local"), Import("*", "*"))
    view = view_of(OWN, mesh(egress(81, Protocol.HTTP, *imports), services=(service("a"),)))
    assert [(finding.code, finding.path) for finding in view.findings] == [
        ("OUT601", "egress[0].hosts[0]"),
        ("OUT602", "egress[0].hosts[1]"),
    ]


def test_a_view_is_the_same_whatever_the_health_of_its_workload_and_the_order_of_the_mesh() -> None:
    services = tuple(service(name) for name in "abc")
    found = mesh(egress(), services=services)
    assert view_of(OWN, found) == view_of(OWN, replace(found, services=services[::-1]))
    assert hash(view_of(OWN, found)) == hash(view_of(OWN, replace(found, services=services[::-1])))
