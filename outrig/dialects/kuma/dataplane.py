"""Dataplane: the proxy beside an application, the services that it is, and what it calls.

A Dataplane is several workloads to the core: one whose proxy is configured, and one for each inbound, which has the
inbound's tags and is behind its service. A service exists as long as some Dataplane has it.

Where nothing is written the application is on 127.0.0.1, as Kuma's documentation says and its code does not.
"""

from collections.abc import Iterator
from typing import Final

from outrig.dialects import syntax
from outrig.dialects.columns import AGE
from outrig.dialects.kind import Column, Kind, Scope
from outrig.dialects.kuma.dataplane_findings import findings
from outrig.dialects.kuma.dataplane_spec import PROTOCOLS, DataplaneBody, Inbound, Networking, Outbound
from outrig.dialects.kuma.group import GROUP, VERSION
from outrig.dialects.kuma.probed import without_probed_state
from outrig.dialects.kuma.tags import (
    PROTOCOL,
    SERVICE,
    host_of,
    identities_of,
    identity_of,
    named_elsewhere,
    namespace_of,
    proxy_id,
)
from outrig.dialects.readiness import health_of
from outrig.dialects.schema import parse
from outrig.model import (
    Address,
    Egress,
    Fact,
    Health,
    Import,
    Ingress,
    Offer,
    Policy,
    Protocol,
    ProxyShape,
    Regime,
    Selector,
    Service,
    ServicePort,
    Sole,
    TlsMode,
    Workload,
    WorkloadId,
    labels_of,
)
from outrig.resources import Key, Resource

OWN: Final = (9,)  # the rank of what a Dataplane, or its Mesh, says itself: above all that is meant for everybody
UNREADY_PORTS: Final = "unreadyPorts"
_PORT: Final = "inbound"
# Labels that no user can write, so that nothing is chosen by accident.
NAME_LABEL: Final = "@dataplane"
_OF_SERVICE: Final = "@service"


def networking_of(dataplane: Resource) -> Networking:
    """The addresses and ports of a Dataplane."""
    return parse(DataplaneBody, dataplane).networking


def dataplane_identities(dataplane: Resource) -> tuple[str, ...]:
    """The URIs of its certificate among workloads."""
    return identities_of(dataplane.key.mesh, networking_of(dataplane).identified)


def _compile(resource: Resource, scope: Scope) -> tuple[Fact, ...]:  # noqa: ARG001 - its mesh stands in its key
    networking = networking_of(resource)
    proxy = _proxy(resource, networking)
    parts = _parts(resource, networking, proxy)
    listening = (inbound for inbound in networking.inbound if inbound.listens)
    offers = [offer_of(resource.key, one.service, (one.port, protocol_of(one))) for one in listening]
    return (proxy, _shape(resource.key, networking), *parts, *offers)


def _proxy(resource: Resource, networking: Networking) -> Workload:
    return Workload(
        origin=resource.key,
        id=proxy_id(resource.key),
        namespace=namespace_of(resource.key.mesh),
        labels=labels_of({**resource.labels, NAME_LABEL: resource.key.name}),
        address=syntax.canonical_ip(networking.reached_at),
        own_address=syntax.canonical_ip(networking.address),
        identities=identities_of(resource.key.mesh, networking.identified),
        tls_default=TlsMode.DISABLE,
        regime=Regime.CLOSED,
    )


def _parts(resource: Resource, networking: Networking, proxy: Workload) -> Iterator[Workload]:
    for inbound in networking.inbound:
        if not inbound.listens:
            continue
        address = networking.advertised_address or inbound.address or networking.address
        yield Workload(
            origin=resource.key,
            id=WorkloadId(f"{proxy.id}/{inbound.port}"),
            namespace=proxy.namespace,
            labels=labels_of({**dict(inbound.labels), _OF_SERVICE: inbound.service}),
            address=syntax.canonical_ip(address),
            identities=proxy.identities,
            health=health_of_inbound(resource, inbound),
            ports=((_PORT, inbound.port),),
            proxied=False,
            tls_default=TlsMode.DISABLE,
            proxy=proxy.id,
            regime=Regime.CLOSED,
        )


def health_of_inbound(resource: Resource, inbound: Inbound) -> Health:
    """What its agent said, and its author."""
    disabled = inbound.state == "NotReady" or (inbound.health is not None and not inbound.health.ready)
    whole = health_of(resource, untold=Health.READY)
    return Health.UNREADY if disabled or fails_probe(resource, inbound) else whole


def fails_probe(resource: Resource, inbound: Inbound) -> bool:
    """Whether its probe has not succeeded, as its agent tells. One that is probed has not before it was found to."""
    told = resource.status.get(UNREADY_PORTS)
    return inbound.service_probe is not None if told is None else inbound.port in told


def offer_of(origin: Key, service: str, port: tuple[int, Protocol], *, kept: bool = False) -> Offer:
    """What a resource offers: one port of a service, and what is spoken there."""
    (number, protocol), mesh, namespace = port, origin.mesh, namespace_of(origin.mesh)
    part = Service(
        origin=service_key(mesh, service),
        namespace=namespace,
        host=host_of(service),
        ports=(ServicePort(number, "", protocol, _PORT),),
        selector=Selector(namespace, ((_OF_SERVICE, service),)),
        accepted=(identity_of(mesh, service),),
    )
    return Offer(origin, part, kept)


def service_key(mesh: str, service: str) -> Key:
    """What stands for a service of Dataplanes; nothing of that key is stored."""
    return Key(GROUP, "Service", mesh, "", service)


def _shape(dataplane: Key, networking: Networking) -> Policy[ProxyShape]:
    shape = ProxyShape(
        ingress=tuple(_ingress(inbound) for inbound in networking.inbound if inbound.listens),
        egress=tuple(_egress(outbound, dataplane.mesh) for outbound in networking.outbound),
        words=("networking.inbound", "networking.outbound"),
    )
    return Policy(dataplane, Selector(namespace_of(dataplane.mesh), ((NAME_LABEL, dataplane.name),)), shape, OWN)


def _ingress(inbound: Inbound) -> Ingress:
    host, port = inbound.target
    return Ingress(
        port=inbound.port,
        protocol=protocol_of(inbound),
        target=Address(syntax.canonical_ip(host), port),
        bind=syntax.canonical_ip(inbound.address) or None,
        name=inbound.name or str(inbound.port),
        labels=inbound.labels,
    )


def _egress(outbound: Outbound, mesh: str) -> Egress:
    """A service of Dataplanes of exactly that name comes before one that is named in the other dialect's way."""
    name = outbound.tags.get(SERVICE, "")
    imports: tuple[Import, ...] = (Import(namespace_of(mesh), host_of(name)),)
    ports: tuple[int | None, ...] = (None,)
    if elsewhere := named_elsewhere(name):
        of, namespace, port = elsewhere
        imports, ports = (*imports, Import(namespace, f"@{of}")), (*ports, port)
    subset = labels_of({key: value for key, value in outbound.tags.items() if key != SERVICE})
    assumed = PROTOCOLS.get(outbound.tags.get(PROTOCOL, ""), Protocol.TCP)
    return Egress(imports, outbound.port, syntax.canonical_ip(outbound.bind), sole=Sole(name, ports, subset, assumed))


def protocol_of(inbound: Inbound) -> Protocol:
    """What an inbound speaks."""
    return PROTOCOLS.get(inbound.spoken, Protocol.TCP)


def _tags_cell(resource: Resource) -> str:
    tags = sorted({f"{key}={value}" for labels in networking_of(resource).identified for key, value in labels})
    return " ".join(tags)


DATAPLANE: Final = Kind(
    group=GROUP,
    name="Dataplane",
    plural="dataplanes",
    singular="dataplane",
    short_names=("dp",),
    versions=(VERSION,),
    schema=DataplaneBody,
    namespaced=False,
    mesh_scoped=True,
    columns=(
        Column("Tags", _tags_cell, description="Tags of all its inbounds"),
        Column("Address", lambda dataplane: networking_of(dataplane).reached_at, description="Address of the proxy"),
        AGE,
    ),
    default=without_probed_state,
    findings=findings,
    compile=_compile,
)
