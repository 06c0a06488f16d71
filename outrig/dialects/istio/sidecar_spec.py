"""The schema of Sidecar."""

from typing import Annotated, Any, Final, Literal

from pydantic import Field

from outrig.dialects.istio.connection_pool import PoolForm
from outrig.dialects.schema import DnsLabelOrEmpty, Form, IpOrEmpty, Labels, Port

NOT_YET: Final = "Not supported yet."
CaptureMode = Literal["DEFAULT", "IPTABLES", "NONE"]
AnyPort = Annotated[int, Field(ge=0, le=65535)]


class WorkloadSelector(Form):
    """Chooses workloads of the namespace."""

    labels: Labels = Field(default={}, max_length=256, description="Labels that a workload must have.")


class SidecarPort(Form):
    """A port that the proxy listens on."""

    number: AnyPort = Field(default=0, description="Number of the port.")
    protocol: str = Field(
        default="",
        max_length=256,
        description="HTTP, HTTP2, GRPC, GRPC-WEB, HTTP_PROXY, HTTPS, TLS, TCP, MONGO, REDIS or MYSQL. Empty on egress: "
        "what the services on that port speak.",
    )
    name: DnsLabelOrEmpty = Field(default="", description="Name of the port.")
    target_port: AnyPort = Field(default=0, description="Deprecated; refused unless 0.")


class IngressListener(Form):
    """A port on which the proxy receives calls for its application."""

    port: SidecarPort = Field(description="Port that callers use.")
    bind: IpOrEmpty = Field(default="", description="Address to listen on; empty means the workload's own.")
    capture_mode: CaptureMode = Field(default="DEFAULT", description="IPTABLES is refused: there are none.")
    default_endpoint: str = Field(
        default="",
        description="Where the application listens: 127.0.0.1:PORT, [::1]:PORT, 0.0.0.0:PORT (the workload's own "
        "address), unix:///PATH or unix://@NAME.",
    )
    tls: dict[str, Any] | None = Field(default=None, description=NOT_YET)
    connection_pool: PoolForm | None = Field(
        default=None, description="Bounds on what the application is given, in place of inboundConnectionPool."
    )


class EgressListener(Form):
    """An address on which the proxy takes calls of its application."""

    port: SidecarPort | None = Field(
        default=None, description="Port to listen on; without it one listener for each port of the services."
    )
    bind: str = Field(
        default="",
        max_length=256,
        description="IP address to listen on; empty means 127.0.0.1. With port 0: unix:///PATH or unix://@NAME.",
    )
    capture_mode: CaptureMode = Field(default="DEFAULT", description="IPTABLES is refused: there are none.")
    hosts: list[str] = Field(
        min_length=1,
        description="Services to be reached, as namespace/host: ./* is the own namespace, */* all, ~ns/host not these.",
    )


class PortSelector(Form):
    """A port of a service."""

    number: Port = Field(description="Number of the port.")


class Destination(Form):
    """A service to send calls to."""

    host: str = Field(description="Host of the service.")
    subset: str = Field(default="", description="Subset of the service.")
    port: PortSelector | None = Field(default=None, description="Port of the service.")


class OutboundTrafficPolicy(Form):
    """What becomes of calls to hosts that nobody knows."""

    mode: Literal["REGISTRY_ONLY", "ALLOW_ANY"] = Field(
        default="REGISTRY_ONLY", description="REGISTRY_ONLY: answered 502. ALLOW_ANY: the same without egressProxy."
    )
    egress_proxy: Destination | None = Field(
        default=None, description="With ALLOW_ANY: the service that takes requests for unknown hosts."
    )


class SidecarSpec(Form):
    """What the proxies of some workloads listen on."""

    workload_selector: WorkloadSelector | None = Field(
        default=None, description="Workloads that this is for; without it all of the namespace."
    )
    ingress: list[IngressListener] = Field(default=[], description="Ports on which the proxies receive calls.")
    egress: list[EgressListener] = Field(default=[], description="Addresses on which the proxies take calls.")
    inbound_connection_pool: PoolForm | None = Field(
        default=None, description="Bounds on what the application is given, for ingress without connectionPool."
    )
    outbound_traffic_policy: OutboundTrafficPolicy | None = Field(
        default=None, description="What becomes of calls to unknown hosts; without it they are answered 502."
    )


class SidecarBody(Form):
    """What the proxies of some workloads listen on."""

    spec: SidecarSpec = Field(default=SidecarSpec(), description="What the proxies listen on.")
