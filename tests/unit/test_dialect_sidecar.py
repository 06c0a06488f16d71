"""Sidecar: what is refused and why, what is only warned of, what it means, and which of several applies."""

from datetime import timedelta

import pytest

from outrig.model import (
    Address,
    Egress,
    Import,
    Ingress,
    OutboundPolicy,
    OwnPort,
    Pipe,
    Policy,
    Protocol,
    ProxyShape,
    Selector,
)
from outrig.resources import Resource
from tests.unit.dialect_making import NOON, facts, resource, said

IN = "ingress: [{port: {number: 9080, protocol: HTTP}, defaultEndpoint: '127.0.0.1:9080'}]"
OUT = "egress: [{bind: 127.0.0.2, port: {number: 9080}, hosts: ['./*']}]"
UNREACHABLE = (
    "warning OUT308 spec.ingress: without ingress nothing can call the workloads "
    "(add an ingress listener for each port that is called)"
)
CUT_OFF = (
    "warning OUT308 spec.egress: without egress the workloads reach nothing in the mesh "
    '(add an egress listener, for example with bind 127.0.0.2 and hosts ["./*"])'
)
ELSEWHERE = "(give the listener another bind, for example 127.0.0.2)"


def sidecar(spec: str, *, name: str = "x", namespace: str = "bookinfo", age: int = 0) -> Resource:
    text = (
        "{apiVersion: networking.istio.io/v1, kind: Sidecar, "
        f"metadata: {{name: {name}, namespace: {namespace}}}, spec: {{{spec}}}}}"
    )
    return resource(text, created=NOON - timedelta(seconds=age))


def policy(made: Resource) -> Policy[ProxyShape]:
    (fact,) = facts(made)
    assert isinstance(fact, Policy)
    assert isinstance(fact.settings, ProxyShape)
    return fact


def ingress(item: str) -> str:
    return f"ingress: [{{{item}}}], {OUT}"


def egress(*items: str) -> str:
    return f"{IN}, egress: [{', '.join(f'{{{item}}}' for item in items)}]"


ERRORS = [
    ("", ["error OUT304 spec: empty configuration provided (write ingress, egress or both)"]),
    (
        egress(
            "bind: 127.0.0.2, port: {number: 9080}, hosts: [./*]", "bind: 127.0.0.3, port: {number: 9080}, hosts: [./*]"
        ),
        [
            "error OUT306 spec.egress[1].port: port 9080 is there twice; ports are unique whatever their bind "
            "(put the hosts of both into one listener)"
        ],
    ),
    (
        egress("hosts: [./*], bind: 127.0.0.2", "port: {number: 81}, hosts: [./*]"),
        [
            "error OUT303 spec.egress[0]: only the last egress listener may be without a port",
        ],
    ),
    (
        egress("port: {number: 9080}, hosts: [./*]"),
        [
            "error OUT306 spec.egress[0].port: cannot listen on 127.0.0.1:9080: the application listens there "
            f"(spec.ingress[0].defaultEndpoint) {ELSEWHERE}"
        ],
    ),
    (
        ingress("bind: 127.0.0.1, port: {number: 80}, defaultEndpoint: '127.0.0.1:80'"),
        [
            "error OUT306 spec.ingress[0].port: cannot listen on 127.0.0.1:80: the application listens there "
            f"(spec.ingress[0].defaultEndpoint) {ELSEWHERE}"
        ],
    ),
    (
        ingress("bind: 0.0.0.0, port: {number: 9080}, defaultEndpoint: '127.0.0.1:8080'"),
        [
            "error OUT306 spec.egress[0].port: cannot listen on 127.0.0.2:9080: it overlaps spec.ingress[0].port "
            f"{ELSEWHERE}"
        ],
    ),
    (
        ingress("port: {number: 9902}, defaultEndpoint: '127.0.0.1:8080'"),
        [
            "error OUT307 spec.ingress[0].port: port 9902 is taken by the agent's readiness (choose another port)",
        ],
    ),
    (
        ingress("port: {number: 80}, defaultEndpoint: '127.0.0.1:80', captureMode: IPTABLES, tls: {mode: SIMPLE}"),
        [
            "error OUT301 spec.ingress[0].captureMode: there are no iptables to capture traffic with "
            "(leave captureMode out: listeners are really bound)",
            "error OUT301 spec.ingress[0].tls: is not supported yet (a PeerAuthentication sets the mode of mutual TLS)",
        ],
    ),
    (
        ingress("port: {number: 15021}, defaultEndpoint: '127.0.0.1:15090'"),
        [
            "warning OUT307 spec.ingress[0].port: Istio keeps port 15021 for its proxies; it works here, but not there "
            "(choose another port, if both are to read this)",
            "warning OUT307 spec.ingress[0].defaultEndpoint: Istio keeps port 15090 for its proxies; it works here, "
            "but not there (choose another port, if both are to read this)",
        ],
    ),
    *(
        (
            ingress(f"port: {{number: 8080}}, defaultEndpoint: '{endpoint}'"),
            [
                "error OUT306 spec.ingress[0].port: cannot listen on <workload address>:8080: the application listens "
                f"there (spec.ingress[0].defaultEndpoint) {ELSEWHERE}"
            ],
        )
        for endpoint in ("0.0.0.0:8080", "[::]:8080")
    ),
    (
        ingress("port: {number: 80}, defaultEndpoint: '0.0.0.0:9080'"),
        [
            "warning OUT306 spec.egress[0].port: an application that listens on all addresses would have "
            "127.0.0.2:9080 too (let it listen on its own address only)"
        ],
    ),
    *(
        (
            ingress(f"port: {{number: 80}}, defaultEndpoint: '{endpoint}'"),
            [
                f"error OUT303 spec.ingress[0].defaultEndpoint: '{endpoint}' is no endpoint "
                "(one of 127.0.0.1:PORT, [::1]:PORT, 0.0.0.0:PORT, unix:///PATH or unix://@NAME)"
            ],
        )
        for endpoint in (
            "10.0.0.1:80",
            "localhost:80",
            "127.0.0.1",
            "127.0.0.1:0",
            "127.0.0.1:080",
            "127.0.0.1:99999",
            "unix://x",
            "unix:///x/",
            ":::80",
            "80",
        )
    ),
    (
        ingress("port: {protocol: HTPP, targetPort: 5}, defaultEndpoint: '127.0.0.1:80'"),
        [
            "error OUT304 spec.ingress[0].port.number: a port number from 1 to 65535 is required",
            "error OUT303 spec.ingress[0].port.targetPort: is deprecated and not honoured "
            "(use defaultEndpoint on ingress)",
            "error OUT303 spec.ingress[0].port.protocol: 'HTPP' is no protocol (did you mean 'HTTP'?)",
        ],
    ),
    (
        egress("bind: 127.0.0.2, port: {number: 9080, protocol: UDP}, hosts: [./*]"),
        ["error OUT301 spec.egress[0].port.protocol: UDP is not supported yet"],
    ),
    (
        egress("bind: 'unix:///run/x', hosts: [./*]"),
        ["error OUT303 spec.egress[0].port: a unix socket has no port number (write port: {number: 0})"],
    ),
    (
        egress("bind: 'unix:///run/x', port: {number: 80}, hosts: [./*]"),
        ["error OUT303 spec.egress[0].port: a unix socket has no port number (write port: {number: 0})"],
    ),
    (
        egress("bind: 'unix://x', port: {number: 0}, captureMode: IPTABLES, hosts: [./*]"),
        [
            "error OUT301 spec.egress[0].captureMode: there are no iptables to capture traffic with "
            "(leave captureMode out: listeners are really bound)",
            "error OUT303 spec.egress[0].bind: 'unix://x' is no unix socket "
            "(unix:///PATH or unix://@NAME, at most 107 bytes long)",
        ],
    ),
    (
        egress(*["bind: 'unix:///run/x', port: {number: 0}, hosts: [./*]"] * 2),
        ["error OUT306 spec.egress[1].bind: unix:///run/x is there twice (put the hosts of both into one listener)"],
    ),
    (
        "ingress: [{port: {number: 80}, defaultEndpoint: 'unix:///run/x'}], "
        "egress: [{bind: 'unix:///run/x', port: {number: 0}, hosts: [./*]}]",
        [
            "error OUT306 spec.egress[0].port: cannot listen on unix:///run/x: the application listens there "
            "(spec.ingress[0].defaultEndpoint) (choose another path)"
        ],
    ),
    (
        egress("bind: 127.0.0.2, port: {number: 0}, hosts: [./*]"),
        ["error OUT304 spec.egress[0].port.number: a port number from 1 to 65535 is required"],
    ),
    (
        egress("bind: fe80::1%eth0, port: {number: 80}, hosts: [./*]"),
        ["error OUT303 spec.egress[0].bind: 'fe80::1%eth0' is no IP address (for example 127.0.0.2)"],
    ),
    (
        egress(
            "bind: 127.0.0.2, port: {number: 80}, hosts: [details, ./details, ./*foo.bar, x_y/*, ~./*, '*foo/details']"
        ),
        [
            "error OUT303 spec.egress[0].hosts[0]: 'details' is not namespace/host "
            "(for example ./*, */*, bookinfo/*.svc.cluster.local)",
            "error OUT303 spec.egress[0].hosts[1]: './details' is not namespace/host "
            "(write the whole host: ./details.bookinfo.svc.cluster.local)",
            *(
                f"error OUT303 spec.egress[0].hosts[{index}]: '{host}' is not namespace/host "
                "(for example ./*, */*, bookinfo/*.svc.cluster.local)"
                for index, host in ((2, "./*foo.bar"), (3, "x_y/*"), (4, "~./*"), (5, "*foo/details"))
            ),
        ],
    ),
    (
        f"{IN}, {OUT}, outboundTrafficPolicy: {{egressProxy: {{host: proxy, subset: v1}}}}",
        [
            "error OUT303 spec.outboundTrafficPolicy.egressProxy: has no place beside mode REGISTRY_ONLY "
            "(write mode: ALLOW_ANY)",
            "error OUT303 spec.outboundTrafficPolicy.egressProxy.host: 'proxy' is no full host name "
            "(for example egress.bookinfo.svc.cluster.local)",
            "error OUT304 spec.outboundTrafficPolicy.egressProxy.port: a port number is required",
            "error OUT301 spec.outboundTrafficPolicy.egressProxy.subset: subsets are not supported yet (leave it out)",
        ],
    ),
]
WARNINGS = [
    (f"{IN}, {OUT}", []),
    (f"{IN}, {OUT}, outboundTrafficPolicy: {{}}", []),
    (IN, [CUT_OFF]),
    (OUT, [UNREACHABLE]),
    (
        f"{IN}, {OUT}, workloadSelector: {{}}",
        ["warning OUT312 spec.workloadSelector: without labels it is for the whole namespace"],
    ),
    (
        ingress("port: {number: 80}"),
        [
            "warning OUT309 spec.ingress[0].defaultEndpoint: is not set: calls go to 127.0.0.1:80 "
            "(write it down if the application listens there)"
        ],
    ),
    (f"{IN}, {OUT}, outboundTrafficPolicy: {{mode: ALLOW_ANY, egressProxy: {{host: a.b, port: {{number: 80}}}}}}", []),
    (
        f"{IN}, {OUT}, outboundTrafficPolicy: {{mode: ALLOW_ANY}}",
        [
            "warning OUT310 spec.outboundTrafficPolicy.mode: without iptables unknown hosts cannot be passed through: "
            "they are answered 502 (set egressProxy, or let the application call such hosts directly)",
        ],
    ),
    (egress("bind: 'unix://@calls', port: {number: 0, protocol: HTTP}, captureMode: NONE, hosts: [./*]"), []),
    (egress("port: {number: 3128, protocol: HTTP_PROXY}, hosts: [./*]"), []),
    (
        egress("bind: 127.0.0.2, port: {number: 80}, hosts: [~/a.b]"),
        [
            "warning OUT308 spec.egress[0].hosts: only takes away: nothing is imported "
            "(add what to take it from, as ./*)"
        ],
    ),
    (
        egress("hosts: [./*]"),
        [
            "warning OUT306 spec.egress[0].bind: a Service with the application's port would need 127.0.0.1, where the "
            "application listens (set bind to another address, for example 127.0.0.2)"
        ],
    ),
    (egress("bind: 127.0.0.2, hosts: [./*]"), []),
    (
        egress("bind: 10.0.0.5, port: {number: 80}, hosts: ['*/*', ./*, ./*, ~/a.b]"),
        [
            "warning OUT305 spec.egress[0].hosts[2]: host './*' is there twice",
            "warning OUT305 spec.egress[0].hosts: */* brings in all that the others do",
            "warning OUT313 spec.egress[0].bind: whoever reaches 10.0.0.5 can make calls with the identity of the "
            "workload (bind to 127.0.0.2)",
        ],
    ),
]


@pytest.mark.parametrize(("spec", "says"), [*ERRORS, *WARNINGS])
def test_what_is_said_about_a_sidecar(spec: str, says: list[str]) -> None:
    assert said(sidecar(spec)) == says


def test_privileged_ports_are_fine_and_bindings_of_different_addresses_do_not_clash() -> None:
    spec = (
        "ingress: [{port: {number: 80}, defaultEndpoint: 'unix:///run/app.sock'}], "
        "egress: [{bind: 127.0.0.1, port: {number: 80}, hosts: [./*]}]"
    )
    assert said(sidecar(spec)) == []


def test_a_v6_address_clashes_however_it_is_spelt() -> None:
    spec = (
        "ingress: [{port: {number: 80}, defaultEndpoint: '[::1]:8080'}], "
        "egress: [{bind: '0:0:0:0:0:0:0:1', port: {number: 8080}, hosts: [./*]}]"
    )
    assert [one[:12] for one in said(sidecar(spec))] == ["error OUT306"]


def test_every_form_of_endpoint_host_and_protocol_is_understood() -> None:
    made = sidecar(
        "ingress: [{port: {number: 80, protocol: grpc}, bind: '::', defaultEndpoint: 'unix://@app'},"
        "          {port: {number: 81, protocol: Mongo}, defaultEndpoint: '[::1]:8081'},"
        "          {port: {number: 82}}],"
        "egress: [{port: {number: 443, protocol: TLS}, hosts: ['*/*.Example.com', ~prod/a.b, ~/c.d.]},"
        "         {hosts: ['*/*']}]"
    )
    assert policy(made).settings == ProxyShape(
        ingress=(
            Ingress(80, Protocol.GRPC, Pipe("@app"), "::"),
            Ingress(81, Protocol.TCP, Address("::1", 8081)),
            Ingress(82, Protocol.UNSPECIFIED, Address("127.0.0.1", 82)),
        ),
        egress=(
            Egress(
                (Import("*", "*.example.com"), Import("prod", "a.b", exclude=True), Import("*", "c.d", exclude=True)),
                443,
                None,
                Protocol.TLS,
            ),
            Egress((Import("*", "*"),)),
        ),
    )


def test_in_the_root_namespace_it_is_for_all_and_a_dot_is_whoever_it_applies_to() -> None:
    mesh_wide = policy(sidecar(f"{IN}, {OUT}", namespace="istio-system"))
    assert mesh_wide.applies_to == Selector(None)
    assert mesh_wide.settings.egress[0].imports == (Import(".", "*"),)
    selective = policy(sidecar(f"{IN}, {OUT}, workloadSelector: {{labels: {{a: b}}}}", namespace="istio-system"))
    assert selective.applies_to == Selector("istio-system", (("a", "b"),))
    assert selective.settings.egress[0].imports == (Import("istio-system", "*"),)


def test_a_unix_socket_and_an_http_proxy_lead_to_services_on_all_their_ports() -> None:
    made = sidecar(
        "egress: [{bind: 'unix:///run/calls', port: {number: 0, protocol: http}, hosts: [./*]},"
        "         {port: {number: 3128, protocol: HTTP_PROXY}, hosts: [./*]},"
        "         {port: {number: 80, protocol: HTTP}, hosts: [./*]}]"
    )
    socket, proxy, plain = policy(made).settings.egress
    everything = (Import("bookinfo", "*"),)
    assert socket == Egress(everything, 0, "unix:///run/calls", Protocol.HTTP)
    assert proxy == Egress(everything, 3128, None, Protocol.HTTP, proxy=True)
    assert [item.any_port for item in (socket, proxy, plain)] == [True, True, False]


def test_an_endpoint_on_all_addresses_is_the_workloads_own() -> None:
    made = sidecar(
        "ingress: [{port: {number: 80, protocol: HTTP_PROXY}, defaultEndpoint: '0.0.0.0:8080'},"
        "          {port: {number: 81}, defaultEndpoint: '[::]:8081'}]"
    )
    assert policy(made).settings.ingress == (
        Ingress(80, Protocol.HTTP, OwnPort(8080)),
        Ingress(81, Protocol.UNSPECIFIED, OwnPort(8081)),
    )


@pytest.mark.parametrize(
    ("written", "means"),
    [
        ("", (OutboundPolicy.REGISTRY_ONLY, None)),
        (", outboundTrafficPolicy: {}", (OutboundPolicy.REGISTRY_ONLY, None)),
        (", outboundTrafficPolicy: {mode: ALLOW_ANY}", (OutboundPolicy.ALLOW_ANY, None)),
        (
            ", outboundTrafficPolicy: {mode: ALLOW_ANY, egressProxy: {host: Out.Shop.svc., port: {number: 80}}}",
            (OutboundPolicy.ALLOW_ANY, ("out.shop.svc", 80)),
        ),
    ],
)
def test_what_becomes_of_unknown_hosts(written: str, means: tuple[OutboundPolicy, tuple[str, int] | None]) -> None:
    shape = policy(sidecar(f"{IN}, {OUT}{written}")).settings
    assert (shape.outbound, shape.egress_proxy) == means


def test_an_empty_selector_is_as_close_as_any_other_and_stays_in_its_namespace() -> None:
    empty = policy(sidecar(f"{OUT}, workloadSelector: {{}}", namespace="istio-system"))
    assert empty.applies_to == Selector("istio-system")
    assert empty.rank > policy(sidecar(OUT, namespace="istio-system", age=9)).rank


def test_the_closest_scope_wins_then_the_oldest_then_the_first_name() -> None:
    selector = "workloadSelector: {labels: {app: ratings}}"
    in_order = [
        sidecar(f"{OUT}, {selector}", name="b", age=9),
        sidecar(f"{OUT}, {selector}", name="a", age=5),
        sidecar(f"{OUT}, {selector}", name="ab", age=5),
        sidecar(f"{OUT}, {selector}", name="b", age=5),
        sidecar(OUT, name="a", age=100),
        sidecar(OUT, name="a", age=1),
        sidecar(OUT, name="a", namespace="istio-system", age=1000),
    ]
    by_rank = sorted(in_order, key=lambda made: policy(made).rank, reverse=True)
    assert by_rank == in_order


def test_a_sidecar_that_is_not_stored_yet_is_the_youngest() -> None:
    new = resource(
        f"{{apiVersion: networking.istio.io/v1, kind: Sidecar, metadata: {{name: a, namespace: n}}, spec: {{{OUT}}}}}",
        created=None,
    )
    assert policy(new).rank < policy(sidecar(OUT, name="z")).rank
