"""Clusters of the services a proxy calls.

Endpoints of services travel on their own (`envoy.endpoints`), unless the proxy has to look them up itself. Limits on
connections and requests are off: the mesh adds none that the user did not ask for. Retries stay limited, high enough
for a whole task's requests to move on.
"""

from typing import Final

from outrig.envoy import api, tls
from outrig.envoy.endpoints import PLAIN_ENDPOINT, load_assignment
from outrig.envoy.parts import ADS, Field, limits, named, stat_name
from outrig.model import Protocol
from outrig.view import NOWHERE, Lookup, Upstream

_HTTP2_PROTOCOLS = frozenset({Protocol.HTTP2, Protocol.GRPC})
CONNECT_TIMEOUT: Final[Field] = {"seconds": 5}
_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_KEEPALIVE = {"interval": {"seconds": 30}, "timeout": {"seconds": 10}}  # finds peers that vanished without a word
_TCP_KEEPALIVE = {
    "keepalive_time": {"value": 60},
    "keepalive_interval": {"value": 10},
    "keepalive_probes": {"value": 3},
}


def upstream_cluster(mesh: str, upstream: Upstream) -> api.Cluster:
    """A service that this proxy calls. Endpoints marked as plain are called without TLS, all others never."""
    plain = {"name": "plain", "match": PLAIN_ENDPOINT, "transport_socket": tls.plain_socket()}
    return api.Cluster(
        name=upstream.name,
        alt_stat_name=stat_name(upstream.name),
        **(_looked_up(upstream.lookup) if upstream.lookup else _TOLD),
        connect_timeout=CONNECT_TIMEOUT,
        lb_policy="LEAST_REQUEST",
        circuit_breakers=limits(),
        upstream_connection_options={"tcp_keepalive": _TCP_KEEPALIVE},
        transport_socket=tls.towards(mesh, upstream.identities, _offers(upstream)),
        transport_socket_matches=[plain],
        typed_extension_protocol_options=http_options(_spoken(upstream)),
    )


def nowhere_cluster() -> api.Cluster:
    """The one without endpoints: a request gets 503, a connection is closed."""
    return api.Cluster(name=NOWHERE, type="STATIC", connect_timeout=CONNECT_TIMEOUT)


def _looked_up(lookup: Lookup) -> Field:
    """Names that Envoy looks up, as often as their TTL says. A logical cluster has exactly one of them.

    A name without an answer must not hold up the start of a task: the cluster is there at once, if empty.
    """
    first_only = lookup.one_at_a_time and len(lookup.assignment.endpoints) == 1
    dns = api.DnsCluster(
        respect_dns_ttl=True, dns_lookup_family="V4_PREFERRED", all_addresses_in_single_endpoint=first_only
    )
    return {
        "cluster_type": named("envoy.clusters.dns", dns),
        "load_assignment": load_assignment(lookup.assignment),
        "wait_for_warm_on_init": {"value": False},
    }


def _spoken(upstream: Upstream) -> Field:
    """Members speak HTTP/2 to each other. Where nobody is a member the service's own protocol is spoken; where only
    some are, each request goes on as it came: those without a proxy need not know HTTP/2."""
    if not (upstream.sends_requests and upstream.takes_requests):
        return _HTTP1
    if upstream.protocol in _HTTP2_PROTOCOLS:
        return _HTTP2
    if upstream.mixed:
        return _AS_IT_CAME
    return _HTTP2 if upstream.identities else _HTTP1


def _offers(upstream: Upstream) -> list[str]:
    if not upstream.takes_requests:
        return [tls.MESH_TCP, tls.MESH] if upstream.lenient else [tls.MESH_TCP]
    return [tls.MESH, "h2"] if upstream.sends_requests and _spoken(upstream) is not _AS_IT_CAME else [tls.MESH]


def http_options(options: Field) -> Field:
    """How a cluster speaks HTTP, as clusters take it."""
    return {_HTTP_OPTIONS: api.packed(api.HttpProtocolOptions(**options))}


_HTTP1: Final[Field] = {"explicit_http_config": {"http_protocol_options": {}}}
_HTTP2: Final[Field] = {
    "explicit_http_config": {"http2_protocol_options": {"allow_connect": True, "connection_keepalive": _KEEPALIVE}}
}
_AS_IT_CAME: Final[Field] = {
    "use_downstream_protocol_config": {
        "http_protocol_options": {},
        "http2_protocol_options": {"allow_connect": True, "connection_keepalive": _KEEPALIVE},
    }
}
_TOLD: Final[Field] = {"type": "EDS", "eds_cluster_config": {"eds_config": ADS}}
