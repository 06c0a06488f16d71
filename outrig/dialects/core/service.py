"""Service: a host that callers know, its ports, and by selector the workloads behind it.

Inside the mesh a NodePort or LoadBalancer Service is what a ClusterIP one is. There is no kube-proxy, so no cluster IP
is handed out: `clusterIP` stays as first written. Refuses ExternalName: callers would get 503 where they expect another
host.
"""

from typing import Final

from outrig.dialects.columns import AGE
from outrig.dialects.core.service_findings import findings
from outrig.dialects.core.service_spec import ServiceBody, ServicePortSpec, ServiceSpec, with_defaults
from outrig.dialects.kind import Column, Kind, Scope, SetOnce
from outrig.dialects.protocols import protocol_of_port
from outrig.dialects.reach import asked_distribution, export_words, exported_to, is_near_first
from outrig.dialects.schema import parse
from outrig.dialects.statuses import ServiceStatus
from outrig.model import Selector, Service, ServicePort, labels_of
from outrig.resources import Json, Resource

CLUSTER_DOMAIN: Final = "cluster.local"
_FIXED: Final = "may not change once set"


def _compile(resource: Resource, scope: Scope) -> tuple[Service, ...]:  # noqa: ARG001 - hosts are the same in any mesh
    spec = parse(ServiceBody, resource).spec
    if spec.type == "ExternalName":
        return ()
    name, namespace = resource.key.name, resource.key.namespace
    short = f"{name}.{namespace}.svc"
    host = f"{short}.{CLUSTER_DOMAIN}"
    return (
        Service(
            origin=resource.key,
            namespace=namespace,
            host=host,
            ports=tuple(_port(port) for port in spec.ports or () if port.protocol == "TCP"),
            selector=_selector(spec, namespace),
            names=(f"{name}.{namespace}", short, f"{host}.", *spec.addresses),
            local_names=(name,),
            exported_to=exported_to(export_words(resource), namespace),
            near_first=is_near_first(spec.traffic_distribution or asked_distribution(resource)),
        ),
    )


def _port(port: ServicePortSpec) -> ServicePort:
    protocol = protocol_of_port(port.port, name=port.name, app_protocol=port.app_protocol or "")
    return ServicePort(port.port, port.name, protocol, port.target_port or port.port)


def _selector(spec: ServiceSpec, namespace: str) -> Selector | None:
    """Istio: a headless Service, or one without a selector, never has workload entries behind it."""
    return Selector(namespace, labels_of(spec.selector)) if spec.selector and not spec.is_headless else None


def _spec(resource: Resource, field: str) -> str:
    return str(resource.spec.get(field) or "<none>")


def _ports_cell(resource: Resource) -> str:
    ports = resource.spec.get("ports") or ()
    return ",".join(f"{port['port']}/{port.get('protocol', 'TCP')}" for port in ports) or "<none>"


def _observed(resource: Resource) -> Json:
    """As Kubernetes has it of a Service without a load balancer, unless somebody wrote more."""
    return {"loadBalancer": {}, **resource.status}


def _selector_cell(resource: Resource) -> str:
    selector = resource.spec.get("selector") or {}
    return ",".join(f"{key}={value}" for key, value in sorted(selector.items())) or "<none>"


SERVICE: Final = Kind(
    group="",
    name="Service",
    plural="services",
    singular="service",
    short_names=("svc",),
    categories=("all",),
    versions=("v1",),
    schema=ServiceBody,
    status_schema=ServiceStatus,
    strategic_merge=True,
    created_by_update=True,
    set_once=(SetOnce("spec.clusterIP", _FIXED), SetOnce("spec.clusterIPs", _FIXED)),
    columns=(
        Column("Type", lambda service: _spec(service, "type"), description="ClusterIP, NodePort or LoadBalancer"),
        Column("Cluster-IP", lambda service: _spec(service, "clusterIP"), description="Its address, if one was given"),
        Column("External-IP", lambda _: "<none>", description="Nothing is opened to the outside"),
        Column("Port(s)", _ports_cell, description="Ports on which callers reach it"),
        AGE,
        Column("Selector", _selector_cell, description="Labels of the workloads behind it", priority=1),
    ),
    default=with_defaults,
    findings=findings,
    observed=_observed,
    compile=_compile,
)
