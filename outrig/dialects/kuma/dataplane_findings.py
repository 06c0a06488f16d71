"""What is wrong or doubtful with a Dataplane that fits its schema: all of it at once, with Kuma's paths.

Refuses what is not supported, and sockets that could not be open at the same time.
"""

from collections.abc import Iterator
from datetime import timedelta
from ipaddress import ip_address
from typing import Final

from outrig.dialects import syntax
from outrig.dialects.findings import (
    BIND_CONFLICT,
    EXPOSED,
    INVALID,
    MISSING,
    NOT_HONOURED,
    NOT_SUPPORTED,
    RESERVED_PORT,
    SELECTS_NOTHING,
    Place,
)
from outrig.dialects.kuma.dataplane_spec import (
    PROTOCOLS,
    DataplaneBody,
    Gateway,
    Inbound,
    Networking,
    Outbound,
    ServiceProbe,
)
from outrig.dialects.kuma.durations import duration_of
from outrig.dialects.kuma.tags import LOCAL_ZONE, PROTOCOL, ZONE, service_findings, tag_findings
from outrig.dialects.schema import parse
from outrig.dialects.sockets import WILDCARDS, Socket, Taken
from outrig.errors import Finding, did_you_mean
from outrig.model import AGENT_PORT
from outrig.resources import Resource

_NUMBER: Final = "port must be in the range [1, 65535]"
_BY_TAGS: Final = "name the service by tags: {kuma.io/service: ...}"
_LEAST: Final = timedelta(milliseconds=100)  # each change of a probe's verdict is written, and goes to all callers
_MOST: Final = 2**32 - 1  # as in Kuma, an uint32
_ADDRESS_HINT: Final = "write its IP address, for example --dataplane-var address=$(hostname -i)"


def findings(resource: Resource) -> tuple[Finding, ...]:
    """All findings of a Dataplane that fits its schema."""
    body, place = parse(DataplaneBody, resource), Place(resource.key, "networking")
    return (
        *_legacy(resource, body),
        *_whole(place, body.networking),
        *_inbounds(place / "inbound", body.networking),
        *_outbounds(place / "outbound", body.networking),
        *_sockets(place, body.networking),
    )


def _legacy(resource: Resource, body: DataplaneBody) -> Iterator[Finding]:
    for field, value in (("metrics", body.metrics), ("probes", body.probes)):
        if value is not None:
            yield Place(resource.key, field).error(NOT_SUPPORTED, f"{field} is not supported yet", "leave it out")


def _whole(place: Place, networking: Networking) -> Iterator[Finding]:
    if not networking.address:
        yield (place / "address").error(MISSING, "address can't be empty", _ADDRESS_HINT)
    yield from _own_address(place / "address", networking.address)
    yield from _own_address(place / "advertisedAddress", networking.advertised_address)
    if networking.transparent_proxying is not None:
        hint = "list what the application calls as outbound"
        yield (place / "transparentProxying").error(NOT_SUPPORTED, "is not supported: nothing is redirected", hint)
    if networking.listeners is not None:
        yield (place / "listeners").error(NOT_SUPPORTED, "listeners are not supported yet", "leave it out")
    if networking.gateway:
        yield from _gateway(place / "gateway", networking.gateway)
    elif not networking.inbound:
        problem = "has to contain at least one inbound interface or gateway"
        yield (place / "inbound").error(MISSING, problem, "without one the proxy has no identity")
    if networking.gateway and networking.inbound:
        yield (place / "inbound").error(INVALID, "inbound cannot be defined for a gateway", "leave one of the two out")
    yield from _admin(place / "admin.port", networking)


def _own_address(place: Place, address: str) -> Iterator[Finding]:
    if not address:
        return
    if address in WILDCARDS:
        yield place.error(INVALID, "must not be 0.0.0.0 or ::", _ADDRESS_HINT)
    elif not syntax.is_ip(address) and syntax.is_host(address):
        yield place.error(NOT_SUPPORTED, f"{address!r} is a host name, which nobody looks up here", _ADDRESS_HINT)
    elif not syntax.is_ip(address):
        yield place.error(INVALID, "address has to be valid IP address", _ADDRESS_HINT)
    elif ip_address(address).is_multicast or address == "255.255.255.255":
        yield place.error(INVALID, "is the address of many, not of one proxy", _ADDRESS_HINT)


def _gateway(place: Place, gateway: Gateway) -> Iterator[Finding]:
    if gateway.type == "BUILTIN":
        yield (place / "type").error(
            NOT_SUPPORTED, "BUILTIN is not supported yet", "DELEGATED, beside a gateway of yours"
        )
    yield from service_findings(place / "tags", gateway.tags, "tag has to exist")
    yield from tag_findings(place / "tags", gateway.tags)
    if gateway.tags.get(PROTOCOL, "tcp") != "tcp":
        yield (place / "tags")[f'"{PROTOCOL}"'].error(INVALID, "other values than tcp are not allowed for a gateway")
    yield from _zone(place / "tags", gateway.tags)


def _admin(place: Place, networking: Networking) -> Iterator[Finding]:
    port = networking.admin.port if networking.admin else 0
    if not port:
        return
    yield place.warning(NOT_HONOURED, "has no effect: Envoy's admin is a unix socket beside the agent")
    if port in {inbound.port for inbound in networking.inbound}:
        yield place.error(INVALID, "must differ from inbound")
    if port in {outbound.port for outbound in networking.outbound}:
        yield place.error(INVALID, "must differ from outbound")


def _inbounds(place: Place, networking: Networking) -> Iterator[Finding]:
    names = [inbound.name or str(inbound.port) for inbound in networking.inbound]
    ports = [inbound.port for inbound in networking.inbound]
    for index, inbound in enumerate(networking.inbound):
        yield from _inbound(place[index], inbound, networking)
        if names[index] in names[:index] and (inbound.name or inbound.port not in ports[:index]):
            hint = "an inbound without one is called by its port"
            yield (place[index] / "name").error(INVALID, "names of inbounds must be unique", hint)
        if inbound.port in ports[:index]:
            problem = f"an earlier inbound has port {inbound.port}: ports of inbounds differ, whatever their addresses"
            yield (place[index] / "port").error(NOT_SUPPORTED, problem, "choose another port")


def _inbound(place: Place, inbound: Inbound, networking: Networking) -> Iterator[Finding]:
    written = {"servicePort": inbound.service_port} if inbound.service_port else {}
    yield from _ports(place, {"port": inbound.port, **written})
    if inbound.address:
        yield from _own_address(place / "address", inbound.address)
    if inbound.service_address and not syntax.is_ip(inbound.service_address):
        yield (place / "serviceAddress").error(INVALID, "serviceAddress has to be valid IP address")
    host, port = inbound.target
    own = Socket(place, inbound.address or networking.address, inbound.port)
    if inbound.port and inbound.listens and own.clashes(Socket(place, host, port)):
        problem = "serviceAddress and servicePort has to differ from address and port"
        yield (place / "serviceAddress").error(BIND_CONFLICT, problem, "let the application listen on another port")
    yield from service_findings(place / "tags", inbound.tags, "tag has to exist")
    yield from tag_findings(place / "tags", inbound.tags)
    yield from _zone(place / "tags", inbound.tags)
    yield from _protocol(place, inbound)
    if inbound.service_probe:
        yield from _probe(place / "serviceProbe", inbound.service_probe)


def _ports(place: Place, ports: dict[str, int]) -> Iterator[Finding]:
    for field, port in ports.items():
        if not 1 <= port <= 65535:
            yield (place / field).error(INVALID, _NUMBER)


def _zone(place: Place, tags: dict[str, str]) -> Iterator[Finding]:
    if tags.get(ZONE, LOCAL_ZONE) != LOCAL_ZONE:
        problem = f"is set by the control plane: {LOCAL_ZONE}"
        yield place[f'"{ZONE}"'].warning(NOT_HONOURED, problem, "there is one zone; leave it out")


def _protocol(place: Place, inbound: Inbound) -> Iterator[Finding]:
    for here, word in (
        (place / "protocol", inbound.protocol),
        ((place / "tags")[f'"{PROTOCOL}"'], inbound.tags.get(PROTOCOL)),
    ):
        if word and word not in PROTOCOLS:
            problem = f"{word!r} is no protocol. Allowed values: grpc, http, http2, kafka, tcp"
            yield here.error(INVALID, problem, did_you_mean(word, PROTOCOLS))


def _probe(place: Place, probe: ServiceProbe) -> Iterator[Finding]:
    for field, text in (("interval", probe.interval), ("timeout", probe.timeout)):
        duration = duration_of(text)
        if not duration:
            yield (place / field).error(INVALID, "must be a positive duration", "for example 10s")
        elif duration < _LEAST:
            yield (place / field).error(INVALID, "must be at least 100ms", "for example 1s")
    for field, number in (
        ("unhealthyThreshold", probe.unhealthy_threshold),
        ("healthyThreshold", probe.healthy_threshold),
    ):
        if number is not None and number < 1:
            yield (place / field).error(INVALID, "must be greater than 0")
        elif number is not None and number > _MOST:
            yield (place / field).error(INVALID, f"must be at most {_MOST}")


def _outbounds(place: Place, networking: Networking) -> Iterator[Finding]:
    for index, outbound in enumerate(networking.outbound):
        yield from _outbound(place[index], outbound)


def _outbound(place: Place, outbound: Outbound) -> Iterator[Finding]:
    yield from _ports(place, {"port": outbound.port})
    if not syntax.is_ip(outbound.bind):
        yield (place / "address").error(INVALID, "address has to be valid IP address")
    elif not ip_address(outbound.bind).is_loopback:
        problem = f"whoever reaches {outbound.bind} can make calls with the identity of the workload"
        yield (place / "address").warning(EXPOSED, problem, "leave it out")
    if outbound.backend_ref is not None:
        yield (place / "backendRef").error(NOT_SUPPORTED, "backendRef is not supported yet", _BY_TAGS)
        return
    yield from service_findings(place / "tags", outbound.tags, 'mandatory tag "kuma.io/service" is missing')
    yield from tag_findings(place / "tags", outbound.tags)
    for tag, possible in ((PROTOCOL, PROTOCOLS), (ZONE, (LOCAL_ZONE,))):
        value = outbound.tags.get(tag)
        if value and value not in possible:
            problem = f"{value!r} chooses no inbound, so calls fail"
            yield (place / "tags")[f'"{tag}"'].warning(
                SELECTS_NOTHING, problem, f"{', '.join(possible)}; or leave it out"
            )


def _sockets(place: Place, networking: Networking) -> Iterator[Finding]:
    """Sockets of which Envoy would find only one to be free."""
    inbound, apps, outbound = _asked(place, networking)
    taken, listening = Taken(inbound), Taken(apps)
    for listener in outbound:
        if holder := taken.take(listener):
            yield _conflict(listener, f"{holder.place.path} has it")
        if app := listening.holder(listener):
            yield _conflict(listener, f"the application of {app.place.path} listens there")
    for one in (*inbound, *outbound, *apps):
        if one.clashes(Socket(one.place, "127.0.0.1", AGENT_PORT)):
            problem = f"{one} is taken by the agent's readiness"
            yield (one.place / "port").error(RESERVED_PORT, problem, "choose another port")


def _asked(place: Place, networking: Networking) -> tuple[list[Socket], list[Socket], list[Socket]]:
    inbounds = [
        (Socket((place / "inbound")[index], one.address or networking.address, one.port), one.target)
        for index, one in enumerate(networking.inbound)
        if one.listens
    ]
    apps = [Socket(one.place, host, port) for one, (host, port) in inbounds]
    outbounds = [
        Socket((place / "outbound")[index], one.bind, one.port) for index, one in enumerate(networking.outbound)
    ]
    return [one for one, _ in inbounds if one.port], apps, [one for one in outbounds if one.port]


def _conflict(socket: Socket, why: str) -> Finding:
    return (socket.place / "port").error(BIND_CONFLICT, f"cannot listen on {socket}: {why}", "choose another port")
