"""ServiceEntry: what it means to the core, and all that is said about a wrong one, at once."""

from typing import Any

import pytest

from outrig.model import AddressForm, Protocol, Resolution, Selector, Service, ServicePort, TlsMode
from outrig.resources import Resource
from tests.unit.dialect_making import cells, facts, resource, said, schema_problems

HEAD = "{apiVersion: networking.istio.io/v1, kind: ServiceEntry, metadata: {name: e, namespace: n%s}, spec: {%s}}"
HTTP = "ports: [{number: 80, name: http, protocol: HTTP}]"
TCP = "ports: [{number: 3306, name: db, protocol: TCP}]"
EXT = "hosts: [ext.example.com], resolution: DNS"
STATIC = "hosts: [ext.example.com], resolution: STATIC"
LOOKS_UP = (
    "warning OUT309 spec.resolution: nothing is redirected: the host that is called is looked up by DNS "
    "(write DNS if that is meant)"
)


def entry(spec: str, metadata: str = "") -> Resource:
    return resource(HEAD % (metadata, spec))


def services(spec: str, metadata: str = "") -> list[Service]:
    made = facts(entry(spec, metadata))
    assert all(isinstance(fact, Service) for fact in made)
    return [fact for fact in made if isinstance(fact, Service)]


def only(spec: str, metadata: str = "") -> Service:
    (service,) = services(spec, metadata)
    return service


def test_each_host_is_a_service_and_addresses_are_names_of_the_first() -> None:
    first, second = services(
        f"hosts: [Ext.Example.com., '*.example.org', ext.example.com], addresses: [240.0.0.7, 10.0.0.0/8], {HTTP}"
    )
    assert (first.host, second.host) == ("ext.example.com", "*.example.org")
    assert first.names == ("ext.example.com.", "240.0.0.7")
    assert second.names == ("*.example.org.",)
    assert first.local_names == ()


def test_ports_have_their_protocol_and_the_endpoints_number() -> None:
    ports = (
        "ports: [{number: 80, name: http, protocol: HTTP, targetPort: 8080}, {number: 443, name: tls, protocol: HTTPS},"
        "{number: 81, name: web, protocol: GRPC-Web}, {number: 82, name: proxy, protocol: HTTP_PROXY},"
        "{number: 53, name: dns, protocol: UDP}, {number: 3306, name: unsaid}, {number: 90, name: http-unsaid}]"
    )
    assert only(f"{EXT}, {ports}").ports == (
        ServicePort(80, "http", Protocol.HTTP, 8080),
        ServicePort(443, "tls", Protocol.TLS, 443),
        ServicePort(81, "web", Protocol.HTTP, 81),
        ServicePort(82, "proxy", Protocol.HTTP, 82),
        ServicePort(3306, "unsaid", Protocol.TCP, 3306),
        ServicePort(90, "http-unsaid", Protocol.UNSPECIFIED, 90),
    )


@pytest.mark.parametrize("resolution", ["DNS", "DNS_ROUND_ROBIN", "NONE"])
def test_without_endpoints_the_host_itself_is_looked_up(resolution: str) -> None:
    made = only(f"hosts: [ext.example.com], resolution: {resolution}, {HTTP}")
    (itself,) = made.members
    assert (itself.address, itself.form, itself.identities) == ("ext.example.com", AddressForm.NAME, ())
    assert made.resolution is (Resolution.DNS_ROUND_ROBIN if resolution == "DNS_ROUND_ROBIN" else Resolution.DNS)


def test_endpoints_inside_keep_all_that_is_said_about_them() -> None:
    one, two, three = only(
        f"{STATIC}, location: MESH_INTERNAL, {HTTP}, endpoints: ["
        "{address: 10.0.0.1, ports: {http: 8080}, weight: 3, locality: r/z/s, serviceAccount: a, labels: {v: '1'}},"
        "{address: 10.0.0.2, labels: {security.istio.io/tlsMode: istio, istio-locality: r.z}},"
        "{address: 'unix:///run/x', serviceAccount: a, labels: {security.istio.io/tlsMode: disabled}}]"
    ).members
    assert (one.ports, one.weight, one.locality, one.zone) == ((("http", 8080),), 3, "r/z/s", "r/z")
    assert one.identities == ("spiffe://cluster.local/ns/n/sa/a",)
    assert (two.identities, two.locality) == (("spiffe://cluster.local/ns/n/sa/default",), "r/z")
    assert (three.form, three.identities, three.tls_default) == (AddressForm.SOCKET, (), TlsMode.DISABLE)
    assert len({member.id for member in (one, two, three)}) == 3


def test_a_selector_chooses_entries_of_the_namespace_whose_address_the_resolution_can_use() -> None:
    chosen = "workloadSelector: {labels: {app: a}}"
    told, looked_up = only(f"{STATIC}, {chosen}"), only(f"{EXT}, {chosen}")
    assert told.selector == looked_up.selector == Selector("n", (("app", "a"),))
    assert told.forms == {AddressForm.IP, AddressForm.SOCKET}
    assert looked_up.forms == {AddressForm.IP, AddressForm.NAME}
    assert told.members == looked_up.members == ()
    assert only(f"hosts: [ext.example.com], {chosen}").selector is None


def test_external_is_what_nobody_said_to_be_internal_and_has_no_identity_to_accept() -> None:
    names = "subjectAltNames: ['spiffe://d/b', 'spiffe://d/a']"
    outside = only(f"{STATIC}, {names}, endpoints: [{{address: 10.0.0.1, serviceAccount: a}}]")
    assert (outside.external, outside.accepted) == (True, ())
    assert [workload.identities for workload in outside.behind(())] == [()]
    inside = only(f"{STATIC}, {names}, location: MESH_INTERNAL")
    assert (inside.external, inside.accepted) == (False, ("spiffe://d/a", "spiffe://d/b"))


@pytest.mark.parametrize(
    ("words", "namespaces"),
    [("[]", ("*",)), ("['*']", ("*",)), ("['.']", ("n",)), ("['~']", ()), ("['.', bank]", ("n", "bank"))],
)
def test_who_sees_it(words: str, namespaces: tuple[str, ...]) -> None:
    assert only(f"{EXT}, exportTo: {words}").exported_to == namespaces


def test_near_endpoints_come_first_where_the_annotation_says_so_and_endpoints_are_told() -> None:
    asked = ", annotations: {networking.istio.io/traffic-distribution: preferClose}"
    assert only(STATIC, asked).near_first
    assert not only(STATIC).near_first
    assert not only(EXT, asked).near_first


def test_what_cannot_be_supported_means_nothing() -> None:
    assert services("hosts: ['*.example.com'], resolution: DYNAMIC_DNS") == []


def test_the_table_shows_hosts_location_and_resolution() -> None:
    made = entry("hosts: [a.example.com, b.example.com], location: MESH_INTERNAL, resolution: STATIC")
    assert cells(made)[:3] == ['["a.example.com","b.example.com"]', "MESH_INTERNAL", "STATIC"]


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        (f"{EXT}, {HTTP}", []),
        (f"hosts: [mysql], resolution: DNS, {TCP}", []),
        (f"hosts: [ext.example.com], {HTTP}", [LOOKS_UP]),
        (
            f"hosts: ['*', 10.0.0.1, 'a..b', '*foo.com', 'a.*.com'], resolution: STATIC, {HTTP}, "
            "workloadSelector: {labels: {a: b}}",
            [
                "error OUT303 spec.hosts[0]: must not be * alone (for example *.example.com)",
                *(
                    f"error OUT303 spec.hosts[{index}]: {host!r} is no host name "
                    "(for example api.example.com or *.example.com)"
                    for index, host in enumerate(["10.0.0.1", "a..b", "*foo.com", "a.*.com"], start=1)
                ),
            ],
        ),
        (
            f"hosts: [a.b, a.b], resolution: DNS, {HTTP}",
            ["warning OUT305 spec.hosts[1]: host 'a.b' is there twice"],
        ),
        (
            f"{EXT}, addresses: [10.0.0.0/8, nowhere], {HTTP}",
            [
                "error OUT303 spec.addresses[0]: a network goes with resolution NONE or STATIC only",
                "warning OUT302 spec.addresses[0]: a network has no effect: no traffic is redirected "
                "(list its addresses)",
                "error OUT303 spec.addresses[1]: 'nowhere' is no IP address",
            ],
        ),
        (EXT, ["warning OUT311 spec.ports: without a port nothing can call it"]),
        (
            f"{EXT}, ports: [{{number: 80, name: a, protocol: HTPP}}, {{number: 80, name: a, protocol: udp}}]",
            [
                "error OUT303 spec.ports[0].protocol: 'HTPP' is no protocol (did you mean 'HTTP'?)",
                "error OUT305 spec.ports[1].number: port 80 is there twice",
                "error OUT305 spec.ports[1].name: port name 'a' is there twice",
                "warning OUT302 spec.ports[1].protocol: UDP ports take no part in the mesh",
            ],
        ),
        (
            f"hosts: ['*.example.com'], resolution: DYNAMIC_DNS, {HTTP}",
            [
                "error OUT301 spec.resolution: looking up whatever host is called is not supported yet "
                "(list the hosts and write DNS)"
            ],
        ),
        (
            f"hosts: ['*.example.com'], resolution: DNS, {HTTP}",
            [
                "error OUT301 spec.hosts[0]: '*.example.com' cannot be looked up "
                "(list the hosts, or give endpoints with resolution STATIC)"
            ],
        ),
        (
            f"hosts: ['*.example.com'], {HTTP}, workloadSelector: {{labels: {{a: b}}}}",
            [
                LOOKS_UP,
                "error OUT301 spec.hosts[0]: '*.example.com' cannot be looked up "
                "(list the hosts, or give endpoints with resolution STATIC)",
                "warning OUT302 spec.workloadSelector: has no effect with resolution NONE",
            ],
        ),
        (
            f"hosts: [a.b, c.d], resolution: DNS, {TCP}",
            [
                "error OUT303 spec.hosts: several hosts cannot share a port that is neither HTTP nor TLS "
                "(write a ServiceEntry for each)"
            ],
        ),
        (f"hosts: [a.b, c.d], {TCP}", [LOOKS_UP]),
        (
            f"{STATIC}, {HTTP}, workloadSelector: {{}}, endpoints: [{{address: 10.0.0.1}}]",
            [
                "error OUT303 spec.workloadSelector: either endpoints or workloadSelector, not both",
                "warning OUT312 spec.workloadSelector: without labels it is every entry of the namespace",
            ],
        ),
        (
            f"hosts: [a.b], {HTTP}, endpoints: [{{address: 10.0.0.1}}]",
            [
                LOOKS_UP,
                "error OUT303 spec.endpoints: endpoints need another resolution than NONE "
                "(write STATIC for IP addresses, DNS for names)",
            ],
        ),
        (
            f"hosts: [a.b], resolution: DNS_ROUND_ROBIN, {HTTP}, endpoints: [{{address: a.b}}, {{address: c.d}}]",
            ["error OUT303 spec.endpoints: DNS_ROUND_ROBIN takes one endpoint at most (write DNS)"],
        ),
        (f"{STATIC}, {HTTP}", ["warning OUT311 spec.endpoints: without endpoints there is nothing behind it"]),
        (
            f"{STATIC}, {HTTP}, endpoints: [{{address: a.b}}, {{}}, {{address: 10.0.0.300}}, "
            "{address: 10.0.0.1, ports: {htp: 80}, network: x}]",
            [
                "error OUT303 spec.endpoints[0].address: STATIC takes IP addresses and unix sockets "
                "(write resolution: DNS)",
                "error OUT304 spec.endpoints[1].address: address is required",
                "error OUT303 spec.endpoints[2].address: "
                "endpoint address '10.0.0.300' is not a valid FQDN or an IP address",
                "error OUT303 spec.endpoints[3].ports[htp]: endpoint port htp is not defined by the service entry "
                "(did you mean 'http'?)",
                "warning OUT302 spec.endpoints[3].network: has no effect yet: all addresses are called as they are",
            ],
        ),
        (
            "hosts: [a.b], resolution: DNS, endpoints: [{address: 'unix:///x', ports: {a: 1}}, {address: 'unix://x'}], "
            "ports: [{number: 1, name: a, protocol: HTTP}, {number: 2, name: b, protocol: HTTP}]",
            [
                "error OUT303 spec.endpoints[0].address: UDS may not include ports",
                "error OUT303 spec.endpoints[0].address: a unix socket cannot be looked up (write resolution: STATIC)",
                "error OUT303 spec.endpoints[0].address: a unix socket needs exactly one port in the service entry",
                "error OUT303 spec.endpoints[1].address: must be an absolute path, unix:///..., or unix://@name, "
                "of at most 107 bytes",
                "error OUT303 spec.endpoints[1].address: a unix socket cannot be looked up (write resolution: STATIC)",
                "error OUT303 spec.endpoints[1].address: a unix socket needs exactly one port in the service entry",
            ],
        ),
        (
            f"{EXT}, {HTTP}, exportTo: ['.', '.', '*', '~', A_b]",
            [
                "error OUT305 spec.exportTo[1]: '.' is there twice",
                "error OUT303 spec.exportTo[2]: * must stand alone",
                "error OUT303 spec.exportTo[3]: ~ must stand alone",
                "error OUT303 spec.exportTo[4]: 'A_b' is no namespace (., *, ~ or a name)",
            ],
        ),
        (
            f"{EXT}, {HTTP}, subjectAltNames: [ext.example.com]",
            ["warning OUT302 spec.subjectAltNames[0]: has no effect: no TLS is begun towards MESH_EXTERNAL"],
        ),
        (
            f"{EXT}, {HTTP}, location: MESH_INTERNAL, subjectAltNames: [ext.example.com]",
            [
                "error OUT303 spec.subjectAltNames[0]: 'ext.example.com' is no SPIFFE URI, "
                "which is all that certificates here carry"
            ],
        ),
    ],
)
def test_what_is_said_about_an_entry(spec: str, says: list[str]) -> None:
    assert said(entry(spec)) == says


@pytest.mark.parametrize(
    ("spec", "word", "says"),
    [
        (f"{STATIC}, {HTTP}, endpoints: [{{address: 10.0.0.1}}]", "PreferClose", []),
        (
            f"{EXT}, {HTTP}",
            "PreferClose",
            ["warning OUT302 metadata.annotations: a traffic distribution needs resolution STATIC"],
        ),
        (
            f"{STATIC}, {HTTP}, endpoints: [{{address: 10.0.0.1}}]",
            "PreferClos",
            [
                "warning OUT302 metadata.annotations[networking.istio.io/traffic-distribution]: "
                "'PreferClos' has no effect (did you mean 'PreferClose'?)"
            ],
        ),
    ],
)
def test_what_is_said_about_a_traffic_distribution(spec: str, word: str, says: list[str]) -> None:
    assert said(entry(spec, f", annotations: {{networking.istio.io/traffic-distribution: {word}}}")) == says


@pytest.mark.parametrize(
    ("spec", "problems"),
    [
        ("resolution: DNS", ["spec.hosts: Field required"]),
        ("hosts: []", ["spec.hosts: List should have at least 1 item after validation, not 0"]),
        (
            "hosts: [a.b], ports: [{protocol: HTTP}], resolution: dns, location: inside, endpoint: []",
            [
                "spec.ports.0.number: Field required",
                "spec.ports.0.name: Field required",
                "spec.location: Input should be 'MESH_EXTERNAL' or 'MESH_INTERNAL'",
                "spec.resolution: Input should be 'NONE', 'STATIC', 'DNS', 'DNS_ROUND_ROBIN' or 'DYNAMIC_DNS'",
                "spec.endpoint: Extra inputs are not permitted",
            ],
        ),
    ],
)
def test_a_document_that_does_not_fit_is_told_all_that_is_wrong(spec: str, problems: list[Any]) -> None:
    assert schema_problems(HEAD % ("", spec)) == problems
