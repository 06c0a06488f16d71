"""What two proxies would say to each other, read from the very messages that they are given.

In: an upstream, or an inbound. Out: how the caller opens a connection, and which of the receiver's filter chains takes
it. Source of the choice: envoy.config.listener.v3.FilterChainMatch, of which our chains use the last two criteria.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from outrig.envoy import api
from outrig.envoy.clusters import upstream_cluster
from outrig.envoy.listeners import inbound_listener
from outrig.view import Inbound, Upstream

_HCM = "envoy.filters.network.http_connection_manager"


@dataclass(frozen=True, slots=True)
class Opening:
    """How a caller opens a connection: the ALPN it offers (none: plaintext), and whether it then speaks HTTP/2."""

    offers: tuple[str, ...]
    http2: bool


@dataclass(frozen=True, slots=True)
class Chain:
    """A filter chain: `members`: it demands a certificate of the mesh; `requests`: it tells requests apart."""

    name: str
    members: bool
    requests: bool


def opening_of(mesh: str, upstream: Upstream, *, plain: bool) -> Opening:
    """How the proxy of a caller opens a connection to an endpoint. `plain`: one that takes no TLS."""
    cluster = upstream_cluster(mesh, upstream)
    context = api.UpstreamTlsContext()
    if not plain and cluster.transport_socket.typed_config.Unpack(context):
        return Opening(tuple(context.common_tls_context.alpn_protocols), _speaks_http2(cluster))
    return Opening((), _speaks_http2(cluster))


def chain_taking(opening: Opening, mesh: str, domain: str, *, inbound: Inbound) -> Chain | None:
    """The filter chain of a receiver that takes such a connection; None: it is closed."""
    chains = inbound_listener(mesh, domain, inbound).filter_chains
    transport = "tls" if opening.offers else "raw_buffer"
    chosen = _of_transport(chains, transport) or _of_transport(chains, "")
    for offered in (*opening.offers, ""):
        for chain in chosen:
            if offered in (list(chain.filter_chain_match.application_protocols) or [""]):
                requests = any(taken.name == _HCM for taken in chain.filters)
                return Chain(chain.name, chain.HasField("transport_socket"), requests)
    return None


def _of_transport(chains: Sequence[api.Message], transport: str) -> list[api.Message]:
    return [chain for chain in chains if chain.filter_chain_match.transport_protocol == transport]


def _speaks_http2(cluster: api.Message) -> bool:
    options = api.HttpProtocolOptions()
    for packed in cluster.typed_extension_protocol_options.values():
        packed.Unpack(options)
    return bool(options.explicit_http_config.HasField("http2_protocol_options"))
