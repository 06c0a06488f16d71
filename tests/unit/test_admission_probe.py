"""The probe that a join hands over: the remembered group's, with defaults filled in; and what a group may not ask."""

import pytest
from pydantic import ValidationError

from outrig.admission.probing import probe_of
from outrig.dialects.istio.workload_group import WorkloadGroupBody
from outrig.dialects.onboarding.decision import AwsTask
from outrig.dialects.onboarding.registration import AgentReport, registration
from outrig.dialects.schema import parse
from outrig.resources import Resource
from outrig.wire.probe import Exec, Grpc, Header, HttpGet, Probe, TcpSocket
from tests.unit.dialect_making import resource

TASK = AwsTask("aws", "123456789012", "us-east-1", "us-east-1a", "prod", "shop", "1" * 32)


def group(probe: str) -> Resource:
    text = "{apiVersion: networking.istio.io/v1, kind: WorkloadGroup, metadata: {name: g, namespace: n, uid: '7'}, "
    return resource(f"{text}spec: {{template: {{}}, {probe}}}}}")


def handed(probe: str) -> Probe | None:
    return probe_of(registration(group(probe), TASK, AgentReport("1", "1.40.0", (("10.0.0.5", "VPC"),))))


def test_a_group_without_a_probe_hands_none() -> None:
    assert handed("") is None


@pytest.mark.parametrize(
    ("method", "made"),
    [
        ("httpGet: {port: 80}", {"http_get": HttpGet(80, "/")}),
        (
            "httpGet: {port: 443, path: /x, host: a.example, scheme: HTTPS, httpHeaders: [{name: X, value: y}]}",
            {"http_get": HttpGet(443, "/x", "a.example", tls=True, headers=(Header("X", "y"),))},
        ),
        ("tcpSocket: {port: 80, host: '::1'}", {"tcp_socket": TcpSocket(80, "::1")}),
        ("exec: {command: [sh, -c, exit]}", {"exec": Exec(("sh", "-c", "exit"))}),
        ("grpc: {port: 80, service: shop}", {"grpc": Grpc(80, "shop")}),
    ],
)
def test_each_method_is_handed_over_and_zero_means_the_default(method: str, made: dict[str, object]) -> None:
    assert handed(f"probe: {{{method}, periodSeconds: 0}}") == Probe(0, 10, 1, 1, 1, **made)  # type: ignore[arg-type]


def test_times_and_thresholds_are_the_written_ones() -> None:
    numbers = "initialDelaySeconds: 1, periodSeconds: 2, timeoutSeconds: 3, successThreshold: 4, failureThreshold: 5"
    assert handed(f"probe: {{tcpSocket: {{port: 1}}, {numbers}}}") == Probe(1, 2, 3, 4, 5, tcp_socket=TcpSocket(1))


@pytest.mark.parametrize(
    "probe",
    [
        "tcpSocket: {port: 80}, periodSeconds: -1",
        "tcpSocket: {port: 80}, failureThreshold: -1",
        "tcpSocket: {port: 0}",
        "tcpSocket: {port: 80, host: 'a b'}",
        "httpGet: {port: 80, httpHeaders: [{name: 'a b'}]}",
        'httpGet: {port: 80, httpHeaders: [{name: a, value: "b\\r\\nc: d"}]}',
        "httpGet: {port: 80, scheme: FTP}",
        "exec: {command: []}",
        "exec: {command: ['']}",
    ],
)
def test_a_probe_that_means_nothing_is_refused(probe: str) -> None:
    with pytest.raises(ValidationError):
        parse(WorkloadGroupBody, group(f"probe: {{{probe}}}"))
