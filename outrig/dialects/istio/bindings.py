"""Which sockets a Sidecar asks for, and which of them cannot be open at the same time.

What Envoy would only find when it binds, the author is told at `kubectl apply`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from itertools import product
from typing import Final

from outrig.dialects import syntax
from outrig.dialects.findings import BIND_CONFLICT, EXPOSED, RESERVED_PORT, Place
from outrig.dialects.istio.listeners import LOOPBACK, WILDCARDS, target_of
from outrig.dialects.istio.sidecar_spec import EgressListener, SidecarSpec
from outrig.errors import Finding
from outrig.model import Address

RESERVED: Final = {9902: "the agent's readiness"}
_OWN_ADDRESS: Final = "<workload address>"  # not known when the resource is applied, but never a loopback one


@dataclass(frozen=True, slots=True)
class Socket:
    """A listening socket and the field that asks for it."""

    place: Place
    host: str
    port: int

    def clashes(self, other: "Socket") -> bool:
        """Whether only one of the two can be open."""
        if self.port != other.port:
            return False
        hosts = {syntax.canonical_ip(self.host), syntax.canonical_ip(other.host)}
        return len(hosts) == 1 or bool(hosts & WILDCARDS)


def bind_findings(place: Place, spec: SidecarSpec) -> Iterator[Finding]:
    """Errors for sockets that clash or are taken, warnings for those that might be."""
    ingress, egress, apps = _ingress_sockets(place, spec), _egress_sockets(place, spec), _app_sockets(place, spec)
    for listener, app in product((*ingress, *egress), apps):
        if listener.clashes(app):
            yield _conflict(listener, f"the application listens there ({app.place.path})")
    for inbound, outbound in product(ingress, egress):
        if inbound.clashes(outbound):
            yield _conflict(outbound, f"it overlaps {inbound.place.path}")
    for listener in (*ingress, *egress, *apps):
        if listener.port in RESERVED:
            problem = f"port {listener.port} is taken by {RESERVED[listener.port]}"
            yield listener.place.error(RESERVED_PORT, problem, "choose another port")
    for index, item in enumerate(spec.egress):
        yield from _doubtful((place / "egress")[index], item, apps)


def _conflict(socket: Socket, why: str) -> Finding:
    problem = f"cannot listen on {socket.host}:{socket.port}: {why}"
    return socket.place.error(BIND_CONFLICT, problem, "give the listener another bind, for example 127.0.0.2")


def _doubtful(place: Place, item: EgressListener, apps: tuple[Socket, ...]) -> Iterator[Finding]:
    bind = item.bind or LOOPBACK
    if item.port is None and any(Socket(place, bind, app.port).clashes(app) for app in apps):
        problem = f"a Service with the application's port would need {bind}, where the application listens"
        yield (place / "bind").warning(BIND_CONFLICT, problem, "set bind to another address, for example 127.0.0.2")
    if syntax.is_ip(bind) and not ip_address(bind).is_loopback:
        problem = f"whoever reaches {bind} can make calls with the identity of the workload"
        yield (place / "bind").warning(EXPOSED, problem, "bind to 127.0.0.2")


def _ingress_sockets(place: Place, spec: SidecarSpec) -> tuple[Socket, ...]:
    return tuple(
        Socket((place / "ingress")[index] / "port", item.bind or _OWN_ADDRESS, item.port.number)
        for index, item in enumerate(spec.ingress)
    )


def _egress_sockets(place: Place, spec: SidecarSpec) -> tuple[Socket, ...]:
    return tuple(
        Socket((place / "egress")[index] / "port", item.bind or LOOPBACK, item.port.number)
        for index, item in enumerate(spec.egress)
        if item.port
    )


def _app_sockets(place: Place, spec: SidecarSpec) -> tuple[Socket, ...]:
    found = []
    for index, item in enumerate(spec.ingress):
        target = target_of(item.default_endpoint, item.port.number)
        if isinstance(target, Address):
            found.append(Socket((place / "ingress")[index] / "defaultEndpoint", target.host, target.port))
    return tuple(found)
