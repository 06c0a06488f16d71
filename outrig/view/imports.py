"""What an egress brings in: services, the ports it takes of them, and what is spoken there."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from outrig.model import Egress, Import, Protocol, Service, ServicePort, Surroundings
from outrig.view.proxy import takes_requests


@dataclass(frozen=True, slots=True)
class Imported:
    """One service port that a listener could lead to."""

    service: Service
    port: ServicePort


def imported(
    egress: Egress, home: str, mesh: Surroundings, *, known: dict[str, Service]
) -> tuple[list[Service], list[Service]]:
    """The services an egress brings in, first come first, and those hidden because another has their host.

    A proxy's own namespace (`home`) comes first, then the order of hosts and names. `known` holds who has which host on
    this proxy; newcomers are added.
    """
    found = {(service.origin, service.host): service for service in brought(imports_of(egress, home), home, mesh)}
    in_order = sorted(found.values(), key=lambda service: (service.namespace != home, service.host, service.origin))
    kept = [service for service in in_order if known.setdefault(service.host, service) is service]
    return kept, [service for service in in_order if known[service.host] is not service]


def ports_of(services: Iterable[Service], number: int) -> list[Imported]:
    """Those of the services that have a port of that number, with it."""
    return [Imported(service, port) for service in services for port in service.ports if port.number == number]


def every_port(services: Iterable[Service]) -> list[Imported]:
    """The services with each of their ports."""
    return [Imported(service, port) for service in services for port in service.ports]


def speaks_requests(declared: Protocol, ports: Iterable[Imported]) -> bool:
    """Whether a listener tells requests apart: as it says itself, else as the imported services do.

    Requests win, as several services can share a port only by Host; so does a port of which nobody said anything.
    """
    if declared is not Protocol.UNSPECIFIED:
        return declared.is_http
    spoken = {found.port.protocol for found in ports}
    return not spoken or any(takes_requests(protocol) for protocol in spoken)


def imports_of(egress: Egress, home: str) -> list[Import]:
    """Its imports, with `.` replaced by the proxy's own namespace."""
    return [replace(wanted, namespace=home) if wanted.namespace == "." else wanted for wanted in egress.imports]


def brought(imports: Sequence[Import], home: str, mesh: Surroundings) -> Iterable[Service]:
    """The services that imports name, as far as they are exported to the namespace `home`."""
    excluded = [wanted for wanted in imports if wanted.exclude]
    for wanted in imports:
        if not wanted.exclude:
            for service in mesh.services_for(wanted):
                if visible(service, home) and not any(x.fits(service.namespace, service.host) for x in excluded):
                    yield service


def visible(service: Service, home: str) -> bool:
    """Whether a service is exported to a namespace."""
    return "*" in service.exported_to or home in service.exported_to
