"""Dataplane: what is refused, with Kuma's paths and all of it at once; what it says to the core; how it shows."""

from dataclasses import replace
from typing import Any

import pytest
import yaml

from outrig.compile import compile_meshes
from outrig.dialects.kind import Scope
from outrig.dialects.kuma import DATAPLANE
from outrig.dialects.kuma.dataplane import dataplane_identities
from outrig.dialects.kuma.document import read
from outrig.model import Egress, Health, Import, Offer, Policy, Protocol, Regime, Sole, TlsMode, Workload
from outrig.resources import Resource
from tests.mesh_making import dataplane, tagged
from tests.unit.dialect_making import SCOPE

GOOD = "{port: 8080, servicePort: 80, tags: {kuma.io/service: kv}}"


def made(networking: str, **envelope: Any) -> Resource:
    content = {"type": "Dataplane", "mesh": "default", "name": "kv-1", **envelope}
    return read({**content, "networking": yaml.safe_load(networking)})


def said(networking: str, **envelope: Any) -> list[str]:
    return [f"{found.path}: {found.problem}" for found in DATAPLANE.findings(made(networking, **envelope))]


def facts(resource: Resource, scope: Scope = SCOPE) -> list[Any]:
    return list(DATAPLANE.compile(resource, scope))


def workloads(resource: Resource) -> dict[str, Workload]:
    return {fact.id: fact for fact in facts(resource) if isinstance(fact, Workload)}


def test_what_the_sample_for_ecs_writes_is_accepted_without_a_word() -> None:
    text = "{address: 10.0.0.2, inbound: [{port: 8000, servicePort: 5000, tags: {kuma.io/service: demo-app, \
        kuma.io/protocol: http}}], outbound: [{port: 10000, tags: {kuma.io/service: redis}}]}"
    assert said(text) == []


@pytest.mark.parametrize(
    ("networking", "problems"),
    [
        (
            "{inbound: []}",
            [
                "networking.address: address can't be empty",
                "networking.inbound: has to contain at least one inbound interface or gateway",
            ],
        ),
        ("{address: 0.0.0.0, inbound: [%s]}", ["networking.address: must not be 0.0.0.0 or ::"]),
        (
            "{address: kv.example.com, inbound: [%s]}",
            ["networking.address: 'kv.example.com' is a host name, which nobody looks up here"],
        ),
        ("{address: a b, inbound: [%s]}", ["networking.address: address has to be valid IP address"]),
        (
            "{address: 10.0.0.1, advertisedAddress: nat.example.com, inbound: [%s]}",
            ["networking.advertisedAddress: 'nat.example.com' is a host name, which nobody looks up here"],
        ),
        (
            "{address: 10.0.0.1, inbound: [{port: 0, servicePort: 70000, serviceAddress: x, tags: {a b: ''}}]}",
            [
                "networking.inbound[0].port: port must be in the range [1, 65535]",
                "networking.inbound[0].servicePort: port must be in the range [1, 65535]",
                "networking.inbound[0].serviceAddress: serviceAddress has to be valid IP address",
                'networking.inbound[0].tags["kuma.io/service"]: tag has to exist',
                'networking.inbound[0].tags["a b"]: '
                "tag name must be non-empty and consist of letters, digits and . - _ : /",
                'networking.inbound[0].tags["a b"]: '
                "tag value must be non-empty and consist of letters, digits and . - _ :",
            ],
        ),
        (
            "{address: 10.0.0.1, inbound: [{port: 80, serviceAddress: 10.0.0.1, tags: {kuma.io/service: kv}}]}",
            [
                "networking.inbound[0].serviceAddress: "
                "serviceAddress and servicePort has to differ from address and port"
            ],
        ),
        (
            "{address: 10.0.0.1, inbound: [{port: 80, servicePort: 81, protocol: smtp, \
              tags: {kuma.io/service: kv, kuma.io/protocol: htp}}]}",
            [
                "networking.inbound[0].protocol: "
                "'smtp' is no protocol. Allowed values: grpc, http, http2, kafka, tcp",
                'networking.inbound[0].tags["kuma.io/protocol"]: '
                "'htp' is no protocol. Allowed values: grpc, http, http2, kafka, tcp",
            ],
        ),
        (
            "{address: 10.0.0.1, inbound: [{port: 80, servicePort: 81, tags: {kuma.io/service: kv}, \
              serviceProbe: {interval: 0s, timeout: soon, unhealthyThreshold: 0, tcp: {}}}]}",
            [
                "networking.inbound[0].serviceProbe.interval: must be a positive duration",
                "networking.inbound[0].serviceProbe.timeout: must be a positive duration",
                "networking.inbound[0].serviceProbe.unhealthyThreshold: must be greater than 0",
            ],
        ),
        (
            "{address: 10.0.0.1, inbound: [{port: 80, servicePort: 81, tags: {kuma.io/service: kv}, \
              serviceProbe: {interval: 99ms, timeout: 1ms, healthyThreshold: 4294967296, tcp: {}}}]}",
            [
                "networking.inbound[0].serviceProbe.interval: must be at least 100ms",
                "networking.inbound[0].serviceProbe.timeout: must be at least 100ms",
                "networking.inbound[0].serviceProbe.healthyThreshold: must be at most 4294967295",
            ],
        ),
        (
            "{address: 10.0.0.1, inbound: [{port: 80, servicePort: 1, name: '81', tags: {kuma.io/service: kv}}, \
              {port: 81, servicePort: 2, tags: {kuma.io/service: kv}}]}",
            ["networking.inbound[1].name: names of inbounds must be unique"],
        ),
        (
            "{address: 10.0.0.1, inbound: [{port: 80, servicePort: 1, name: '81', tags: {kuma.io/service: kv}}, \
              {port: 81, servicePort: 2, name: admin, tags: {kuma.io/service: kv}}]}",
            [],
        ),
        (
            "{address: 224.0.0.1, advertisedAddress: 255.255.255.255, inbound: [{port: 80, servicePort: 81, \
              address: 'ff02::1', tags: {kuma.io/service: kv}}]}",
            [
                "networking.address: is the address of many, not of one proxy",
                "networking.advertisedAddress: is the address of many, not of one proxy",
                "networking.inbound[0].address: is the address of many, not of one proxy",
            ],
        ),
        (
            f"{{address: 10.0.0.1, inbound: [{{port: 80, servicePort: 81, \
              tags: {{kuma.io/service: {'s' * 300}, {'t' * 254}: x}}}}]}}",
            [
                'networking.inbound[0].tags["kuma.io/service"]: '
                "tag value must have at most 253 characters, and has 300",
                f'networking.inbound[0].tags["{"t" * 254}"]: '
                "tag name must have at most 253 characters, and has 254",
            ],
        ),
        (
            "{address: 10.0.0.1, inbound: [%s], outbound: [{port: 1, \
              tags: {kuma.io/service: a, kuma.io/protocol: htp, kuma.io/zone: east}}]}",
            [
                "networking.outbound[0].tags[\"kuma.io/protocol\"]: 'htp' chooses no inbound, so calls fail",
                "networking.outbound[0].tags[\"kuma.io/zone\"]: 'east' chooses no inbound, so calls fail",
            ],
        ),
        (
            "{address: 10.0.0.1, inbound: [{port: 80, servicePort: 81, name: a, tags: {kuma.io/service: kv}}, \
              {port: 80, address: 10.0.0.2, servicePort: 81, name: a, tags: {kuma.io/service: kv}}]}",
            [
                "networking.inbound[1].name: names of inbounds must be unique",
                "networking.inbound[1].port: "
                "an earlier inbound has port 80: ports of inbounds differ, whatever their addresses",
            ],
        ),
        (
            "{address: 10.0.0.1, inbound: [%s], outbound: [{port: 1}, {port: 0, tags: {kuma.io/service: a}}, \
              {port: 2, address: x, tags: {kuma.io/service: a}}]}",
            [
                "networking.outbound[0].tags[\"kuma.io/service\"]: mandatory tag \"kuma.io/service\" is missing",
                "networking.outbound[1].port: port must be in the range [1, 65535]",
                "networking.outbound[2].address: address has to be valid IP address",
            ],
        ),
        (
            "{address: 10.0.0.1, inbound: [%s], outbound: [{port: 1, backendRef: {kind: MeshService, name: kv}}]}",
            ["networking.outbound[0].backendRef: backendRef is not supported yet"],
        ),
        (
            "{address: 10.0.0.1, inbound: [%s], outbound: [{port: 1, address: 10.0.0.1, \
              tags: {kuma.io/service: a}}]}",
            [
                "networking.outbound[0].address: "
                "whoever reaches 10.0.0.1 can make calls with the identity of the workload"
            ],
        ),
        (
            "{address: 10.0.0.1, gateway: {type: BUILTIN, tags: {kuma.io/service: g, kuma.io/protocol: http}}, \
              inbound: [%s]}",
            [
                "networking.gateway.type: BUILTIN is not supported yet",
                'networking.gateway.tags["kuma.io/protocol"]: other values than tcp are not allowed for a gateway',
                "networking.inbound: inbound cannot be defined for a gateway",
            ],
        ),
        (
            "{address: 10.0.0.1, inbound: [%s], transparentProxying: {}, listeners: []}",
            [
                "networking.transparentProxying: is not supported: nothing is redirected",
                "networking.listeners: listeners are not supported yet",
            ],
        ),
        (
            "{address: 10.0.0.1, inbound: [%s], outbound: [{port: 9, tags: {kuma.io/service: a}}], admin: {port: 9}}",
            [
                "networking.admin.port: has no effect: Envoy's admin is a unix socket beside the agent",
                "networking.admin.port: must differ from outbound",
            ],
        ),
        (
            "{address: 10.0.0.1, inbound: [{port: 80, servicePort: 81, \
              tags: {kuma.io/service: kv, kuma.io/zone: east}}]}",
            ['networking.inbound[0].tags["kuma.io/zone"]: is set by the control plane: default'],
        ),
    ],
)  # fmt: skip
def test_all_that_is_wrong_is_said_at_once_with_its_path(networking: str, problems: list[str]) -> None:
    assert said(networking.replace("%s", GOOD)) == problems


@pytest.mark.parametrize(
    ("outbound", "problem"),
    [
        (
            "{port: 1, tags: {kuma.io/service: a}}, {port: 1, tags: {kuma.io/service: b}}",
            "networking.outbound[0] has it",
        ),
        ("{port: 8080, address: 10.0.0.1, tags: {kuma.io/service: a}}", "networking.inbound[0] has it"),
        ("{port: 80, tags: {kuma.io/service: a}}", "the application of networking.inbound[0] listens there"),
        ("{port: 80, address: '::', tags: {kuma.io/service: a}}", "the application of networking.inbound[0] listens"),
    ],
)
def test_sockets_of_which_only_one_could_be_open_are_refused(outbound: str, problem: str) -> None:
    assert any(problem in one for one in said(f"{{address: 10.0.0.1, inbound: [{GOOD}], outbound: [{outbound}]}}"))


def test_the_agents_own_port_is_taken() -> None:
    clash = "is taken by the agent's readiness"
    assert (
        clash
        in said(
            f"{{address: 10.0.0.1, inbound: [{GOOD}], outbound: [{{port: 9902, tags: \
        {{kuma.io/service: a}}}}]}}"
        )[0]
    )
    on_app = "{address: 10.0.0.1, inbound: [{port: 9902, tags: {kuma.io/service: a}}]}"
    assert any(clash in one for one in said(on_app))


def test_legacy_fields_are_refused_as_such() -> None:
    problems = said(f"{{address: 10.0.0.1, inbound: [{GOOD}]}}", metrics={"type": "prometheus"}, probes={})
    assert problems == ["metrics: metrics is not supported yet", "probes: probes is not supported yet"]


def test_it_is_one_workload_with_a_proxy_and_one_for_each_inbound() -> None:
    calls: dict[str, Any] = {"port": 1, "servicePort": 2, "name": "main", "protocol": "grpc"}
    calls["tags"] = {"kuma.io/service": "calls", "version": "v1"}
    inbound = [yaml.safe_load(GOOD), calls]
    resource = dataplane("kv-1", "10.0.0.2", advertisedAddress="192.0.2.2", inbound=inbound)
    resource = replace(resource, labels={"team": "a"})
    found = workloads(resource)
    assert list(found) == ["dataplane/default/kv-1", "dataplane/default/kv-1/8080", "dataplane/default/kv-1/1"]
    proxy, first, second = found.values()
    assert (proxy.namespace, proxy.address, proxy.host) == ("kuma-default", "192.0.2.2", "10.0.0.2")
    assert ("team", "a") in proxy.labels
    assert proxy.proxied
    assert not first.proxied
    assert first.proxy == second.proxy == proxy.id
    assert first.ports == (("inbound", 8080),)
    assert {("kuma.io/service", "calls"), ("kuma.io/zone", "default"), ("version", "v1")} <= set(second.labels)
    assert {one.tls_default for one in found.values()} == {TlsMode.DISABLE}
    assert {one.regime for one in found.values()} == {Regime.CLOSED}
    assert {one.identities for one in found.values()} == {dataplane_identities(resource)}
    offers = [fact.service for fact in facts(resource) if isinstance(fact, Offer)]
    ports = [((p.number, p.protocol, p.target), service.host) for service in offers for p in service.ports]
    assert ports == [((8080, Protocol.TCP, "inbound"), "kv.mesh"), ((1, Protocol.GRPC, "inbound"), "calls.mesh")]


def test_its_certificate_names_every_service_and_every_tag_once() -> None:
    resource = dataplane("d", "10.0.0.1", inbound=[tagged("a", 1000), tagged("b", 2000, state="x")])
    assert dataplane_identities(resource) == (
        "spiffe://default/a",
        "spiffe://default/b",
        "kuma://kuma.io/protocol/http",
        "kuma://kuma.io/service/a",
        "kuma://kuma.io/service/b",
        "kuma://kuma.io/zone/default",
        "kuma://state/x",
    )
    ignored = dataplane("d", "10.0.0.1", inbound=[{**tagged("a", 1000), "state": "Ignored"}])
    assert "spiffe://default/a" in dataplane_identities(ignored)
    assert workloads(ignored).keys() == {"dataplane/default/d"}
    gateway = dataplane("g", "10.0.0.1", gateway={"tags": {"kuma.io/service": "edge"}})
    assert dataplane_identities(gateway)[0] == "spiffe://default/edge"


def test_the_application_is_on_loopback_unless_it_is_said_to_be_elsewhere() -> None:
    resource = dataplane(
        "d", "10.0.0.1", inbound=[tagged("a", 1000), {**tagged("b", 2000), "serviceAddress": "10.0.0.9"}]
    )
    (shape,) = [fact.settings for fact in facts(resource) if isinstance(fact, Policy)]
    assert [str(one.target) for one in shape.ingress] == [
        "Address(host='127.0.0.1', port=900)",
        "Address(host='10.0.0.9', port=1900)",
    ]


def test_an_outbound_is_for_one_service_whichever_dialect_it_is_of() -> None:
    outbound = [
        {"port": 1, "tags": {"kuma.io/service": "kv", "version": "v1"}},
        {"port": 2, "address": "127.0.0.9", "tags": {"kuma.io/service": "ratings_bookinfo_svc_9080"}},
        {"port": 3, "tags": {"kuma.io/service": "ratings_bookinfo_svc_0"}},
    ]
    resource = dataplane("d", "10.0.0.1", "prod", inbound={"a": 1000}, outbound=outbound)
    (shape,) = [fact.settings for fact in facts(resource) if isinstance(fact, Policy)]
    kumas = [Import("kuma-prod", f"{name}.mesh") for name in ("kv", "ratings_bookinfo_svc_9080")]
    assert shape.egress[:2] == (
        Egress((kumas[0],), 1, "127.0.0.1", sole=Sole("kv", (None,), (("version", "v1"),))),
        Egress(
            (kumas[1], Import("bookinfo", "@ratings")),
            2,
            "127.0.0.9",
            sole=Sole("ratings_bookinfo_svc_9080", (None, 9080)),
        ),
    )
    assert len(shape.egress[2].imports) == 1


@pytest.mark.parametrize(
    ("inbound", "status", "health"),
    [
        ({}, {}, Health.READY),
        ({"state": "NotReady"}, {}, Health.UNREADY),
        ({"health": {"ready": False}}, {}, Health.UNREADY),
        ({"serviceProbe": {"tcp": {}}}, {}, Health.UNREADY),
        ({"serviceProbe": {"tcp": {}}}, {"unreadyPorts": []}, Health.READY),
        ({}, {"unreadyPorts": [1000]}, Health.UNREADY),
        ({}, {"unreadyPorts": [1001]}, Health.READY),
        ({}, {"conditions": [{"type": "Ready", "status": "True", "reason": "Ready"}]}, Health.READY),
        ({}, {"conditions": [{"type": "Ready", "status": "False", "reason": "Starting"}]}, Health.UNREADY),
        ({}, {"conditions": [{"type": "Ready", "status": "False", "reason": "Draining"}]}, Health.DRAINING),
        (
            {"state": "NotReady"},
            {"conditions": [{"type": "Ready", "status": "False", "reason": "Draining"}]},
            Health.UNREADY,
        ),
    ],
)
def test_an_inbound_is_called_when_its_author_its_agent_and_its_probe_say_so(
    inbound: dict[str, Any], status: dict[str, Any], health: Health
) -> None:
    resource = dataplane("d", "10.0.0.1", inbound=[{**tagged("a", 1000), **inbound}], status=status)
    assert workloads(resource)["dataplane/default/d/1000"].health is health


@pytest.mark.parametrize(
    ("protocols", "common", "mixed"),
    [
        (("http", "http"), Protocol.HTTP, False),
        (("http", "http2"), Protocol.HTTP, False),
        (("grpc", "http2"), Protocol.HTTP2, False),
        (("grpc", "http"), Protocol.HTTP, False),
        (("tcp", "http"), Protocol.TCP, True),
        (("kafka", "mysql"), Protocol.TCP, False),
        (("tcp", "tls"), Protocol.TCP, False),
    ],
)
def test_a_service_is_spoken_to_in_what_all_of_it_speaks(
    protocols: tuple[str, str], common: Protocol, mixed: bool
) -> None:
    several = [
        dataplane(f"d{n}", f"10.0.0.{n}", inbound=[tagged("a", 1000 + n, protocol)])
        for n, protocol in enumerate(protocols)
    ]
    for order in (several, several[::-1]):
        (service,) = compile_meshes(order, [DATAPLANE])["default"].services
        assert [(port.number, port.protocol, port.mixed) for port in service.ports] == [
            (1000, common, mixed),
            (1001, common, mixed),
        ]
        assert service.accepted == ("spiffe://default/a",)


def test_a_row_shows_tags_and_address() -> None:
    resource = replace(dataplane("d", "10.0.0.1", advertisedAddress="192.0.2.1", inbound={"a": 1000}), created=None)
    cells = {column.name: column.cell(resource) for column in DATAPLANE.columns}
    assert cells["Tags"] == "kuma.io/protocol=http kuma.io/service=a kuma.io/zone=default"
    assert cells["Address"] == "192.0.2.1"
