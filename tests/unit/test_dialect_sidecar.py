"""Sidecar: what is refused and why, what is only warned of, what it means, and which of several applies."""

from datetime import timedelta

import pytest

from outrig.model import Address, Egress, Import, Ingress, Pipe, Policy, Protocol, ProxyShape, Selector
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
        ingress("port: {number: 80}, defaultEndpoint: '0.0.0.0:8080'"),
        [
            "error OUT301 spec.ingress[0].defaultEndpoint: the workload's own address is not supported as endpoint yet "
            "(write 127.0.0.1:8080)"
        ],
    ),
    *(
        (
            ingress(f"port: {{number: 80}}, defaultEndpoint: '{endpoint}'"),
            [
                f"error OUT303 spec.ingress[0].defaultEndpoint: '{endpoint}' is no endpoint "
                "(one of 127.0.0.1:PORT, [::1]:PORT, unix:///PATH or unix://@NAME)"
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
        egress("bind: 'unix:///run/x', port: {number: 0}, hosts: [./*]"),
        ["error OUT301 spec.egress[0].bind: unix sockets are not supported here yet (write an IP address)"],
    ),
    (
        egress("bind: fe80::1%eth0, port: {number: 80}, hosts: [./*]"),
        ["error OUT303 spec.egress[0].bind: 'fe80::1%eth0' is no IP address (for example 127.0.0.2)"],
    ),
    (
        egress("bind: 127.0.0.2, port: {number: 80}, hosts: [details, ./details, ./*foo.bar, x_y/*, ~./*]"),
        [
            "error OUT303 spec.egress[0].hosts[0]: 'details' is not namespace/host "
            "(for example ./*, */*, bookinfo/*.svc.cluster.local)",
            "error OUT303 spec.egress[0].hosts[1]: './details' is not namespace/host "
            "(write the whole host: ./details.bookinfo.svc.cluster.local)",
            *(
                f"error OUT303 spec.egress[0].hosts[{index}]: '{host}' is not namespace/host "
                "(for example ./*, */*, bookinfo/*.svc.cluster.local)"
                for index, host in ((2, "./*foo.bar"), (3, "x_y/*"), (4, "~./*"))
            ),
        ],
    ),
    (
        f"{IN}, {OUT}, outboundTrafficPolicy: {{mode: ALLOW_ANY, egressProxy: {{host: a.b}}}}",
        [
            "error OUT301 spec.outboundTrafficPolicy.egressProxy: is not supported yet",
            "warning OUT310 spec.outboundTrafficPolicy.mode: without iptables unknown hosts cannot be passed through: "
            "they are answered 502 (the application can call such hosts directly)",
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
    (
        f"{IN}, {OUT}, inboundConnectionPool: {{}}",
        ["warning OUT302 spec.inboundConnectionPool: has no effect yet"],
    ),
    (
        ingress("port: {number: 80}, defaultEndpoint: ':80', connectionPool: {http: {}}"),
        ["warning OUT302 spec.ingress[0].connectionPool: has no effect yet"],
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
