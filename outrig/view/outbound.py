"""The addresses on which a proxy takes calls of its application, and where they lead."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from outrig.errors import Finding, Severity
from outrig.model import Address, Egress, OutboundPolicy, ProxyShape, Service, Surroundings
from outrig.resources import Key
from outrig.view import findings
from outrig.view.binds import Binds
from outrig.view.imports import Imported, imported, imports_of, ports_of, speaks_requests
from outrig.view.names import claim_names
from outrig.view.proxy import (
    Destination,
    Hop,
    HttpOutbound,
    Outbound,
    Outlook,
    Outward,
    TcpOutbound,
    Upstream,
    VirtualHost,
    takes_requests,
)

DEFAULT_BIND = "127.0.0.1"


def outward_of(outlook: Outlook, mesh: Surroundings) -> Outward:
    """The outbound side of the proxies of an outlook."""
    shape = outlook.shape
    side = _Side(outlook.home, mesh, shape.origin, Binds(outlook.reserved))
    for position, egress in enumerate(shape.settings.egress):
        side.add(position, egress)
    if shape.settings.outbound is OutboundPolicy.ALLOW_ANY:
        side.found.append(findings.no_way_out(shape.origin))
    return Outward(
        listeners=tuple(side.listeners),
        upstreams=tuple(side.upstreams[name] for name in sorted(side.upstreams)),
        findings=tuple(side.found),
        imports=frozenset(side.imports),
    )


def binds_of(shape: ProxyShape) -> frozenset[str]:
    """The hosts on which the outbound listeners of a shape are bound."""
    return frozenset(egress.bind or DEFAULT_BIND for egress in shape.egress)


@dataclass(slots=True)
class _Side:
    """An outbound side in the making."""

    home: str
    mesh: Surroundings
    origin: Key
    binds: Binds
    listeners: list[Outbound] = field(default_factory=list)
    upstreams: dict[str, Upstream] = field(default_factory=dict)
    found: list[Finding] = field(default_factory=list)
    imports: set[tuple[str, str]] = field(default_factory=set)
    _services: dict[str, Service] = field(default_factory=dict)
    _routes: set[str] = field(default_factory=set)

    def add(self, position: int, egress: Egress) -> None:
        """Add the listeners of one egress."""
        path = f"egress[{position}]"
        self.imports.update((i.namespace, i.host) for i in imports_of(egress, self.home) if not i.exclude)
        services, hidden = imported(egress, self.home, self.mesh, known=self._services)
        self.found += [findings.host_hidden(self.origin, path, service) for service in hidden]
        self.found += _missing(egress, services, origin=self.origin, path=path, home=self.home)
        for port in _port_numbers(egress, services):
            address = Address(egress.bind or DEFAULT_BIND, port)
            if egress.port is None and self._listens(address):
                continue
            holder = self.binds.holder(address)
            if holder is None:
                self._listen(address, egress, ports_of(services, port), path=path)
            else:
                severity = Severity.WARNING if egress.port is None else Severity.ERROR
                text = f"{address.host}:{port}"
                self.found.append(findings.address_taken(self.origin, path, text, holder=holder, severity=severity))

    def _listens(self, address: Address) -> bool:
        return any((listener.bind, listener.port) == (address.host, address.port) for listener in self.listeners)

    def _listen(self, address: Address, egress: Egress, ports: Sequence[Imported], *, path: str) -> None:
        if speaks_requests(egress.protocol, ports):
            self._take_requests(address, self._routable(ports, declared=egress.protocol.is_http, path=path), path=path)
        elif ports:
            self._take_connections(address, ports, path=path)
        else:
            self.found.append(findings.leads_nowhere(self.origin, path))
            return
        self.binds.take(address, path)

    def _routable(self, ports: Iterable[Imported], *, declared: bool, path: str) -> list[Imported]:
        """Those that a listener of requests leads to: all, if the user said that it is one."""
        kept = []
        for found in ports:
            if declared or takes_requests(found.port.protocol):
                kept.append(found)
            else:
                self.found.append(findings.not_by_host(self.origin, path, found.service))
        return kept

    def _take_requests(self, address: Address, ports: Sequence[Imported], *, path: str) -> None:
        names, late = claim_names(ports, self.home)
        self.found += [
            findings.name_taken(self.origin, path, claim.name, by=claim.first.host, wanted=claim.second.host)
            for claim in late
        ]
        hosts = tuple(
            VirtualHost(f"{found.service.host}:{address.port}", domains, self._upstream(found, requests=True))
            for found, domains in zip(ports, names, strict=True)
            if domains
        )
        self.listeners.append(HttpOutbound(address.host, address.port, self._route_name(address), hosts))

    def _take_connections(self, address: Address, ports: Sequence[Imported], *, path: str) -> None:
        taken, *others = ports
        if others:
            self.found.append(findings.one_of_many(self.origin, path, taken=taken.service, others=len(others)))
        self.listeners.append(TcpOutbound(address.host, address.port, self._upstream(taken, requests=False)))

    def _upstream(self, found: Imported, *, requests: bool) -> str:
        service, port = found.service, found.port
        destination = Destination(service.origin, service.host, port.number, _hop(found, requests=requests))
        upstream = Upstream(destination, port.protocol, self.mesh.identities_of(service))
        return self.upstreams.setdefault(upstream.name, upstream).name

    def _route_name(self, address: Address) -> str:
        """The port number; a second listener on the same port needs routes of its own."""
        name = f"{address.host}_{address.port}" if str(address.port) in self._routes else str(address.port)
        self._routes.add(name)
        return name


def _hop(found: Imported, *, requests: bool) -> Hop:
    if requests == takes_requests(found.port.protocol):
        return Hop.AS_IS
    return Hop.AS_REQUESTS if requests else Hop.AS_BYTES


def _port_numbers(egress: Egress, services: Iterable[Service]) -> list[int]:
    if egress.port is not None:
        return [egress.port]
    return sorted({port.number for service in services for port in service.ports})


def _missing(egress: Egress, services: Sequence[Service], *, origin: Key, path: str, home: str) -> Iterable[Finding]:
    """Findings about hosts that were named and cannot be called."""
    for position, wanted in enumerate(imports_of(egress, home)):
        if wanted.exclude or wanted.host.startswith("*"):
            continue
        place = f"{path}.hosts[{position}]"
        named = next((service for service in services if wanted.fits(service.namespace, service.host)), None)
        if named is None:
            yield findings.nothing_imported(origin, place, host=wanted.host, home=home)
        elif egress.port is not None and not ports_of([named], egress.port):
            yield findings.port_not_imported(origin, place, service=named, port=egress.port)
