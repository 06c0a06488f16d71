"""ServiceEntry: hosts that no Service describes, inside the mesh or outside it, and where they are.

Each host is a service of its own. Nothing intercepts traffic, so there is no original destination: resolution NONE
looks up the host that was called, and so refuses hosts with a wildcard. Refuses DYNAMIC_DNS.
"""

import json
from collections.abc import Iterator
from typing import Final

from outrig.dialects import syntax
from outrig.dialects.columns import AGE
from outrig.dialects.istio.endpoint import endpoint_of
from outrig.dialects.istio.service_entry_findings import findings
from outrig.dialects.istio.service_entry_spec import ServiceEntryBody, ServiceEntrySpec
from outrig.dialects.kind import Column, Kind, Scope
from outrig.dialects.protocols import protocol_of_port
from outrig.dialects.reach import asked_distribution, exported_to, is_near_first
from outrig.dialects.schema import parse
from outrig.model import (
    AddressForm,
    Resolution,
    Selector,
    Service,
    ServicePort,
    TlsMode,
    Workload,
    WorkloadId,
    labels_of,
)
from outrig.resources import Resource

_RESOLUTIONS: Final = {
    "NONE": Resolution.DNS,
    "STATIC": Resolution.TOLD,
    "DNS": Resolution.DNS,
    "DNS_ROUND_ROBIN": Resolution.DNS_ROUND_ROBIN,
}
_TOLD_FORMS: Final = frozenset({AddressForm.IP, AddressForm.SOCKET})
_LOOKED_UP_FORMS: Final = frozenset({AddressForm.IP, AddressForm.NAME})


def _compile(resource: Resource, scope: Scope) -> tuple[Service, ...]:
    spec = parse(ServiceEntryBody, resource).spec
    if spec.resolution not in _RESOLUTIONS:
        return ()
    hosts = list(dict.fromkeys(host.lower().removesuffix(".") for host in spec.hosts))
    written = tuple(_written(resource, spec, scope))
    return tuple(_service(resource, spec, host, members=written, is_first=host == hosts[0]) for host in hosts)


def _service(
    resource: Resource, spec: ServiceEntrySpec, host: str, *, members: tuple[Workload, ...], is_first: bool
) -> Service:
    resolution, external = _RESOLUTIONS[spec.resolution], spec.location == "MESH_EXTERNAL"
    is_told = resolution is Resolution.TOLD
    selector = _selector(resource, spec)
    itself = () if is_told or spec.endpoints or selector else _itself(resource, host)
    return Service(
        origin=resource.key,
        namespace=resource.key.namespace,
        host=host,
        ports=tuple(_ports(spec)),
        selector=selector,
        names=(f"{host}.", *(_addresses(spec) if is_first else ())),
        exported_to=exported_to(spec.export_to, resource.key.namespace),
        members=members or itself,
        forms=_TOLD_FORMS if is_told else _LOOKED_UP_FORMS,
        resolution=resolution,
        external=external,
        accepted=() if external else tuple(sorted(set(spec.subject_alt_names))),
        near_first=is_told and is_near_first(asked_distribution(resource)),
    )


def _ports(spec: ServiceEntrySpec) -> Iterator[ServicePort]:
    for port in spec.ports:
        if port.protocol.lower() != "udp":
            protocol = protocol_of_port(port.number, name="", app_protocol=port.protocol)
            yield ServicePort(port.number, port.name, protocol, port.target_port or port.number)


def _selector(resource: Resource, spec: ServiceEntrySpec) -> Selector | None:
    if spec.workload_selector is None or spec.resolution == "NONE":
        return None
    return Selector(resource.key.namespace, labels_of(spec.workload_selector.labels))


def _addresses(spec: ServiceEntrySpec) -> tuple[str, ...]:
    """The addresses that can stand in a Host header: single ones."""
    return tuple(dict.fromkeys(syntax.canonical_ip(one) for one in spec.addresses if syntax.is_ip(one)))


def _written(resource: Resource, spec: ServiceEntrySpec, scope: Scope) -> Iterator[Workload]:
    """The endpoints inside it whose address its resolution can use."""
    forms = _TOLD_FORMS if spec.resolution == "STATIC" else _LOOKED_UP_FORMS
    for index, written in enumerate(spec.endpoints):
        name = f"{resource.key.name}/{index}"
        endpoint = endpoint_of(written, written.labels, origin=resource.key, name=name, scope=scope)
        if endpoint and endpoint.form in forms:
            yield endpoint


def _itself(resource: Resource, host: str) -> tuple[Workload, ...]:
    """The host as its own endpoint, called in plaintext: nobody said that it has an identity."""
    if host.startswith("*"):
        return ()
    namespace = resource.key.namespace
    return (
        Workload(
            origin=resource.key,
            id=WorkloadId(f"{namespace}/{resource.key.name}/{host}"),
            namespace=namespace,
            labels=(),
            address=host,
            identities=(),
            proxied=False,
            tls_default=TlsMode.DISABLE,
            form=AddressForm.NAME,
        ),
    )


def _hosts_cell(resource: Resource) -> str:
    return json.dumps(resource.spec.get("hosts") or [], separators=(",", ":"))


def _cell(resource: Resource, field: str) -> str:
    return str(resource.spec.get(field) or "")


SERVICE_ENTRY: Final = Kind(
    group="networking.istio.io",
    name="ServiceEntry",
    plural="serviceentries",
    singular="serviceentry",
    short_names=("se",),
    categories=("istio-io", "networking-istio-io"),
    versions=("v1", "v1beta1", "v1alpha3"),
    deprecated=("v1beta1",),
    schema=ServiceEntryBody,
    columns=(
        Column("Hosts", _hosts_cell, description="Hosts of the service"),
        Column("Location", lambda entry: _cell(entry, "location"), description="MESH_EXTERNAL or MESH_INTERNAL"),
        Column("Resolution", lambda entry: _cell(entry, "resolution"), description="How its addresses are found"),
        AGE,
    ),
    findings=findings,
    compile=_compile,
)
