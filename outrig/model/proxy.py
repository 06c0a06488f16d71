"""What a proxy listens on, and for what: the neutral form of a Sidecar or of a Dataplane's in- and outbounds."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from outrig.model.labels import Labels
from outrig.model.pool import UNBOUNDED, ConnectionPool
from outrig.model.protocol import Protocol

AGENT_PORT: Final = 9902  # on 127.0.0.1 of every workload: its agent says there whether it is ready
SOCKET: Final = "unix://"  # how a bind that is a unix socket begins


@dataclass(frozen=True, slots=True)
class Address:
    """A host (an IP address) and a port."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Pipe:
    """A unix socket: an absolute path, or `@name` for an abstract one."""

    path: str


@dataclass(frozen=True, slots=True)
class OwnPort:
    """A port of the workload's own address, whatever that is."""

    port: int


Target = Address | Pipe


@dataclass(frozen=True, slots=True)
class Ingress:
    """A port on which the proxy receives for its application. `bind` None: the workload's own address.

    `name` and `labels` are the port's own: policies may choose it by them, beside those of the workload.
    """

    port: int
    protocol: Protocol
    target: Target | OwnPort
    bind: str | None = None
    pool: ConnectionPool = UNBOUNDED
    name: str = ""
    labels: Labels = ()


@dataclass(frozen=True, slots=True)
class Import:
    """Services a listener brings in: of `namespace` (`*`: any, `.`: the workload's own), whose host fits `host`.

    `host` is `*`, `*.suffix`, an exact host, or `@name`: the hosts that the resource of that name describes.
    `exclude` takes away what others brought in.
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
class Sole:
    """That all which is taken goes to one service, whatever name it is called by: to what the first import names that
    names anything.

    `name`: what its author calls the service, for findings. `ports`: its port, import by import; None: its lowest.
    `subset`: labels of the workloads that are called. `assumed`: what it speaks as long as there is none.
    """

    name: str
    ports: tuple[int | None, ...]
    subset: Labels = ()
    assumed: Protocol = Protocol.TCP


@dataclass(frozen=True, slots=True)
class Egress:
    """An address on which the proxy takes calls of its application.

    `bind` None: 127.0.0.1; with port 0 it is a unix socket, `unix:///path` or `unix://@name`. `port` None: one
    listener for each port of the imported services. `protocol` UNSPECIFIED: that of the imported services. `proxy`:
    the application uses it as its HTTP proxy. `sole`: there is one service; None: each call names its own.
    """

    imports: tuple[Import, ...]
    port: int | None = None
    bind: str | None = None
    protocol: Protocol = Protocol.UNSPECIFIED
    proxy: bool = False
    sole: Sole | None = None

    @property
    def any_port(self) -> bool:
        """Whether it takes calls to services on all their ports, which each request names."""
        return self.proxy or self.port == 0


class OutboundPolicy(StrEnum):
    """What becomes of a call to a host that no listener knows."""

    REGISTRY_ONLY = "REGISTRY_ONLY"
    ALLOW_ANY = "ALLOW_ANY"


@dataclass(frozen=True, slots=True)
class ProxyShape:
    """All listeners of a proxy. Exactly one shape applies: the matching policy of highest rank, never a fold.

    `egress_proxy`: the service (host and port) that takes requests for unknown hosts, if they may pass at all.
    `words`: what the user's resource calls the two lists, for findings.
    """

    ingress: tuple[Ingress, ...] = ()
    egress: tuple[Egress, ...] = ()
    outbound: OutboundPolicy = OutboundPolicy.REGISTRY_ONLY
    egress_proxy: tuple[str, int] | None = None
    words: tuple[str, str] = ("ingress", "egress")
