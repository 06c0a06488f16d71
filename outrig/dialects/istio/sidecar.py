"""Sidecar: what the proxies of some workloads listen on.

One Sidecar applies to a workload, never a mixture: one whose selector fits, else one for the namespace, else one for
the mesh; of several the oldest. Every listener is really bound: there is no iptables.
"""

from collections.abc import Sequence
from typing import Final

from outrig.dialects import syntax
from outrig.dialects.columns import AGE
from outrig.dialects.istio.connection_pool import PoolForm, pool_of
from outrig.dialects.istio.listeners import HTTP_PROXY, LISTENER_PROTOCOLS, import_of, target_of
from outrig.dialects.istio.precedence import Level, level_of, rank_of
from outrig.dialects.istio.rivals import rivalry
from outrig.dialects.istio.sidecar_findings import findings
from outrig.dialects.istio.sidecar_spec import (
    Destination,
    EgressListener,
    IngressListener,
    SidecarBody,
    SidecarSpec,
)
from outrig.dialects.kind import Kind, Scope
from outrig.dialects.schema import parse
from outrig.errors import Finding
from outrig.model import (
    UNBOUNDED,
    Egress,
    Ingress,
    OutboundPolicy,
    Policy,
    Protocol,
    ProxyShape,
    Selector,
    labels_of,
)
from outrig.resources import Resource

OWN_NAMESPACE: Final = "."  # of whichever workload the mesh-wide Sidecar applies to


def _compile(resource: Resource, scope: Scope) -> tuple[Policy[ProxyShape], ...]:  # noqa: ARG001 - asks for nothing
    return (_policy(resource),)


def _rivals(resource: Resource, others: Sequence[Resource]) -> tuple[Finding, ...]:
    return tuple(rivalry(_policy(resource), map(_policy, others)))


def _policy(resource: Resource) -> Policy[ProxyShape]:
    spec, namespace = parse(SidecarBody, resource).spec, resource.key.namespace
    labels = spec.workload_selector.labels if spec.workload_selector else {}
    level = level_of(namespace, has_selector=spec.workload_selector is not None)
    mesh_wide = level is Level.MESH
    reach = Selector(None if mesh_wide else namespace, labels_of(labels))
    shape = _shape(spec, OWN_NAMESPACE if mesh_wide else namespace)
    return Policy(resource.key, reach, shape, rank_of(resource, level))


def _shape(spec: SidecarSpec, own_namespace: str) -> ProxyShape:
    ingress = (_ingress(item, spec.inbound_connection_pool) for item in spec.ingress)
    policy = spec.outbound_traffic_policy
    return ProxyShape(
        ingress=tuple(item for item in ingress if item),
        egress=tuple(_egress(item, own_namespace) for item in spec.egress),
        outbound=OutboundPolicy(policy.mode) if policy else OutboundPolicy.REGISTRY_ONLY,
        egress_proxy=_egress_proxy(policy.egress_proxy) if policy and policy.egress_proxy else None,
    )


def _egress_proxy(destination: Destination) -> tuple[str, int] | None:
    """Its host and port; a resource of an older release may lack the latter."""
    return (destination.host.lower().removesuffix("."), destination.port.number) if destination.port else None


def _ingress(item: IngressListener, wider: PoolForm | None) -> Ingress | None:
    """The pool of a listener stands in place of the one for all, it is not merged with it."""
    target = target_of(item.default_endpoint, item.port.number)
    if target is None:
        return None
    pool = item.connection_pool or wider
    return Ingress(
        port=item.port.number,
        protocol=_protocol(item.port.protocol),
        target=target,
        bind=syntax.canonical_ip(item.bind) or None,
        pool=pool_of(pool) if pool else UNBOUNDED,
    )


def _egress(item: EgressListener, own_namespace: str) -> Egress:
    imports = (import_of(host, own_namespace=own_namespace) for host in item.hosts)
    return Egress(
        imports=tuple(one for one in imports if one),
        port=item.port.number if item.port else None,
        bind=syntax.canonical_ip(item.bind) or None,
        protocol=_protocol(item.port.protocol if item.port else ""),
        proxy=item.port is not None and item.port.protocol.lower() == HTTP_PROXY,
    )


def _protocol(name: str) -> Protocol:
    return LISTENER_PROTOCOLS.get(name.lower(), Protocol.UNSPECIFIED)


SIDECAR: Final = Kind(
    group="networking.istio.io",
    name="Sidecar",
    plural="sidecars",
    singular="sidecar",
    categories=("istio-io", "networking-istio-io"),
    versions=("v1", "v1beta1", "v1alpha3"),
    schema=SidecarBody,
    columns=(AGE,),
    findings=findings,
    rivals=_rivals,
    compile=_compile,
)
