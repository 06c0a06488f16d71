"""What is wrong or doubtful with a ServiceEntry beyond its schema: Istio's rules, and what holds without redirection.

ServiceEntry in, all findings out.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from outrig.dialects import syntax
from outrig.dialects.findings import (
    ASSUMED,
    DUPLICATE,
    INVALID,
    NOT_HONOURED,
    NOT_SUPPORTED,
    SELECTS_ALL,
    SELECTS_NOTHING,
    Place,
)
from outrig.dialects.istio.endpoint import SOCKET, address_findings, form_of, network_findings
from outrig.dialects.istio.service_entry_spec import ServiceEntryBody, ServiceEntryPort, ServiceEntrySpec
from outrig.dialects.istio.workload_template import WorkloadTemplate
from outrig.dialects.protocols import PROTOCOLS, protocol_of_port
from outrig.dialects.reach import asked_distribution, distribution_findings
from outrig.dialects.schema import parse
from outrig.errors import Finding, did_you_mean
from outrig.model import AddressForm, Protocol
from outrig.resources import Resource

_LOOKS_UP: Final = frozenset({"NONE", "DNS", "DNS_ROUND_ROBIN"})
_WORDS: Final = ("", *PROTOCOLS, "udp", "http_proxy")


def findings(resource: Resource) -> tuple[Finding, ...]:
    """All findings of a ServiceEntry that fits its schema."""
    spec, place = parse(ServiceEntryBody, resource).spec, Place(resource.key)
    checks = (_hosts, _addresses, _ports, _resolution, _sources, _endpoints, _names_accepted, _export)
    found = (finding for check in checks for finding in check(place, spec))
    return (*found, *_distribution(resource, spec))


def _hosts(place: Place, spec: ServiceEntrySpec) -> Iterator[Finding]:
    for index, host in enumerate(spec.hosts):
        here = (place / "hosts")[index]
        if host == "*":
            yield here.error(INVALID, "must not be * alone", "for example *.example.com")
        elif not syntax.is_host(host.removeprefix("*.")):
            yield here.error(INVALID, f"{host!r} is no host name", "for example api.example.com or *.example.com")
        elif host in spec.hosts[:index]:
            yield here.warning(DUPLICATE, f"host {host!r} is there twice")


def _addresses(place: Place, spec: ServiceEntrySpec) -> Iterator[Finding]:
    for index, address in enumerate(spec.addresses):
        here = (place / "addresses")[index]
        if syntax.is_network(address):
            if spec.resolution not in ("NONE", "STATIC"):
                yield here.error(INVALID, "a network goes with resolution NONE or STATIC only")
            yield here.warning(NOT_HONOURED, "a network has no effect: no traffic is redirected", "list its addresses")
        elif not syntax.is_ip(address):
            yield here.error(INVALID, f"{address!r} is no IP address")


def _ports(place: Place, spec: ServiceEntrySpec) -> Iterator[Finding]:
    if not spec.ports:
        yield (place / "ports").warning(SELECTS_NOTHING, "without a port nothing can call it")
    for index, port in enumerate(spec.ports):
        yield from _port((place / "ports")[index], port, spec.ports[:index])


def _port(place: Place, port: ServiceEntryPort, before: Sequence[ServiceEntryPort]) -> Iterator[Finding]:
    if port.number in {other.number for other in before}:
        yield (place / "number").error(DUPLICATE, f"port {port.number} is there twice")
    if port.name in {other.name for other in before}:
        yield (place / "name").error(DUPLICATE, f"port name {port.name!r} is there twice")
    if port.protocol.lower() not in _WORDS:
        hint = did_you_mean(port.protocol.upper(), [word.upper() for word in PROTOCOLS])
        yield (place / "protocol").error(INVALID, f"{port.protocol!r} is no protocol", hint)
    if port.protocol.lower() == "udp":
        yield (place / "protocol").warning(NOT_HONOURED, "UDP ports take no part in the mesh")


def _resolution(place: Place, spec: ServiceEntrySpec) -> Iterator[Finding]:
    here = place / "resolution"
    if spec.resolution == "DYNAMIC_DNS":
        hint = "list the hosts and write DNS"
        yield here.error(NOT_SUPPORTED, "looking up whatever host is called is not supported yet", hint)
    if spec.resolution == "NONE":
        hint = "write DNS if that is meant"
        yield here.warning(ASSUMED, "nothing is redirected: the host that is called is looked up by DNS", hint)
    is_chosen = spec.workload_selector and spec.resolution != "NONE"
    if spec.resolution in _LOOKS_UP and not spec.endpoints and not is_chosen:
        yield from _wildcards(place / "hosts", spec)
    if spec.resolution != "NONE" and len(spec.hosts) > 1 and any(map(_is_bytes, spec.ports)):
        problem = "several hosts cannot share a port that is neither HTTP nor TLS"
        yield (place / "hosts").error(INVALID, problem, "write a ServiceEntry for each")


def _wildcards(place: Place, spec: ServiceEntrySpec) -> Iterator[Finding]:
    for index, host in enumerate(spec.hosts):
        if host.startswith("*"):
            problem = f"{host!r} cannot be looked up"
            yield place[index].error(NOT_SUPPORTED, problem, "list the hosts, or give endpoints with resolution STATIC")


def _is_bytes(port: ServiceEntryPort) -> bool:
    """Whether callers' hosts cannot be told apart there: neither by Host nor by the name in a TLS greeting."""
    protocol = protocol_of_port(port.number, name="", app_protocol=port.protocol)
    return not protocol.is_http and protocol is not Protocol.TLS


def _sources(place: Place, spec: ServiceEntrySpec) -> Iterator[Finding]:
    """Where the endpoints come from."""
    chosen = spec.workload_selector
    if chosen and spec.endpoints:
        yield (place / "workloadSelector").error(INVALID, "either endpoints or workloadSelector, not both")
    if chosen and not chosen.labels:
        yield (place / "workloadSelector").warning(SELECTS_ALL, "without labels it is every entry of the namespace")
    if chosen and spec.resolution == "NONE":
        yield (place / "workloadSelector").warning(NOT_HONOURED, "has no effect with resolution NONE")
    if spec.endpoints and spec.resolution == "NONE":
        hint = "write STATIC for IP addresses, DNS for names"
        yield (place / "endpoints").error(INVALID, "endpoints need another resolution than NONE", hint)
    if len(spec.endpoints) > 1 and spec.resolution == "DNS_ROUND_ROBIN":
        yield (place / "endpoints").error(INVALID, "DNS_ROUND_ROBIN takes one endpoint at most", "write DNS")
    if spec.resolution == "STATIC" and not chosen and not spec.endpoints:
        yield (place / "endpoints").warning(SELECTS_NOTHING, "without endpoints there is nothing behind it")


def _endpoints(place: Place, spec: ServiceEntrySpec) -> Iterator[Finding]:
    names = {port.name for port in spec.ports}
    for index, endpoint in enumerate(spec.endpoints):
        here = (place / "endpoints")[index]
        yield from address_findings(here / "address", endpoint)
        yield from _fitting(here / "address", endpoint, spec)
        for name in sorted(endpoint.ports.keys() - names):
            problem = f"endpoint port {name} is not defined by the service entry"
            yield (here / "ports")[name].error(INVALID, problem, did_you_mean(name, names))
        yield from network_findings(here, endpoint)


def _fitting(place: Place, endpoint: WorkloadTemplate, spec: ServiceEntrySpec) -> Iterator[Finding]:
    """Whether the resolution can use the address."""
    form = form_of(endpoint.address)
    if form is AddressForm.NAME and spec.resolution == "STATIC":
        yield place.error(INVALID, "STATIC takes IP addresses and unix sockets", "write resolution: DNS")
    if endpoint.address.startswith(SOCKET) and spec.resolution in _LOOKS_UP:
        yield place.error(INVALID, "a unix socket cannot be looked up", "write resolution: STATIC")
    if endpoint.address.startswith(SOCKET) and len(spec.ports) != 1:
        yield place.error(INVALID, "a unix socket needs exactly one port in the service entry")


def _names_accepted(place: Place, spec: ServiceEntrySpec) -> Iterator[Finding]:
    for index, name in enumerate(spec.subject_alt_names):
        here = (place / "subjectAltNames")[index]
        if spec.location == "MESH_EXTERNAL":
            yield here.warning(NOT_HONOURED, "has no effect: no TLS is begun towards MESH_EXTERNAL")
        elif not name.startswith("spiffe://"):
            yield here.error(INVALID, f"{name!r} is no SPIFFE URI, which is all that certificates here carry")


def _export(place: Place, spec: ServiceEntrySpec) -> Iterator[Finding]:
    words, here = spec.export_to, place / "exportTo"
    for index, word in enumerate(words):
        if word not in (".", "*", "~") and not syntax.is_dns_label(word):
            yield here[index].error(INVALID, f"{word!r} is no namespace", "., *, ~ or a name")
        if word in words[:index]:
            yield here[index].error(DUPLICATE, f"{word!r} is there twice")
        if word in ("*", "~") and len(words) > 1:
            yield here[index].error(INVALID, f"{word} must stand alone")


def _distribution(resource: Resource, spec: ServiceEntrySpec) -> Iterator[Finding]:
    yield from distribution_findings(resource)
    if asked_distribution(resource) and spec.resolution in _LOOKS_UP:
        place = Place(resource.key, "metadata.annotations")
        yield place.warning(NOT_HONOURED, "a traffic distribution needs resolution STATIC")
