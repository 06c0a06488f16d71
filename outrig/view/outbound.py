"""The addresses on which a proxy takes calls of its application, and where they lead."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from outrig.errors import Finding, Severity
from outrig.model import Address, Egress, Import, Labels, OutboundPolicy, ProxyShape, Service, Sole, Surroundings
from outrig.resources import Key
from outrig.view import findings
from outrig.view.binds import Binds, spoken
from outrig.view.destination import Destination, Hop
from outrig.view.endpoints import lookup_of
from outrig.view.imports import Imported, brought, every_port, imported, imports_of, ports_of, speaks_requests
from outrig.view.names import claim_names
from outrig.view.proxy import (
    NOWHERE,
    HttpOutbound,
    Outbound,
    Outlook,
    Outward,
    TcpOutbound,
    Upstream,
    VirtualHost,
    listener_name,
    takes_requests,
)

DEFAULT_BIND = "127.0.0.1"
_ORIGIN: Final = Key("", "", "", "", "")  # proxies share this side: whoever reads its findings knows whose shape it is


def outward_of(outlook: Outlook, mesh: Surroundings) -> Outward:
    """The outbound side of the proxies of an outlook."""
    shape = outlook.shape
    side = _Side(outlook.home, mesh, Binds(outlook.reserved))
    if shape.outbound is OutboundPolicy.ALLOW_ANY:
        side.open(shape.egress_proxy)
    for position, egress in enumerate(shape.egress):
        path = f"{shape.words[1]}[{position}]"
        if egress.sole:
            side.add_sole(egress, egress.sole, path=path)
        else:
            side.add(egress, path)
    return Outward(
        listeners=tuple(side.listeners),
        upstreams=tuple(side.upstreams[name] for name in sorted(side.upstreams)),
        findings=tuple(side.found),
        imports=frozenset(side.imports),
    )


def binds_of(shape: ProxyShape) -> frozenset[str]:
    """The hosts, or sockets, on which the outbound listeners of a shape are bound."""
    return frozenset(egress.bind or DEFAULT_BIND for egress in shape.egress)


@dataclass(slots=True)
class _Side:
    """An outbound side in the making."""

    home: str
    mesh: Surroundings
    binds: Binds
    listeners: list[Outbound] = field(default_factory=list)
    upstreams: dict[str, Upstream] = field(default_factory=dict)
    found: list[Finding] = field(default_factory=list)
    imports: set[tuple[str, str]] = field(default_factory=set)
    way_out: Imported | None = None
    _services: dict[str, Service] = field(default_factory=dict)
    _routes: set[str] = field(default_factory=set)
    _led: dict[Address, tuple[str, set[str]]] = field(default_factory=dict)

    def open(self, proxy: tuple[str, int] | None) -> None:
        """Requests for unknown hosts may go to this service, if there is one."""
        if proxy is None:
            self.found.append(findings.no_way_out(_ORIGIN))
            return
        (host, port), path = proxy, "outboundTrafficPolicy.egressProxy"
        services = self._import(Egress((Import("*", host),), port), path)
        if found := ports_of(services, port):
            self.way_out = found[0]
        elif services:
            self.found.append(findings.port_not_imported(_ORIGIN, path, service=services[0], port=port))
        else:
            self.found.append(findings.nothing_imported(_ORIGIN, path, host=host, home=self.home))

    def add_sole(self, egress: Egress, sole: Sole, *, path: str) -> None:
        """Add the listener of an egress that leads to one service, whatever name that is called by. It is there even
        if the service is not: the application gets an answer then, or a connection that is closed at once."""
        address = Address(egress.bind or DEFAULT_BIND, egress.port or 0)
        if holder := self.binds.take(address, path):
            self.found.append(findings.address_taken(_ORIGIN, path, spoken(address), holder=holder))
            return
        found = self._the_one(egress, sole, path)
        requests = takes_requests(found.port.protocol if found else sole.assumed)
        cluster = self._upstream(found, requests=requests, subset=sole.subset) if found else NOWHERE
        if not requests:
            self.listeners.append(TcpOutbound(address.host, address.port, cluster))
            return
        near = found is not None and found.service.near_first
        host = VirtualHost(_virtual(found) if found else sole.name, ("*",), cluster, near=near)
        routes = self._route_name(str(address.port), address)
        self.listeners.append(HttpOutbound(address.host, address.port, routes, (host,)))

    def _the_one(self, egress: Egress, sole: Sole, path: str) -> Imported | None:
        """The service port that such an egress leads to, of what the first import brings in that brings in anything."""
        self.imports.update((wanted.namespace, wanted.host) for wanted in egress.imports)
        for wanted, number in zip(egress.imports, sole.ports, strict=True):
            brought_in = brought((wanted,), self.home, self.mesh)
            if services := sorted(brought_in, key=lambda service: (service.origin, service.host)):
                return self._with_port(services, number, path)
        self.found.append(findings.nothing_called(_ORIGIN, path, name=sole.name))
        return None

    def _with_port(self, services: Sequence[Service], number: int | None, path: str) -> Imported | None:
        """The first of the services that has the port, unless another has its host here. None: the lowest it has."""
        for service in services:
            if ports := ports_of([service], number or min((port.number for port in service.ports), default=0)):
                if self._services.setdefault(service.host, service) is service:
                    return ports[0]
                self.found.append(findings.host_hidden(_ORIGIN, path, service))
                return None
        self.found.append(findings.port_not_imported(_ORIGIN, path, service=services[0], port=number or 0))
        return None

    def add(self, egress: Egress, path: str) -> None:
        """Add the listeners of one egress."""
        services = self._import(egress, path)
        self.found += _missing(egress, services, path=path, home=self.home)
        for port in _port_numbers(egress, services):
            address = Address(egress.bind or DEFAULT_BIND, port)
            if egress.port is None and address in self._led:
                self._note_left_out(address, ports_of(services, port), path=path)
                continue
            holder = self.binds.holder(address)
            if holder is None:
                ports = every_port(services) if egress.any_port else ports_of(services, port)
                self._listen(address, egress, ports, path=path)
            else:
                severity = Severity.WARNING if egress.port is None else Severity.ERROR
                text = spoken(address)
                self.found.append(findings.address_taken(_ORIGIN, path, text, holder=holder, severity=severity))

    def _import(self, egress: Egress, path: str) -> list[Service]:
        self.imports.update((i.namespace, i.host) for i in imports_of(egress, self.home) if not i.exclude)
        services, hidden = imported(egress, self.home, self.mesh, known=self._services)
        self.found += [findings.host_hidden(_ORIGIN, path, service) for service in hidden]
        return services

    def _note_left_out(self, address: Address, ports: Iterable[Imported], *, path: str) -> None:
        """An earlier egress has the address, so those of its services that it does not import are left out."""
        earlier, there = self._led[address]
        if left_out := [found.service for found in ports if found.service.host not in there]:
            self.found.append(
                findings.port_given_away(
                    _ORIGIN, path, spoken(address), earlier=earlier, first=left_out[0], more=len(left_out) - 1
                )
            )

    def _listen(self, address: Address, egress: Egress, ports: Sequence[Imported], *, path: str) -> None:
        if speaks_requests(egress.protocol, ports):
            self._take_requests(address, egress, self._routable(ports, egress, path=path), path=path)
        elif ports:
            self._take_connections(address, ports, path=path)
        else:
            self.found.append(findings.leads_nowhere(_ORIGIN, path))
            return
        self._led[address] = (path, {found.service.host for found in ports})
        self.binds.take(address, path)

    def _routable(self, ports: Sequence[Imported], egress: Egress, *, path: str) -> list[Imported]:
        """Those that a listener of requests leads to: all of its port, if the user said that it is one.

        Where services come with all their ports, those for bytes are left out, and said only of a service named.
        """
        declared = egress.protocol.is_http and not egress.any_port
        kept = [found for found in ports if declared or takes_requests(found.port.protocol)]
        reached = {found.service.host for found in kept}
        for service in {found.service.host: found.service for found in ports}.values():
            named = not egress.any_port or any(wanted.host == service.host for wanted in egress.imports)
            if named and service.host not in reached:
                self.found.append(findings.not_by_host(_ORIGIN, path, service))
        return kept

    def _take_requests(self, address: Address, egress: Egress, ports: Sequence[Imported], *, path: str) -> None:
        names, late = claim_names(ports, self.home, any_port=egress.any_port)
        self.found += [
            findings.name_taken(_ORIGIN, path, claim.name, by=claim.first.host, wanted=claim.second.host)
            for claim in late
        ]
        hosts = tuple(
            VirtualHost(
                _virtual(found),
                domains,
                self._upstream(found, requests=True),
                near=found.service.near_first,
            )
            for found, domains in zip(ports, names, strict=True)
            if domains
        )
        routes = self._route_name("http_proxy" if egress.proxy else str(address.port or address.host), address)
        fallback = self._upstream(self.way_out, requests=True) if self.way_out else ""
        self.listeners.append(HttpOutbound(address.host, address.port, routes, hosts, egress.any_port, fallback))

    def _take_connections(self, address: Address, ports: Sequence[Imported], *, path: str) -> None:
        taken, *others = ports
        if others:
            self.found.append(findings.one_of_many(_ORIGIN, path, taken=taken.service, others=len(others)))
        self.listeners.append(TcpOutbound(address.host, address.port, self._upstream(taken, requests=False)))

    def _upstream(self, found: Imported, *, requests: bool, subset: Labels = ()) -> str:
        service, port = found.service, found.port
        hop, identities = _hop(found, requests=requests), self.mesh.identities_of(service)
        destination = Destination(service.origin, service.host, port.number, hop, service.near_first, subset)
        upstream = Upstream(
            destination,
            port.protocol,
            identities,
            mixed=bool(identities) and self.mesh.has_plain(service),
            lookup=lookup_of(destination, service, port, mesh=self.mesh),
            lenient=port.mixed,
        )
        return self.upstreams.setdefault(upstream.name, upstream).name

    def _route_name(self, wanted: str, address: Address) -> str:
        """The name that Istio gives; a second listener of that name needs routes of its own."""
        name = listener_name(address.host, address.port) if wanted in self._routes else wanted
        self._routes.add(name)
        return name


def _virtual(found: Imported) -> str:
    """The name of a virtual host."""
    return f"{found.service.host}:{found.port.number}"


def _hop(found: Imported, *, requests: bool) -> Hop:
    if requests == takes_requests(found.port.protocol):
        return Hop.AS_IS
    return Hop.AS_REQUESTS if requests else Hop.AS_BYTES


def _port_numbers(egress: Egress, services: Iterable[Service]) -> list[int]:
    if egress.port is not None:
        return [egress.port]
    return sorted({port.number for service in services for port in service.ports})


def _missing(egress: Egress, services: Sequence[Service], *, path: str, home: str) -> Iterable[Finding]:
    """Findings about hosts that were named and cannot be called."""
    for position, wanted in enumerate(imports_of(egress, home)):
        if wanted.exclude or wanted.host.startswith("*"):
            continue
        place = f"{path}.hosts[{position}]"
        named = next((service for service in services if wanted.fits(service.namespace, service.host)), None)
        if named is None:
            yield findings.nothing_imported(_ORIGIN, place, host=wanted.host, home=home)
        elif egress.port is not None and not egress.any_port and not ports_of([named], egress.port):
            yield findings.port_not_imported(_ORIGIN, place, service=named, port=egress.port)
