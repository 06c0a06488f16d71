"""What is wrong or doubtful with a Service beyond its schema. Service in, findings out."""

from collections.abc import Iterator
from typing import Final

from outrig.dialects import syntax
from outrig.dialects.core.service_spec import ServiceBody, ServicePortSpec, ServiceSpec
from outrig.dialects.findings import (
    BAD_NAME,
    DUPLICATE,
    INVALID,
    MISSING,
    NOT_HONOURED,
    NOT_SUPPORTED,
    SELECTS_NOTHING,
    Place,
)
from outrig.dialects.protocols import PROTOCOLS, named_protocol
from outrig.dialects.reach import EXPORT_ANNOTATION, distribution_findings, export_words
from outrig.dialects.schema import parse
from outrig.errors import Finding
from outrig.resources import Resource

_AS_ENTRY: Final = "write a ServiceEntry with resolution DNS"


def findings(resource: Resource) -> tuple[Finding, ...]:
    """All findings of a Service that fits its schema."""
    spec = parse(ServiceBody, resource).spec
    place = Place(resource.key)
    checks = (_type, _addresses, _selection, _ports, _no_effect)
    found = (finding for check in checks for finding in check(place, spec))
    return (*_name(resource), *found, *_export(resource), *_distribution(resource, spec))


def _name(resource: Resource) -> Iterator[Finding]:
    if not syntax.is_service_name(resource.key.name):
        hint = "at most 63 lower-case letters, digits and '-', starting with a letter"
        yield Place(resource.key, "metadata.name").error(BAD_NAME, "is no service name", hint)


def _type(place: Place, spec: ServiceSpec) -> Iterator[Finding]:
    if spec.type == "ExternalName":
        yield (place / "type").error(NOT_SUPPORTED, "ExternalName is not supported yet", _AS_ENTRY)
    elif spec.external_name:
        yield (place / "externalName").warning(NOT_HONOURED, f"has no effect with type {spec.type}")
    if spec.type in ("NodePort", "LoadBalancer"):
        problem = f"{spec.type} opens nothing to the outside"
        yield (place / "type").warning(NOT_HONOURED, problem, "inside the mesh it is a ClusterIP Service")


def _addresses(place: Place, spec: ServiceSpec) -> Iterator[Finding]:
    if spec.cluster_ip and spec.cluster_ips and spec.cluster_ips[0] != spec.cluster_ip:
        yield (place / "clusterIPs").error(INVALID, "first value must match `clusterIP`")


def _selection(place: Place, spec: ServiceSpec) -> Iterator[Finding]:
    if spec.type == "ExternalName":
        return
    if spec.is_headless:
        hint = "leave clusterIP out to have the selected workloads behind it"
        yield (place / "clusterIP").warning(SELECTS_NOTHING, "a headless Service never has workloads behind it", hint)
    elif not spec.selector:
        yield (place / "selector").warning(SELECTS_NOTHING, "without a selector no workload is behind the Service")


def _ports(place: Place, spec: ServiceSpec) -> Iterator[Finding]:
    ports = spec.ports or []
    if not ports and not spec.is_headless and spec.type != "ExternalName":
        yield (place / "ports").error(MISSING, "at least one port is required")
    numbers: set[tuple[str, int]] = set()
    names: set[str] = set()
    for index, port in enumerate(ports):
        here = (place / "ports")[index]
        if (port.protocol, port.port) in numbers:
            yield (here / "port").error(DUPLICATE, f"port {port.port}/{port.protocol} is there twice")
        if port.name in names:
            yield (here / "name").error(DUPLICATE, f"port name {port.name!r} is there twice")
        yield from _port(here, port, is_only=len(ports) == 1)
        numbers.add((port.protocol, port.port))
        names.update({port.name} - {""})


def _port(place: Place, port: ServicePortSpec, *, is_only: bool) -> Iterator[Finding]:
    if not port.name and not is_only:
        yield (place / "name").error(MISSING, "each of several ports needs a name")
    if port.protocol != "TCP":
        yield (place / "protocol").warning(NOT_HONOURED, f"{port.protocol} ports take no part in the mesh")
    if port.app_protocol and not named_protocol(port.app_protocol):
        problem = f"{port.app_protocol!r} is unknown, so the port is taken for one that does not say what it speaks"
        yield (place / "appProtocol").warning(NOT_HONOURED, problem, f"known: {', '.join(PROTOCOLS)}")
    if port.node_port:
        yield (place / "nodePort").warning(NOT_HONOURED, "has no effect")


def _export(resource: Resource) -> Iterator[Finding]:
    place = Place(resource.key, "metadata.annotations")[EXPORT_ANNOTATION]
    for word in export_words(resource):
        if word not in (".", "*", "~") and not syntax.is_dns_label(word):
            yield place.warning(NOT_HONOURED, f"{word!r} is no namespace, so it has no effect", "., *, ~ or a name")


def _distribution(resource: Resource, spec: ServiceSpec) -> Iterator[Finding]:
    if spec.traffic_distribution == "PreferSameNode":
        problem = "PreferSameNode has no effect: a task is a node of its own"
        yield Place(resource.key, "spec.trafficDistribution").warning(NOT_HONOURED, problem, "write PreferClose")
    yield from distribution_findings(resource)


def _no_effect(place: Place, spec: ServiceSpec) -> Iterator[Finding]:
    asked = {
        "externalIPs": spec.external_ips,
        "sessionAffinity": spec.session_affinity == "ClientIP",
        "loadBalancerIP": spec.load_balancer_ip,
        "loadBalancerSourceRanges": spec.load_balancer_source_ranges,
        "loadBalancerClass": spec.load_balancer_class,
        "healthCheckNodePort": spec.health_check_node_port,
        "ipFamilyPolicy": spec.ip_family_policy in ("PreferDualStack", "RequireDualStack"),
        "externalTrafficPolicy": spec.external_traffic_policy == "Local",
        "internalTrafficPolicy": spec.internal_traffic_policy == "Local",
        "publishNotReadyAddresses": spec.publish_not_ready_addresses,
    }
    for field, value in asked.items():
        if value:
            yield (place / field).warning(NOT_HONOURED, "has no effect")
