"""The endpoints of one destination: a load assignment before it is encoded.

Ready workloads take calls. Draining ones are still published, as draining: callers stop choosing them at once but
keep their open requests, and a service whose every endpoint drains is still served to the end. Others are left
out rather than published as unhealthy: Envoy sends traffic to unhealthy hosts once half of them are.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from outrig.model import AddressForm, Health, Resolution, Service, ServicePort, Surroundings, TlsMode, Workload
from outrig.view.destination import Destination
from outrig.view.policies import tls_mode


@dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    """One address behind a destination: of a machine, or a unix socket (`unix:///path`, port 0).

    `priority`: those of the lowest are called as long as one of them is ready. `plain`: callers must not use TLS
    there.
    """

    priority: int
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


@dataclass(frozen=True, slots=True)
class Lookup:
    """Endpoints whose names a proxy has to look up itself. `one_at_a_time`: each new connection goes to the first
    address that was answered; otherwise all addresses are endpoints."""

    assignment: Assignment
    one_at_a_time: bool


def assignment_of(
    name: str, port: ServicePort, *, workloads: Iterable[Workload], mesh: Surroundings, near: str = ""
) -> Assignment:
    """The endpoints of one service port, given the workloads behind the service.

    `near`: the zone (`region/zone`) of callers who want those of their own zone first, then those of their region;
    empty: all are alike.
    """
    published = (workload for workload in workloads if workload.health is not Health.UNREADY)
    found = {_endpoint(workload, port, mesh, near=near) for workload in published}
    endpoints = [endpoint for endpoint in found if endpoint is not None]
    return Assignment(name, tuple(sorted(_ranked(endpoints) if near else endpoints)))


def called(destination: Destination, service: Service, mesh: Surroundings) -> Iterable[Workload]:
    """The workloads behind a service that calls to a destination go to."""
    wanted = set(destination.subset)
    return (workload for workload in mesh.workloads_of(service) if wanted <= set(workload.labels))


def lookup_of(destination: Destination, service: Service, port: ServicePort, *, mesh: Surroundings) -> Lookup | None:
    """What a caller of a service port has to look up; None if it is told the endpoints."""
    if service.resolution is Resolution.TOLD:
        return None
    assignment = assignment_of(destination.name, port, workloads=called(destination, service, mesh), mesh=mesh)
    return Lookup(assignment, service.resolution is Resolution.DNS_ROUND_ROBIN)


def _endpoint(workload: Workload, port: ServicePort, mesh: Surroundings, *, near: str) -> Endpoint | None:
    number = 0 if workload.form is AddressForm.SOCKET else number_of(workload, port)
    if number is None or not workload.address:
        return None
    return Endpoint(
        priority=_distance(workload.zone, near),
        locality=workload.locality,
        address=workload.address,
        port=number,
        draining=workload.health is Health.DRAINING,
        plain=not workload.identities or tls_mode(workload, number, mesh) is TlsMode.DISABLE,
        weight=max(workload.weight, 1),
    )


def number_of(workload: Workload, port: ServicePort) -> int | None:
    """The workload's port: one it names like the service's port comes before the service's number."""
    named = dict(workload.ports)
    if isinstance(port.target, str):
        return named.get(port.target)
    return named.get(port.name, port.target) if port.name else port.target


def _distance(zone: str, near: str) -> int:
    """0 in the callers' zone, 1 in their region, 2 elsewhere; always 0 if the callers' place does not matter."""
    if not near or zone == near:
        return 0
    return 1 if zone.partition("/")[0] == near.partition("/")[0] else 2


def _ranked(endpoints: Sequence[Endpoint]) -> list[Endpoint]:
    """With priorities from 0 without a gap, as Envoy wants them."""
    ranks = {priority: rank for rank, priority in enumerate(sorted({one.priority for one in endpoints}))}
    return [replace(one, priority=ranks[one.priority]) for one in endpoints]
