"""Namespace, ServiceAccount, Service and Event: what a user writes, what it means, what is said about it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outrig.dialects.core.service_spec import with_defaults
from outrig.dialects.protocols import protocol_of_port
from outrig.model import Namespace, Protocol, Selector, Service, ServicePort
from tests.unit.dialect_making import cells, facts, found, resource, said

RATINGS = """
apiVersion: v1
kind: Service
metadata: {name: ratings, namespace: bookinfo}
spec:
  selector: {app: ratings}
  ports: [{name: http, port: 9080}]
"""


def service(spec: str, name: str = "ratings") -> Any:
    return resource(f"{{apiVersion: v1, kind: Service, metadata: {{name: {name}, namespace: bookinfo}}, spec: {spec}}}")


def test_a_service_is_known_by_every_name_that_istio_gives_it() -> None:
    made = resource(RATINGS)
    assert facts(made) == (
        Service(
            origin=made.key,
            namespace="bookinfo",
            host="ratings.bookinfo.svc.cluster.local",
            ports=(ServicePort(9080, "http", Protocol.HTTP, 9080),),
            selector=Selector("bookinfo", (("app", "ratings"),)),
            names=("ratings.bookinfo", "ratings.bookinfo.svc", "ratings.bookinfo.svc.cluster.local."),
            local_names=("ratings",),
        ),
    )
    assert found(made) == []


def test_addresses_written_down_are_names_too_each_once() -> None:
    (fact,) = facts(
        service("{clusterIP: 10.0.0.7, clusterIPs: [10.0.0.7, 'fd00::7'], selector: {a: b}, ports: [{port: 1}]}")
    )
    assert isinstance(fact, Service)
    assert fact.names[3:] == ("10.0.0.7", "fd00::7")


def test_a_server_fills_in_what_kubernetes_fills_in_but_no_cluster_ip() -> None:
    assert resource(RATINGS).spec == {
        "type": "ClusterIP",
        "sessionAffinity": "None",
        "internalTrafficPolicy": "Cluster",
        "ipFamilies": ["IPv4"],
        "ipFamilyPolicy": "SingleStack",
        "selector": {"app": "ratings"},
        "ports": [{"name": "http", "port": 9080, "protocol": "TCP", "targetPort": 9080}],
    }
    assert cells(resource(RATINGS)) == [
        "ClusterIP",
        "<none>",
        "<none>",
        "9080/TCP",
        "2026-11-21T12:00:00Z",
        "app=ratings",
    ]


def test_a_target_port_may_be_a_number_or_a_name() -> None:
    (fact,) = facts(
        service(
            "{selector: {a: b}, ports: [{name: a, port: 80, targetPort: 8080}, {name: b, port: 81, targetPort: web}]}"
        )
    )
    assert isinstance(fact, Service)
    assert [port.target for port in fact.ports] == [8080, "web"]


@pytest.mark.parametrize(
    ("field", "annotation", "near"),
    [
        ("", "", False),
        ("PreferClose", "", True),
        ("PreferSameZone", "", True),
        ("PreferSameNode", "", False),
        ("", "prefersamezone", True),
        ("", "Any", False),
        ("PreferSameNode", "PreferClose", False),
    ],
)
def test_near_endpoints_come_first_if_the_field_or_without_it_the_annotation_says_so(
    field: str, annotation: str, near: bool
) -> None:
    asked = f"{{annotations: {{networking.istio.io/traffic-distribution: '{annotation}'}}, "
    written = RATINGS.replace("metadata: {", f"metadata: {asked}")
    (fact,) = facts(resource(f"{written}  trafficDistribution: {field}\n" if field else written))
    assert isinstance(fact, Service)
    assert fact.near_first is near


def test_what_kubernetes_fills_in_depends_on_the_type_and_the_address() -> None:
    def filled(spec: str) -> dict[str, Any]:
        made: dict[str, Any] = dict(service(spec).spec)
        return {field: made[field] for field in sorted(made.keys() - {"ports", "selector", "type", "sessionAffinity"})}

    inside = {"internalTrafficPolicy": "Cluster", "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack"}
    assert filled("{type: NodePort, ports: [{port: 1}]}") == {**inside, "externalTrafficPolicy": "Cluster"}
    v6 = {**inside, "clusterIP": "fd00::7", "ipFamilies": ["IPv6"]}
    assert filled("{clusterIP: 'fd00::7', ports: [{port: 1}]}") == v6
    assert filled("{type: ExternalName, externalName: a.b}") == {"externalName": "a.b"}
    assert filled("{ipFamilyPolicy: PreferDualStack, ports: [{port: 1}]}")["ipFamilyPolicy"] == "PreferDualStack"


def test_a_headless_service_and_one_without_selector_have_no_workload_behind_them() -> None:
    for spec in ("{clusterIP: None, selector: {a: b}, ports: [{port: 1}]}", "{ports: [{port: 1}]}"):
        (fact,) = facts(service(spec))
        assert isinstance(fact, Service)
        assert fact.selector is None


def test_an_export_annotation_limits_who_sees_a_service() -> None:
    def exported(value: str) -> tuple[str, ...]:
        annotations = f"{{annotations: {{networking.istio.io/exportTo: '{value}'}}"
        annotated = RATINGS.replace("metadata: {", f"metadata: {annotations}, ")
        (fact,) = facts(resource(annotated))
        assert isinstance(fact, Service)
        return fact.exported_to

    assert exported("., prod") == ("bookinfo", "prod")
    assert exported("*") == ("*",)
    assert exported("~") == ()
    assert exported("") == ("*",)


def test_what_is_no_namespace_in_an_export_annotation_is_said_to_have_no_effect() -> None:
    annotations = "annotations: {networking.istio.io/exportTo: '., Prod,, team-a'}"
    annotated = RATINGS.replace("metadata: {", f"metadata: {{{annotations}, ")
    assert said(resource(annotated)) == [
        "warning OUT302 metadata.annotations[networking.istio.io/exportTo]: 'Prod' is no namespace, so it has no "
        "effect (., *, ~ or a name)"
    ]


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        (
            "{type: ExternalName, externalName: example.com}",
            ["error OUT301 spec.type: ExternalName is not supported yet (write a ServiceEntry with resolution DNS)"],
        ),
        (
            "{type: NodePort, selector: {a: b}, ports: [{port: 80, nodePort: 30080}]}",
            [
                "warning OUT302 spec.type: NodePort opens nothing to the outside "
                "(inside the mesh it is a ClusterIP Service)",
                "warning OUT302 spec.ports[0].nodePort: has no effect",
            ],
        ),
        (
            "{selector: {a: b}, ports: [{port: 80, appProtocol: amqp}]}",
            [
                "warning OUT302 spec.ports[0].appProtocol: 'amqp' is unknown, so the port is taken for one that does "
                "not say what it speaks (known: http, grpc-web, http2, grpc, https, tls, tcp, mongo, redis, mysql)"
            ],
        ),
        (
            "{clusterIP: None, selector: {a: b}}",
            [
                "warning OUT311 spec.clusterIP: a headless Service never has workloads behind it "
                "(leave clusterIP out to have the selected workloads behind it)"
            ],
        ),
        (
            "{selector: {a: b}, ports: [{port: 80}], trafficDistribution: PreferSameNode}",
            [
                "warning OUT302 spec.trafficDistribution: PreferSameNode has no effect: a task is a node of its own "
                "(write PreferClose)"
            ],
        ),
        ("{selector: {a: b}, ports: [{port: 80}], trafficDistribution: PreferSameZone}", []),
        (
            "{selector: {a: b}, ports: [{port: 80}], ipFamilyPolicy: PreferDualStack, loadBalancerClass: x/y, "
            "healthCheckNodePort: 30000}",
            [
                f"warning OUT302 spec.{field}: has no effect"
                for field in ("loadBalancerClass", "healthCheckNodePort", "ipFamilyPolicy")
            ],
        ),
        (
            "{ports: [{port: 80}]}",
            ["warning OUT311 spec.selector: without a selector no workload is behind the Service"],
        ),
        ("{selector: {a: b}}", ["error OUT304 spec.ports: at least one port is required"]),
        (
            "{selector: {a: b}, ports: [{port: 80}, {port: 80, name: x}, {port: 81, name: x, protocol: UDP}]}",
            [
                "error OUT304 spec.ports[0].name: each of several ports needs a name",
                "error OUT305 spec.ports[1].port: port 80/TCP is there twice",
                "error OUT305 spec.ports[2].name: port name 'x' is there twice",
                "warning OUT302 spec.ports[2].protocol: UDP ports take no part in the mesh",
            ],
        ),
        (
            "{selector: {a: b}, ports: [{port: 80}], sessionAffinity: ClientIP, externalIPs: [1.2.3.4]}",
            [
                "warning OUT302 spec.externalIPs: has no effect",
                "warning OUT302 spec.sessionAffinity: has no effect",
            ],
        ),
    ],
)
def test_what_is_said_about_a_service(spec: str, says: list[str]) -> None:
    assert said(service(spec)) == says


def test_a_service_whose_name_is_no_host_label_is_refused() -> None:
    (problem,) = said(service("{selector: {a: b}, ports: [{port: 80}]}", name="1st"))
    assert problem.startswith("error OUT314 metadata.name: is no service name")


@pytest.mark.parametrize(
    ("number", "name", "app_protocol", "spoken"),
    [
        (80, "http", "", Protocol.HTTP),
        (80, "http-web", "", Protocol.HTTP),
        (80, "HTTP-Web", "", Protocol.HTTP),
        (80, "httpweb", "", Protocol.UNSPECIFIED),
        (80, "http2", "", Protocol.HTTP2),
        (80, "grpc-api", "", Protocol.GRPC),
        (80, "grpc-web", "", Protocol.HTTP),
        (80, "grpc-web-x", "", Protocol.HTTP),
        (80, "x", "HTTP_PROXY", Protocol.HTTP),
        (80, "udp-x", "", Protocol.UNSPECIFIED),
        (25, "", "", Protocol.TCP),
        (53, "tcpdns", "", Protocol.TCP),
        (27017, "", "", Protocol.TCP),
        (27017, "", "grpc", Protocol.GRPC),
        (80, "https-x", "", Protocol.TLS),
        (80, "redis", "", Protocol.TCP),
        (80, "http", "tcp", Protocol.TCP),
        (80, "tcp", "kubernetes.io/h2c", Protocol.HTTP2),
        (80, "tcp", "kubernetes.io/ws", Protocol.HTTP),
        (80, "tcp", "kubernetes.io/wss", Protocol.TLS),
        (80, "http", "example.com/mine", Protocol.UNSPECIFIED),
        (80, "", "", Protocol.UNSPECIFIED),
        (3306, "", "", Protocol.TCP),
        (3306, "db", "", Protocol.TCP),
        (3306, "http", "", Protocol.HTTP),
    ],
)
def test_the_protocol_is_that_of_app_protocol_then_name_then_number(
    number: int, name: str, app_protocol: str, spoken: Protocol
) -> None:
    assert protocol_of_port(number, name=name, app_protocol=app_protocol) is spoken


@given(
    st.lists(st.fixed_dictionaries({"port": st.integers(1, 65535)}, optional={"targetPort": st.none() | st.just(7)}))
)
def test_defaults_are_filled_in_once_and_change_nothing_written(ports: list[dict[str, Any]]) -> None:
    filled = with_defaults({"spec": {"ports": ports, "type": None}})
    assert with_defaults(filled) == filled
    for written, port in zip(ports, filled["spec"]["ports"], strict=True):
        assert port["targetPort"] == (written.get("targetPort") or written["port"])


def test_a_namespace_is_in_the_mesh_of_its_label_or_the_default_one() -> None:
    text = "{apiVersion: v1, kind: Namespace, metadata: {name: bookinfo, labels: {%s}}}"
    made = resource(text % "")
    assert facts(made) == (Namespace(made.key, "bookinfo", "default"),)
    assert cells(made) == ["Active", "2026-11-21T12:00:00Z"]
    assert said(made) == said(resource(text % "kuma.io/mesh: default")) == []
    elsewhere = resource(text % "kuma.io/mesh: prod")
    assert facts(elsewhere) == (Namespace(made.key, "bookinfo", "prod"),)


def test_a_service_account_is_accepted_and_told_that_secrets_mean_nothing() -> None:
    text = "{apiVersion: v1, kind: ServiceAccount, metadata: {name: bookinfo-ratings, namespace: bookinfo}%s}"
    assert found(resource(text % "")) == []
    assert cells(resource(text % ", secrets: [{name: a}]"))[0] == 1
    assert said(resource(text % ", secrets: [{name: a}]")) == [
        "warning OUT302 secrets: has no effect: there are no Secrets"
    ]


def test_an_event_shows_as_kubectl_shows_events() -> None:
    event = """
    apiVersion: v1
    kind: Event
    metadata: {name: ratings.1, namespace: bookinfo}
    involvedObject: {kind: WorkloadGroup, name: ratings, namespace: bookinfo, apiVersion: networking.istio.io/v1}
    reason: OnboardingDenied
    message: Not authorized by OnboardingPolicy
    type: Warning
    count: 3
    firstTimestamp: "2026-11-21T11:00:00Z"
    lastTimestamp: "2026-11-21T12:00:00Z"
    source: {component: outrig}
    """
    assert cells(resource(event)) == [
        "2026-11-21T12:00:00Z",
        "Warning",
        "OnboardingDenied",
        "workloadgroup/ratings",
        "outrig",
        "Not authorized by OnboardingPolicy",
        "2026-11-21T11:00:00Z",
        3,
    ]
