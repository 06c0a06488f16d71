"""What a proxy's shape becomes: sockets, HTTP proxies, ways out, own addresses, rivals, and what nobody receives."""

from dataclasses import replace
from typing import Any

import pytest

from outrig.model import (
    AGENT_PORT,
    Address,
    ConnectionPool,
    Egress,
    Import,
    Ingress,
    Mesh,
    OutboundPolicy,
    OwnPort,
    PeerTls,
    Pipe,
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
from outrig.view import HttpOutbound, ProxyView, TcpOutbound, view_of

HOME = "shop"
OWN = Workload(
    Key("", "W", "", HOME, "own"), WorkloadId("shop/own"), HOME, (("app", "own"),), "10.0.0.1", ("spiffe://d/own",)
)
ALL = (Import("*", "*"),)
SOCKET = Egress(ALL, 0, "unix:///run/calls", Protocol.HTTP)
PROXY = Egress(ALL, 3128, None, Protocol.HTTP, proxy=True)


def service(name: str, *ports: int, protocol: Protocol = Protocol.HTTP, **more: Any) -> Service:
    offered = tuple(ServicePort(port, f"p{port}", protocol, port) for port in ports)
    host = f"{name}.shop.local"
    selector = Selector(HOME, (("app", name),))
    return Service(Key("", "Service", "", HOME, name), HOME, host, offered, selector, local_names=(name,), **more)


def shape(name: str = "shape", *, rank: tuple[int, ...] = (1, 0), **settings: Any) -> Policy[ProxyShape]:
    return Policy(Key("", "Shape", "", HOME, name), Selector(None), ProxyShape(**settings), rank)


def view(*services: Service, own: Workload = OWN, **settings: Any) -> ProxyView:
    return view_of(own, mesh(shape(**settings), services=services, own=own))


def mesh(*shapes: Policy[ProxyShape], services: tuple[Service, ...] = (), own: Workload = OWN, **more: Any) -> Mesh:
    return Mesh("m", "d", ("authority",), services, workloads=(own,), shapes=shapes, **more)


def said(found: ProxyView) -> list[tuple[str, str]]:
    return [(finding.code, finding.path) for finding in found.findings]


def test_a_socket_leads_to_services_on_all_their_ports_and_port_80_needs_no_mention() -> None:
    (listener,) = view(service("a", 80, 81), egress=(SOCKET,)).outward.listeners
    assert isinstance(listener, HttpOutbound)
    assert (listener.listener, listener.routes, listener.any_port) == (SOCKET.bind, SOCKET.bind, True)
    assert [host.domains for host in listener.hosts] == [
        ("a.shop.local:80", "a.shop.local", "a:80", "a"),
        ("a.shop.local:81", "a:81"),
    ]


def test_services_without_requests_are_left_out_and_only_those_named_are_said() -> None:
    db = service("db", 3306, protocol=Protocol.TCP)
    assert said(view(service("a", 80), db, egress=(SOCKET,))) == []
    named = replace(SOCKET, imports=(Import(HOME, "db.shop.local"),))
    assert said(view(db, egress=(named,))) == [("OUT605", "egress[0]")]


def test_a_socket_for_bytes_leads_to_the_first_service_port() -> None:
    services = (service("a", 6379, 6380, protocol=Protocol.TCP),)
    found = view(*services, egress=(replace(SOCKET, protocol=Protocol.TCP),))
    assert found.outward.listeners == (TcpOutbound("unix:///run/calls", 0, "outbound|6379||a.shop.local"),)
    assert said(found) == [("OUT606", "egress[0]")]


def test_two_http_proxies_have_routes_of_their_own() -> None:
    found = view(egress=(PROXY, replace(PROXY, bind="127.0.0.2")))
    assert [one.routes for one in found.outward.listeners if isinstance(one, HttpOutbound)] == [
        "http_proxy",
        "127.0.0.2_3128",
    ]


def test_a_socket_of_the_application_is_not_taken_from_it() -> None:
    found = view(egress=(SOCKET,), ingress=(Ingress(80, Protocol.HTTP, Pipe("/run/calls")),))
    assert found.outward.listeners == ()
    assert said(found) == [("OUT603", "egress[0]")]


def test_the_port_of_the_agent_is_not_taken_from_it() -> None:
    found = view(service("a", AGENT_PORT), egress=(Egress(ALL),))
    assert found.outward.listeners == ()
    assert said(found) == [("OUT603", "egress[0]")]


GATE = ("gate.shop.local", 3128)
ONE = Egress((Import(HOME, "a.shop.local"),), 80, "127.0.0.2")


def fallback(*services: Service, **settings: Any) -> tuple[str, list[str]]:
    found = view(*services, egress=(ONE,), **settings)
    (listener,) = found.outward.listeners
    assert isinstance(listener, HttpOutbound)
    return listener.fallback, [finding.code for finding in found.findings if finding.path.startswith("outbound")]


@pytest.mark.parametrize(
    ("outbound", "proxy", "offered", "expected"),
    [
        (OutboundPolicy.REGISTRY_ONLY, None, 3128, ("", [])),
        (OutboundPolicy.ALLOW_ANY, None, 3128, ("", ["OUT607"])),
        (OutboundPolicy.ALLOW_ANY, GATE, 3128, ("outbound|3128||gate.shop.local", [])),
        (OutboundPolicy.ALLOW_ANY, GATE, 80, ("", ["OUT602"])),
        (OutboundPolicy.ALLOW_ANY, ("other.shop.local", 80), 80, ("", ["OUT601"])),
    ],
)
def test_where_requests_for_unknown_hosts_go(
    outbound: OutboundPolicy, proxy: tuple[str, int] | None, offered: int, expected: tuple[str, list[str]]
) -> None:
    services = (service("a", 80), service("gate", offered))
    assert fallback(*services, outbound=outbound, egress_proxy=proxy) == expected


def test_an_egress_proxy_that_is_not_exported_here_is_not_found() -> None:
    hidden = service("gate", 3128, exported_to=("bank",))
    assert fallback(hidden, outbound=OutboundPolicy.ALLOW_ANY, egress_proxy=GATE) == ("", ["OUT601"])


def test_a_way_out_that_no_listener_needs_is_no_upstream() -> None:
    bytes_only = Egress(ALL, 3306, None, Protocol.TCP)
    found = view(service("gate", 3128), egress=(bytes_only,), outbound=OutboundPolicy.ALLOW_ANY, egress_proxy=GATE)
    assert found.outward.upstreams == ()


@pytest.mark.parametrize(("address", "source"), [("10.0.0.1", "127.0.0.6"), ("fd00::1", "")])
def test_an_endpoint_on_the_own_address_is_called_from_an_address_that_tells_the_proxy(
    address: str, source: str
) -> None:
    pool = ConnectionPool(connections=1)
    ingress = (Ingress(80, Protocol.HTTP, OwnPort(8080), pool=pool), Ingress(81, Protocol.TCP, Pipe("@app")))
    own, other = view(own=replace(OWN, address=address), ingress=ingress).inward.inbound
    assert (own.target, own.source, own.pool) == (Address(address, 8080), source, pool)
    assert other.source == ""


def test_an_ingress_that_would_call_itself_by_the_own_address_is_left_out() -> None:
    found = view(ingress=(Ingress(80, Protocol.HTTP, OwnPort(80)),))
    assert found.inward.inbound == ()
    assert said(found) == [("OUT603", "ingress[0]")]


def test_shapes_that_are_as_close_as_the_one_that_applies_are_said_and_others_not() -> None:
    shapes = (shape("a", rank=(1, 9)), shape("b", rank=(1, 5)), shape("c", rank=(0, 99)), shape("d", rank=(1, 7)))
    found = view_of(OWN, mesh(*shapes))
    assert [(finding.code, finding.origin.name) for finding in found.findings] == [("OUT610", "b"), ("OUT610", "d")]


def test_what_an_earlier_egress_keeps_from_a_later_one_is_said() -> None:
    found = view(service("a", 80), service("b", 80, 81), egress=(ONE, Egress(ALL, None, "127.0.0.2")))
    assert said(found) == [("OUT602", "egress[1]")]
    assert [host.name for one in found.outward.listeners if isinstance(one, HttpOutbound) for host in one.hosts] == [
        "a.shop.local:80",
        "b.shop.local:81",
    ]


def test_calls_that_the_proxy_does_not_receive_are_said_unless_they_come_without_tls() -> None:
    ingress = (Ingress(80, Protocol.HTTP, Address("127.0.0.1", 8080)),)
    services = (service("own", 80, 81, 82), service("other", 83), service("out", 84, external=True))
    demand = Policy(Key("", "D", "", HOME, "d"), Selector(None), PeerTls(None, ((82, TlsMode.DISABLE),)), (0,))
    found = view_of(OWN, mesh(shape(ingress=ingress), services=services, peer_tls=(demand,)))
    assert [(finding.code, finding.origin.name, "port 81" in finding.problem) for finding in found.findings] == [
        ("OUT611", "own", True)
    ]


def test_a_named_port_of_the_workload_is_where_calls_come() -> None:
    ingress = (Ingress(8080, Protocol.HTTP, Address("127.0.0.1", 9090)),)
    services = (service("own", 80),)
    for ports, codes in (((), ["OUT611"]), ((("p80", 8080),), [])):
        found = view_of(replace(OWN, ports=ports), mesh(shape(ingress=ingress), services=services))
        assert [finding.code for finding in found.findings] == codes
