"""The data of a view. Every policy is resolved in it, every name chosen; it says nothing twice.

Listener, cluster and route names are Istio's, which dashboards and people know (docs/envoy-configuration.md).
"""

from dataclasses import dataclass, field, replace
from typing import Final

from outrig.errors import Finding
from outrig.model import UNBOUNDED, ConnectionPool, Policy, Protocol, ProxyShape, Target, TlsMode
from outrig.view.binds import Reservation
from outrig.view.destination import Destination, Hop
from outrig.view.endpoints import Lookup
from outrig.view.guard import Guard

NOWHERE: Final = "BlackHoleCluster"
"""The cluster of calls to a service that is not there: it has no endpoints, and never will."""


@dataclass(frozen=True, slots=True)
class Inbound:
    """A port on which the proxy receives for its application.

    `source`: the address from which it calls the application; empty: any.
    """

    bind: str
    port: int
    protocol: Protocol
    target: Target
    tls: TlsMode
    source: str = ""
    pool: ConnectionPool = UNBOUNDED

    @property
    def listener(self) -> str:
        """The name of its listener."""
        return f"{self.bind}_{self.port}"

    @property
    def cluster(self) -> str:
        """The name of the cluster that is the application, and of the routes to it."""
        return f"inbound|{self.port}||"

    @property
    def takes_requests(self) -> bool:
        """Whether members may send requests. A port of which nobody said what it speaks takes requests and bytes."""
        return self.protocol.is_http or self.takes_anything

    @property
    def takes_anything(self) -> bool:
        """Whether nobody said what the port speaks."""
        return self.protocol is Protocol.UNSPECIFIED


@dataclass(frozen=True, slots=True)
class Upstream:
    """What a proxy needs to know of a destination.

    `protocol`: what the service port speaks. `identities`: whom to accept there, any of them; none where nobody behind
    the service has a certificate. `mixed`: some have one, some have none. `lenient`: not all behind it take bytes as
    such, some as requests only. `lookup`: the names that the proxy has to look up itself; None if it is told the
    endpoints.
    """

    destination: Destination
    protocol: Protocol
    identities: tuple[str, ...]
    mixed: bool = False
    lookup: Lookup | None = None
    lenient: bool = False

    @property
    def name(self) -> str:
        """The name of its cluster."""
        return self.destination.name

    @property
    def takes_requests(self) -> bool:
        """Whether the other side takes requests."""
        return takes_requests(self.protocol)

    @property
    def sends_requests(self) -> bool:
        """Whether our listener tells requests apart; otherwise it forwards bytes."""
        hop = self.destination.hop
        return hop is Hop.AS_REQUESTS or (hop is Hop.AS_IS and self.takes_requests)


def takes_requests(protocol: Protocol) -> bool:
    """Whether a service port takes requests. One that does not say is taken to."""
    return protocol.is_http or protocol is Protocol.UNSPECIFIED


@dataclass(frozen=True, slots=True)
class VirtualHost:
    """The names under which a cluster is called on one listener, with ports where the listener tells them apart.

    `near`: callers use near endpoints first; a request that fails there is to be tried farther away.
    """

    name: str
    domains: tuple[str, ...]
    cluster: str
    near: bool = False


@dataclass(frozen=True, slots=True)
class HttpOutbound:
    """An address on which requests are taken and routed by Host. `routes` names its route configuration.

    With port 0 `bind` is a unix socket. `any_port`: services of all ports are here, so the port in a Host counts.
    `fallback`: the cluster for a Host that nobody has; empty: 502.
    """

    bind: str
    port: int
    routes: str
    hosts: tuple[VirtualHost, ...]
    any_port: bool = False
    fallback: str = ""

    @property
    def listener(self) -> str:
        """The name of its listener."""
        return listener_name(self.bind, self.port)

    @property
    def leads_nowhere(self) -> bool:
        """Whether some of it is for a service that is not there."""
        return any(host.cluster == NOWHERE for host in self.hosts)


@dataclass(frozen=True, slots=True)
class TcpOutbound:
    """An address on which connections are taken, all for one cluster. With port 0 `bind` is a unix socket."""

    bind: str
    port: int
    cluster: str

    @property
    def listener(self) -> str:
        """The name of its listener."""
        return listener_name(self.bind, self.port)

    @property
    def leads_nowhere(self) -> bool:
        """Whether it is for a service that is not there."""
        return self.cluster == NOWHERE


def listener_name(bind: str, port: int) -> str:
    """As Istio names listeners: address and port, or the socket as it is."""
    return f"{bind}_{port}" if port else bind


Outbound = HttpOutbound | TcpOutbound


@dataclass(frozen=True, slots=True)
class Outlook:
    """All, beside the mesh itself, that the outbound side of a proxy depends on. Proxies of one outlook share it,
    whichever resources gave it to them.

    `home`: the namespace; `shape`: what it listens on, but for its inbound side; `reserved`: the addresses that are
    taken on its machine, as far as they matter.
    """

    home: str
    shape: ProxyShape
    reserved: frozenset[Reservation]


@dataclass(frozen=True, slots=True)
class Outward:
    """The outbound side: listeners, and the upstreams they lead to, sorted by name. Some may lead `NOWHERE`.

    No part of its equality: `findings`, which are of nobody's resource (`all_findings`), and `imports`, the patterns
    (namespace, host) of services it looked for.
    """

    listeners: tuple[Outbound, ...] = ()
    upstreams: tuple[Upstream, ...] = ()
    findings: tuple[Finding, ...] = field(default=(), compare=False)
    imports: frozenset[tuple[str, str]] = field(default=frozenset(), compare=False)


@dataclass(frozen=True, slots=True)
class Inward:
    """The inbound side. `outlook`: what the outbound side depends on; None if there shall be no outbound side.

    `guards`: what passes at each port, for each kind of traffic that it takes. `shape`: the policy that it follows.
    """

    inbound: tuple[Inbound, ...] = ()
    outlook: Outlook | None = None
    guards: tuple[Guard, ...] = ()
    shape: Policy[ProxyShape] | None = None
    findings: tuple[Finding, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class ProxyView:
    """All that one proxy is to do."""

    mesh: str
    domain: str
    inward: Inward
    outward: Outward

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is doubtful about it."""
        return all_findings(self.inward, self.outward)


def all_findings(inward: Inward, outward: Outward) -> tuple[Finding, ...]:
    """The findings of both sides. The outward ones, which others may share, speak of the shape of this proxy."""
    if inward.shape is None:
        return inward.findings
    origin = inward.shape.origin
    return (*inward.findings, *(replace(finding, origin=origin) for finding in outward.findings))
