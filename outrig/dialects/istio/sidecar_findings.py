"""What is wrong or doubtful with a Sidecar beyond its schema: Istio's rules, and what holds where there is no iptables.

Sidecar in, all findings out.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from outrig.dialects import syntax
from outrig.dialects.findings import (
    ASSUMED,
    BIND_CONFLICT,
    DUPLICATE,
    INVALID,
    MISSING,
    NO_PASSTHROUGH,
    NOT_HONOURED,
    NOT_SUPPORTED,
    SELECTS_ALL,
    UNREACHABLE,
    Place,
)
from outrig.dialects.istio.bindings import bind_findings
from outrig.dialects.istio.connection_pool import PoolForm, inbound_pool_findings
from outrig.dialects.istio.listeners import (
    LISTENER_PROTOCOLS,
    LOOPBACK,
    UNSUPPORTED_PROTOCOLS,
    import_of,
    pipe_of,
    target_of,
)
from outrig.dialects.istio.sidecar_spec import (
    Destination,
    EgressListener,
    IngressListener,
    SidecarBody,
    SidecarPort,
    SidecarSpec,
)
from outrig.dialects.schema import parse
from outrig.errors import Finding, did_you_mean
from outrig.model import SOCKET, Protocol
from outrig.resources import Resource

_ENDPOINTS: Final = "127.0.0.1:PORT, [::1]:PORT, 0.0.0.0:PORT, unix:///PATH or unix://@NAME"


def findings(resource: Resource) -> tuple[Finding, ...]:
    """All findings of a Sidecar that fits its schema."""
    spec, place = parse(SidecarBody, resource).spec, Place(resource.key)
    checks = (_whole, _outbound, _all_ingress, _all_egress, _sockets_twice, bind_findings)
    return tuple(finding for check in checks for finding in check(place, spec))


def _whole(place: Place, spec: SidecarSpec) -> Iterator[Finding]:
    if not (spec.ingress or spec.egress or spec.outbound_traffic_policy or spec.inbound_connection_pool is not None):
        yield place.error(MISSING, "empty configuration provided", "write ingress, egress or both")
        return
    if spec.workload_selector and not spec.workload_selector.labels:
        yield (place / "workloadSelector").warning(SELECTS_ALL, "without labels it is for the whole namespace")
    if not spec.ingress:
        hint = "add an ingress listener for each port that is called"
        yield (place / "ingress").warning(UNREACHABLE, "without ingress nothing can call the workloads", hint)
    if not spec.egress:
        hint = 'add an egress listener, for example with bind 127.0.0.2 and hosts ["./*"]'
        yield (place / "egress").warning(UNREACHABLE, "without egress the workloads reach nothing in the mesh", hint)
    if spec.inbound_connection_pool is not None:
        yield from inbound_pool_findings(place / "inboundConnectionPool", spec.inbound_connection_pool)


def _outbound(place: Place, spec: SidecarSpec) -> Iterator[Finding]:
    policy, here = spec.outbound_traffic_policy, place / "outboundTrafficPolicy"
    if policy and policy.egress_proxy:
        yield from _egress_proxy(here / "egressProxy", policy.egress_proxy, policy.mode)
    elif policy and policy.mode == "ALLOW_ANY":
        problem = "without iptables unknown hosts cannot be passed through: they are answered 502"
        hint = "set egressProxy, or let the application call such hosts directly"
        yield (here / "mode").warning(NO_PASSTHROUGH, problem, hint)


def _egress_proxy(place: Place, proxy: Destination, mode: str) -> Iterator[Finding]:
    if mode != "ALLOW_ANY":
        yield place.error(INVALID, f"has no place beside mode {mode}", "write mode: ALLOW_ANY")
    if not syntax.is_fqdn(proxy.host):
        hint = f"for example egress.{place.origin.namespace}.svc.cluster.local"
        yield (place / "host").error(INVALID, f"{proxy.host!r} is no full host name", hint)
    if proxy.port is None:
        yield (place / "port").error(MISSING, "a port number is required")
    if proxy.subset:
        yield (place / "subset").error(NOT_SUPPORTED, "subsets are not supported yet", "leave it out")


def _all_ingress(place: Place, spec: SidecarSpec) -> Iterator[Finding]:
    yield from _repeated(place / "ingress", [item.port for item in spec.ingress])
    for index, item in enumerate(spec.ingress):
        yield from _ingress((place / "ingress")[index], item)


def _all_egress(place: Place, spec: SidecarSpec) -> Iterator[Finding]:
    yield from _repeated(place / "egress", [item.port for item in spec.egress])
    for index, item in enumerate(spec.egress):
        here = (place / "egress")[index]
        if item.port is None and index != len(spec.egress) - 1:
            yield here.error(INVALID, "only the last egress listener may be without a port")
        yield from _egress(here, item)


def _repeated(place: Place, ports: Sequence[SidecarPort | None]) -> Iterator[Finding]:
    """Istio: ports are unique by number alone, whatever address they are bound to."""
    seen: Counter[int] = Counter()
    for index, port in enumerate(ports):
        if port and port.number and seen[port.number]:
            problem = f"port {port.number} is there twice; ports are unique whatever their bind"
            yield (place[index] / "port").error(BIND_CONFLICT, problem, "put the hosts of both into one listener")
        if port:
            seen[port.number] += 1


def _ingress(place: Place, item: IngressListener) -> Iterator[Finding]:
    yield from _port(place / "port", item.port)
    yield from _capture(place, item.capture_mode)
    yield from _endpoint(place / "defaultEndpoint", item)
    if item.tls is not None:
        hint = "a PeerAuthentication sets the mode of mutual TLS"
        yield (place / "tls").error(NOT_SUPPORTED, "is not supported yet", hint)
    if item.connection_pool is not None:
        yield from _pool(place / "connectionPool", item.connection_pool, item.port)


def _pool(place: Place, pool: PoolForm, port: SidecarPort) -> Iterator[Finding]:
    yield from inbound_pool_findings(place, pool)
    protocol = LISTENER_PROTOCOLS.get(port.protocol.lower(), Protocol.UNSPECIFIED)
    if pool.http and not protocol.is_http and protocol is not Protocol.UNSPECIFIED:
        yield (place / "http").warning(NOT_HONOURED, f"has no effect on a port of {port.protocol}", "leave it out")


def _endpoint(place: Place, item: IngressListener) -> Iterator[Finding]:
    if not item.default_endpoint:
        problem = f"is not set: calls go to {LOOPBACK}:{item.port.number}"
        yield place.warning(ASSUMED, problem, "write it down if the application listens there")
        return
    if target_of(item.default_endpoint, item.port.number) is None:
        yield place.error(INVALID, f"{item.default_endpoint!r} is no endpoint", f"one of {_ENDPOINTS}")


def _egress(place: Place, item: EgressListener) -> Iterator[Finding]:
    yield from _capture(place, item.capture_mode)
    yield from _hosts(place / "hosts", item.hosts)
    if item.bind.startswith(SOCKET):
        yield from _socket(place, item)
    elif item.bind and not syntax.is_ip(item.bind):
        yield (place / "bind").error(INVALID, f"{item.bind!r} is no IP address", "for example 127.0.0.2")
    if item.port is not None:
        yield from _port(place / "port", item.port, is_socket=item.bind.startswith(SOCKET))


def _socket(place: Place, item: EgressListener) -> Iterator[Finding]:
    """A unix socket has no port, which is written as 0."""
    if pipe_of(item.bind) is None:
        hint = "unix:///PATH or unix://@NAME, at most 107 bytes long"
        yield (place / "bind").error(INVALID, f"{item.bind!r} is no unix socket", hint)
    if item.port is None or item.port.number:
        yield (place / "port").error(INVALID, "a unix socket has no port number", "write port: {number: 0}")


def _sockets_twice(place: Place, spec: SidecarSpec) -> Iterator[Finding]:
    before: set[str] = set()
    for index, item in enumerate(spec.egress):
        if item.bind.startswith(SOCKET) and item.bind in before:
            here = (place / "egress")[index] / "bind"
            yield here.error(BIND_CONFLICT, f"{item.bind} is there twice", "put the hosts of both into one listener")
        before.add(item.bind)


def _port(place: Place, port: SidecarPort, *, is_socket: bool = False) -> Iterator[Finding]:
    protocol = port.protocol.lower()
    if port.number == 0 and not is_socket:
        yield (place / "number").error(MISSING, "a port number from 1 to 65535 is required")
    if port.target_port:
        yield (place / "targetPort").error(INVALID, "is deprecated and not honoured", "use defaultEndpoint on ingress")
    if protocol in UNSUPPORTED_PROTOCOLS:
        yield (place / "protocol").error(NOT_SUPPORTED, f"{port.protocol} is not supported yet")
    elif protocol not in LISTENER_PROTOCOLS:
        known = [name.upper() for name in LISTENER_PROTOCOLS if name]
        hint = did_you_mean(port.protocol.upper(), known)
        yield (place / "protocol").error(INVALID, f"{port.protocol!r} is no protocol", hint)


def _capture(place: Place, mode: str) -> Iterator[Finding]:
    if mode == "IPTABLES":
        hint = "leave captureMode out: listeners are really bound"
        yield (place / "captureMode").error(NOT_SUPPORTED, "there are no iptables to capture traffic with", hint)


def _hosts(place: Place, hosts: Sequence[str]) -> Iterator[Finding]:
    before: set[str] = set()
    for index, host in enumerate(hosts):
        if import_of(host, own_namespace=".") is None:
            yield place[index].error(INVALID, f"{host!r} is not namespace/host", _host_hint(host, place))
        elif host in before:
            yield place[index].warning(DUPLICATE, f"host {host!r} is there twice")
        before.add(host)
    included = [host for host in hosts if not host.startswith("~")]
    if not included:
        yield place.warning(UNREACHABLE, "only takes away: nothing is imported", "add what to take it from, as ./*")
    if "*/*" in hosts and len(set(included)) > 1:
        yield place.warning(DUPLICATE, "*/* brings in all that the others do")


def _host_hint(host: str, place: Place) -> str:
    namespace, slash, name = host.partition("/")
    is_namespace = namespace in (".", "*") or syntax.is_dns_label(namespace)
    if slash and is_namespace and syntax.is_dns_label(name):
        where = place.origin.namespace if namespace in (".", "*") else namespace
        return f"write the whole host: {namespace}/{name}.{where}.svc.cluster.local"
    return "for example ./*, */*, bookinfo/*.svc.cluster.local"
