"""What a proxy listens on, and for what: the neutral form of a Sidecar or of a Dataplane's in- and outbounds."""

from dataclasses import dataclass
from enum import StrEnum

from outrig.model.protocol import Protocol


@dataclass(frozen=True, slots=True)
class Address:
    """A host (an IP address) and a port."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Pipe:
    """A unix socket: an absolute path, or `@name` for an abstract one."""

    path: str


Target = Address | Pipe


@dataclass(frozen=True, slots=True)
class Ingress:
    """A port on which the proxy receives for its application. `bind` None: the workload's own address."""

    port: int
    protocol: Protocol
    target: Target
    bind: str | None = None


@dataclass(frozen=True, slots=True)
class Import:
    """Services a listener brings in: of `namespace` (`*`: any, `.`: the workload's own), whose host fits `host`.

    `host` is `*`, `*.suffix` or an exact host. `exclude` takes away what others brought in.
    """

    namespace: str
    host: str
    exclude: bool = False

    def fits(self, namespace: str, host: str) -> bool:
        """Whether it names the service of that namespace and host."""
        if self.namespace not in ("*", namespace):
            return False
        return self.host in ("*", host) or (self.host.startswith("*.") and host.endswith(self.host[1:]))


@dataclass(frozen=True, slots=True)
class Egress:
    """An address on which the proxy takes calls of its application.

    `bind` None: 127.0.0.1. `port` None: one listener for each port of the imported services. `protocol`
    UNSPECIFIED: that of the imported services.
    """

    imports: tuple[Import, ...]
    port: int | None = None
    bind: str | None = None
    protocol: Protocol = Protocol.UNSPECIFIED


class OutboundPolicy(StrEnum):
    """What becomes of a call to a host that no listener knows."""

    REGISTRY_ONLY = "REGISTRY_ONLY"
    ALLOW_ANY = "ALLOW_ANY"


@dataclass(frozen=True, slots=True)
class ProxyShape:
    """All listeners of a proxy. Exactly one shape applies: the matching policy of highest rank, never a fold."""

    ingress: tuple[Ingress, ...] = ()
    egress: tuple[Egress, ...] = ()
    outbound: OutboundPolicy = OutboundPolicy.REGISTRY_ONLY
