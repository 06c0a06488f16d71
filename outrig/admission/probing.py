"""The probe a joining workload is given: that of its group as its registration remembers it, in the wire's words.

In: a registration. Out: the probe, defaults filled in; None if the group has none. Defaults are those of Istio's agent,
but for the host: applications listen on 127.0.0.1, so that is what an empty host means to the agent.
"""

from outrig.dialects.istio import probe as written
from outrig.dialects.istio.workload_group import WorkloadGroupBody
from outrig.dialects.onboarding.registration import group_of
from outrig.dialects.schema import parse
from outrig.resources import Resource
from outrig.wire.probe import Exec, Grpc, Header, HttpGet, Probe, TcpSocket

PERIOD, TIMEOUT, THRESHOLD = 10, 1, 1


def probe_of(registration: Resource) -> Probe | None:
    """The probe of the group that a registration remembers."""
    spec = parse(WorkloadGroupBody, group_of(registration)).spec.probe
    if spec is None:
        return None
    return Probe(
        initial_delay=spec.initial_delay_seconds,
        period=spec.period_seconds or PERIOD,
        timeout=spec.timeout_seconds or TIMEOUT,
        success_threshold=spec.success_threshold or THRESHOLD,
        failure_threshold=spec.failure_threshold or THRESHOLD,
        http_get=_http(spec.http_get) if spec.http_get else None,
        tcp_socket=TcpSocket(spec.tcp_socket.port, spec.tcp_socket.host) if spec.tcp_socket else None,
        exec=Exec(tuple(spec.exec.command)) if spec.exec else None,
        grpc=Grpc(spec.grpc.port, spec.grpc.service) if spec.grpc else None,
    )


def _http(spec: written.HttpProbe) -> HttpGet:
    headers = tuple(Header(header.name, header.value) for header in spec.http_headers)
    return HttpGet(spec.port, spec.path or "/", spec.host, tls=spec.scheme == "HTTPS", headers=headers)
