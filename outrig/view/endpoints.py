"""The endpoints of one destination: a load assignment before it is encoded.

Ready workloads take calls. Draining ones are still published, as draining: callers stop choosing them at once but
keep their open requests, and a service whose every endpoint drains is still served to the end. Others are left
out rather than published as unhealthy: Envoy sends traffic to unhealthy hosts once half of them are.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from outrig.model import Health, ServicePort, Surroundings, TlsMode, Workload
from outrig.view.policies import tls_mode


@dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    """One address behind a destination. `plain`: callers must not use TLS there."""

    locality: str
    address: str
    port: int
    draining: bool
    plain: bool
    weight: int


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a destination's load assignment says; endpoints in order, each once."""

    name: str
    endpoints: tuple[Endpoint, ...]


def assignment_of(name: str, port: ServicePort, *, workloads: Iterable[Workload], mesh: Surroundings) -> Assignment:
    """The endpoints of one service port, given the workloads behind the service."""
    found = {_endpoint(workload, port, mesh) for workload in workloads if workload.health is not Health.UNREADY}
    return Assignment(name, tuple(sorted(endpoint for endpoint in found if endpoint is not None)))


def _endpoint(workload: Workload, port: ServicePort, mesh: Surroundings) -> Endpoint | None:
    number = _number(workload, port)
    if number is None or not workload.address:
        return None
    return Endpoint(
        locality=workload.locality,
        address=workload.address,
        port=number,
        draining=workload.health is Health.DRAINING,
        plain=not workload.identities or tls_mode(workload, number, mesh) is TlsMode.DISABLE,
        weight=max(workload.weight, 1),
    )


def _number(workload: Workload, port: ServicePort) -> int | None:
    """The workload's port: one it names like the service's port comes before the service's number."""
    named = dict(workload.ports)
    if isinstance(port.target, str):
        return named.get(port.target)
    return named.get(port.name, port.target) if port.name else port.target
