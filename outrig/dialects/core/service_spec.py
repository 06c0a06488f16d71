"""The schema of Service, and what a real server fills in."""

from typing import Annotated, Any, Final, Literal

from pydantic import Field

from outrig.dialects import syntax
from outrig.dialects.schema import (
    ATOMIC,
    DnsLabelOrEmpty,
    Form,
    IpOrEmpty,
    LabelKey,
    Labels,
    Port,
    PortOrName,
    empty_or,
    keyed_by,
)
from outrig.resources import Json

HEADLESS: Final = "None"
NO_EFFECT: Final = "Accepted as in Kubernetes; has no effect."

ClusterIp = Annotated[
    str, empty_or(lambda text: text == HEADLESS or syntax.is_ip(text), "an IP address, or the word None")
]


class ServicePortSpec(Form):
    """A port of the service."""

    name: DnsLabelOrEmpty = Field(
        default="", description="Name of the port; its prefix before '-' tells the protocol (http-web)."
    )
    protocol: Literal["TCP", "UDP", "SCTP"] = Field(default="TCP", description="Only TCP ports take part in the mesh.")
    app_protocol: LabelKey | None = Field(
        default=None, description="What is spoken, before the name: http, http2, grpc, tcp, tls, kubernetes.io/h2c."
    )
    port: Port = Field(description="Number that callers use.")
    target_port: PortOrName | None = Field(
        default=None, description="The workload's port: a number, or a name among its ports. Default: the same number."
    )
    node_port: int | None = Field(default=None, ge=0, le=65535, description=NO_EFFECT)


class ClientIpConfig(Form):
    """Settings of session affinity by client address."""

    timeout_seconds: int | None = Field(default=None, ge=1, le=86400, description=NO_EFFECT)


class SessionAffinityConfig(Form):
    """Settings of session affinity."""

    client_ip: ClientIpConfig | None = Field(default=None, alias="clientIP", description=NO_EFFECT)


class ServiceSpec(Form):
    """What the service is."""

    type: Literal["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"] = Field(
        default="ClusterIP", description="All but ExternalName mean the same inside the mesh."
    )
    selector: Labels | None = Field(
        default=None, description="Labels of the workloads behind the service.", json_schema_extra=ATOMIC
    )
    ports: list[ServicePortSpec] | None = Field(
        default=None, description="Ports on which callers reach it.", json_schema_extra=keyed_by("port", "protocol")
    )
    cluster_ip: ClusterIp | None = Field(
        default=None,
        alias="clusterIP",
        description="An address under which callers may know the service as well, or None for a headless service. "
        "Never handed out.",
    )
    cluster_ips: list[ClusterIp] | None = Field(
        default=None, alias="clusterIPs", description="Like clusterIP, one for each address family."
    )
    external_ips: list[IpOrEmpty] | None = Field(default=None, alias="externalIPs", description=NO_EFFECT)
    external_name: str | None = Field(default=None, description="Not supported: see type.")
    session_affinity: Literal["None", "ClientIP"] = Field(default="None", description=NO_EFFECT)
    session_affinity_config: SessionAffinityConfig | None = Field(default=None, description=NO_EFFECT)
    load_balancer_ip: str | None = Field(default=None, alias="loadBalancerIP", description=NO_EFFECT)
    load_balancer_source_ranges: list[str] | None = Field(default=None, description=NO_EFFECT)
    load_balancer_class: str | None = Field(default=None, description=NO_EFFECT)
    allocate_load_balancer_node_ports: bool | None = Field(default=None, description=NO_EFFECT)
    external_traffic_policy: Literal["Cluster", "Local"] | None = Field(default=None, description=NO_EFFECT)
    internal_traffic_policy: Literal["Cluster", "Local"] | None = Field(default=None, description=NO_EFFECT)
    health_check_node_port: int | None = Field(default=None, ge=0, le=65535, description=NO_EFFECT)
    publish_not_ready_addresses: bool | None = Field(default=None, description=NO_EFFECT)
    ip_families: list[Literal["IPv4", "IPv6"]] | None = Field(default=None, description=NO_EFFECT)
    ip_family_policy: Literal["SingleStack", "PreferDualStack", "RequireDualStack"] | None = Field(
        default=None, description=NO_EFFECT
    )
    traffic_distribution: Literal["PreferClose", "PreferSameZone", "PreferSameNode"] | None = Field(
        default=None,
        description="PreferClose, PreferSameZone: callers use endpoints of their own zone first, then of their region. "
        "Without it all endpoints are alike.",
    )

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses written down, each once."""
        written = [self.cluster_ip, *(self.cluster_ips or ())]
        return tuple(dict.fromkeys(one for one in written if one and one != HEADLESS))

    @property
    def is_headless(self) -> bool:
        """Whether the service was asked to have no address of its own."""
        return HEADLESS in (self.cluster_ip, *(self.cluster_ips or ()))


class ServiceBody(Form):
    """A service."""

    spec: ServiceSpec = Field(description="What the service is.")


def with_defaults(body: Json) -> Json:
    """The body with what a Kubernetes server fills in, but for `clusterIP`: there is no kube-proxy to serve one."""
    spec = {field: value for field, value in body["spec"].items() if value is not None}
    filled = {"type": "ClusterIP", "sessionAffinity": "None", **_of_type(spec), **spec}
    if "ports" in spec:
        filled["ports"] = [_port_with_defaults(port) for port in spec["ports"]]
    return {**body, "spec": filled}


def _of_type(spec: Json) -> dict[str, Any]:
    """What is filled in for all types but ExternalName, and for those that Kubernetes opens to the outside."""
    type_ = spec.get("type", "ClusterIP")
    if type_ == "ExternalName":
        return {}
    family = "IPv6" if ":" in str(spec.get("clusterIP", "")) else "IPv4"
    inside = {"internalTrafficPolicy": "Cluster", "ipFamilies": [family], "ipFamilyPolicy": "SingleStack"}
    return inside if type_ == "ClusterIP" else {**inside, "externalTrafficPolicy": "Cluster"}


def _port_with_defaults(port: Json) -> dict[str, Any]:
    written = {field: value for field, value in port.items() if value is not None}
    return {"protocol": "TCP", "targetPort": port["port"], **written}
