"""Which sockets a Sidecar asks for, and which of them cannot be open at the same time.

What Envoy would only find when it binds, the author is told at `kubectl apply`.
"""

from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from itertools import product
from typing import Final

from outrig.dialects import syntax
from outrig.dialects.findings import BIND_CONFLICT, EXPOSED, RESERVED_PORT, Place
from outrig.dialects.istio.listeners import LOOPBACK, target_of
from outrig.dialects.istio.sidecar_spec import EgressListener, SidecarSpec
from outrig.dialects.sockets import Socket
from outrig.errors import Finding
from outrig.model import AGENT_PORT, SOCKET, Address, OwnPort, Pipe

_OWN_ADDRESS: Final = "<workload address>"  # not known when the resource is applied, but never a loopback one
_ISTIOS: Final = frozenset({15021, 15090})  # where Istio's own proxies answer health checks and statistics


def bind_findings(place: Place, spec: SidecarSpec) -> Iterator[Finding]:
    """Errors for sockets that clash or are taken, warnings for those that might be."""
    ingress, egress, apps = _ingress_sockets(place, spec), _egress_sockets(place, spec), _app_sockets(place, spec)
    for listener, app in product((*ingress, *egress), apps):
        if listener.clashes(app):
            yield _conflict(listener, f"the application listens there ({app.place.path})")
    for inbound, outbound in product(ingress, egress):
        if inbound.clashes(outbound):
            yield _conflict(outbound, f"it overlaps {inbound.place.path}")
    yield from _reserved((*ingress, *egress, *apps))
    for listener, app in product(egress, apps):
        if app.host == _OWN_ADDRESS and listener.port == app.port and not listener.clashes(app):
            problem = f"an application that listens on all addresses would have {listener} too"
            yield listener.place.warning(BIND_CONFLICT, problem, "let it listen on its own address only")
    for index, item in enumerate(spec.egress):
        yield from _doubtful((place / "egress")[index], item, apps)


def _conflict(socket: Socket, why: str) -> Finding:
    hint = "give the listener another bind, for example 127.0.0.2" if socket.port else "choose another path"
    return socket.place.error(BIND_CONFLICT, f"cannot listen on {socket}: {why}", hint)


def _reserved(sockets: Iterable[Socket]) -> Iterator[Finding]:
    for socket in sockets:
        if socket.port == AGENT_PORT:
            problem = f"port {AGENT_PORT} is taken by the agent's readiness"
            yield socket.place.error(RESERVED_PORT, problem, "choose another port")
        elif socket.port in _ISTIOS:
            problem = f"Istio keeps port {socket.port} for its proxies; it works here, but not there"
            yield socket.place.warning(RESERVED_PORT, problem, "choose another port, if both are to read this")


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
        here = (place / "ingress")[index] / "defaultEndpoint"
        match target_of(item.default_endpoint, item.port.number):
            case Address(host, port):
                found.append(Socket(here, host, port))
            case OwnPort(port):
                found.append(Socket(here, _OWN_ADDRESS, port))
            case Pipe(path):
                found.append(Socket(here, f"{SOCKET}{path}", 0))
    return tuple(found)
