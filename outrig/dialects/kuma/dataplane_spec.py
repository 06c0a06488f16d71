"""The schema of Dataplane. It knows fields and their types; what may stand in them is judged in `dataplane_findings`,
so that all that is wrong with a Dataplane is said at once.

Fields of Kuma's that are not supported are listed, so that whoever writes one is told so.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field

from outrig.dialects.kuma.form import KumaForm
from outrig.dialects.kuma.tags import PROTOCOL, SERVICE, tagged
from outrig.dialects.schema import QUOTED
from outrig.model import Labels, Protocol

NOT_YET: Final = "Not supported yet."
NO_EFFECT: Final = "Accepted as in Kuma; has no effect."
PROTOCOLS: Final[Mapping[str, Protocol]] = {
    "grpc": Protocol.GRPC,
    "http": Protocol.HTTP,
    "http2": Protocol.HTTP2,
    "kafka": Protocol.TCP,
    "tcp": Protocol.TCP,
    "tls": Protocol.TLS,
    "mysql": Protocol.TCP,
}
LOOPBACK: Final = "127.0.0.1"


def _unquoted(value: object) -> object:
    """A template's numbers are often quoted, which protobuf's JSON allows."""
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10 else value


Number = Annotated[int, BeforeValidator(_unquoted)]
Tags = dict[str, Annotated[str, QUOTED]]


class TcpCheck(KumaForm):
    """A TCP connection; there is nothing to set."""


class ServiceProbe(KumaForm):
    """How the agent finds out whether the application behind an inbound is there."""

    interval: str = Field(default="1s", description="Time between two attempts, for example 10s.")
    timeout: str = Field(default="2s", description="How long one attempt may take.")
    unhealthy_threshold: Number | None = Field(default=None, description="Failures in a row that make it unready. 1.")
    healthy_threshold: Number | None = Field(default=None, description="Successes in a row that make it ready. 1.")
    tcp: TcpCheck | None = Field(default=None, description="A TCP connection to the application: {}.")


class InboundHealth(KumaForm):
    """State of an inbound, in an older spelling."""

    ready: bool = Field(default=True, description="false is state NotReady.")


class Inbound(KumaForm):
    """A port on which the proxy receives for the application."""

    port: Number = Field(default=0, description="Port that others call.")
    address: str = Field(default="", description="Address to listen on. Default: networking.address.")
    service_port: Number = Field(default=0, description="Port of the application. Default: port.")
    service_address: str = Field(default="", description="Address of the application. Default: 127.0.0.1.")
    name: str = Field(default="", description="Name by which policies choose the inbound. Default: its port.")
    protocol: str = Field(default="", description="grpc, http, http2, kafka or tcp; stronger than the tag.")
    tags: Tags = Field(default={}, description=f"Tags; {SERVICE} names the service, {PROTOCOL} what it speaks.")
    state: Literal["Ready", "NotReady", "Ignored"] = Field(
        default="Ready", description="NotReady: not called. Ignored: there is no such port, but its identity is."
    )
    health: InboundHealth | None = Field(default=None, description="Older spelling of state.")
    service_probe: ServiceProbe | None = Field(default=None, description="How to find out whether it is ready.")

    @property
    def service(self) -> str:
        """The name of its service; without one it is refused."""
        return self.tags.get(SERVICE, "")

    @property
    def labels(self) -> Labels:
        """Its tags, with the control plane's own."""
        return tagged(self.tags)

    @property
    def spoken(self) -> str:
        """The word for what it speaks."""
        return self.protocol or self.tags.get(PROTOCOL, "") or "tcp"

    @property
    def target(self) -> tuple[str, int]:
        """Address and port of the application."""
        return self.service_address or LOOPBACK, self.service_port or self.port

    @property
    def listens(self) -> bool:
        """Whether there is such a port at all."""
        return self.state != "Ignored"


class BackendRef(KumaForm):
    """What is called, by reference."""

    kind: str = Field(default="", description=NOT_YET)
    name: str = Field(default="", description=NOT_YET)
    port: Number | None = Field(default=None, description=NOT_YET)
    labels: Tags = Field(default={}, description=NOT_YET)


class Outbound(KumaForm):
    """An address on which the application calls one service."""

    port: Number = Field(default=0, description="Port on which the application calls.")
    address: str = Field(default="", description="Address on which it calls. Default: 127.0.0.1.")
    tags: Tags = Field(
        default={}, description=f"{SERVICE} names what is called; further tags choose among its inbounds."
    )
    backend_ref: BackendRef | None = Field(default=None, description=NOT_YET)

    @property
    def bind(self) -> str:
        """The address that is bound."""
        return self.address or LOOPBACK


class Gateway(KumaForm):
    """Marks the proxy of a gateway: it calls, and is not called through the mesh."""

    type: Literal["DELEGATED", "BUILTIN"] = Field(default="DELEGATED", description="BUILTIN is not supported yet.")
    tags: Tags = Field(default={}, description=f"{SERVICE} names the gateway.")

    @property
    def labels(self) -> Labels:
        """Its tags, with the control plane's own."""
        return tagged(self.tags)


class Admin(KumaForm):
    """Envoy's admin interface."""

    port: Number = Field(default=0, description="No effect: Envoy's admin is a unix socket beside the agent.")


class Networking(KumaForm):
    """Addresses and ports of the proxy."""

    address: str = Field(default="", description="IP address of the proxy.")
    advertised_address: str = Field(default="", description="IP address that others use, where it differs (NAT).")
    inbound: list[Inbound] = Field(default=[], max_length=100, description="Ports on which it receives.")
    outbound: list[Outbound] = Field(
        default=[], max_length=1000, description="Addresses on which its application calls."
    )
    gateway: Gateway | None = Field(default=None, description="Set for the proxy of a gateway; then without inbound.")
    admin: Admin | None = Field(default=None, description="Envoy's admin interface.")
    transparent_proxying: dict[str, Any] | None = Field(default=None, description=NOT_YET)
    listeners: list[dict[str, Any]] | None = Field(default=None, description=NOT_YET)

    @property
    def reached_at(self) -> str:
        """The address that others use."""
        return self.advertised_address or self.address

    @property
    def identified(self) -> list[Labels]:
        """The tags of all that it is."""
        own = [self.gateway.labels] if self.gateway else []
        return [*(inbound.labels for inbound in self.inbound), *own]


class DataplaneBody(KumaForm):
    """A proxy beside an application."""

    networking: Networking = Field(default=Networking(), description="Addresses and ports of the proxy.")
    metrics: dict[str, Any] | None = Field(default=None, description=NOT_YET)
    probes: dict[str, Any] | None = Field(default=None, description=NOT_YET)
