"""Clusters: the services a proxy calls, and the applications beside it.

Endpoints of services travel on their own (`envoy.endpoints`). Limits on connections and requests are off: the mesh
adds none that the user did not ask for. Retries stay limited, high enough for a whole task's requests to move on.
"""

from dataclasses import dataclass
from typing import Final

from outrig.envoy import api, tls
from outrig.envoy.parts import ADS, Field, address_of, stat_name
from outrig.model import Protocol, Target
from outrig.view import Inbound, Upstream

# What the metadata of endpoints says that take no TLS.
PLAIN_ENDPOINT: Final = api.Struct(fields={"tls": {"string_value": "off"}})

_HTTP2_PROTOCOLS = frozenset({Protocol.HTTP2, Protocol.GRPC})
_NO_LIMIT = {"value": 2**32 - 1}
_LIMITS = {
    "thresholds": [
        {
            "max_connections": _NO_LIMIT,
            "max_pending_requests": _NO_LIMIT,
            "max_requests": _NO_LIMIT,
            "max_retries": {"value": 1000},
        }
    ]
}
_CONNECT_TIMEOUT = {"seconds": 5}
_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_KEEPALIVE = {"interval": {"seconds": 30}, "timeout": {"seconds": 10}}  # finds peers that vanished without a word
_TCP_KEEPALIVE = {
    "keepalive_time": {"value": 60},
    "keepalive_interval": {"value": 10},
    "keepalive_probes": {"value": 3},
}
# Shorter than the idle timeout of any usual server, so that a request seldom meets a connection just being closed.
_APP_IDLE = {"seconds": 1}


def upstream_cluster(mesh: str, upstream: Upstream) -> api.Cluster:
    """A service that this proxy calls. Endpoints marked as plain are called without TLS, all others never."""
    plain = {"name": "plain", "match": PLAIN_ENDPOINT, "transport_socket": tls.plain_socket()}
    return api.Cluster(
        name=upstream.name,
        alt_stat_name=stat_name(upstream.name),
        type="EDS",
        eds_cluster_config={"eds_config": ADS},
        connect_timeout=_CONNECT_TIMEOUT,
        lb_policy="LEAST_REQUEST",
        circuit_breakers=_LIMITS,
        upstream_connection_options={"tcp_keepalive": _TCP_KEEPALIVE},
        transport_socket=tls.towards(mesh, upstream.identities, _offers(upstream)),
        transport_socket_matches=[plain],
        typed_extension_protocol_options=_options(_HTTP2 if _speaks_http2(upstream) else _HTTP1),
    )


@dataclass(frozen=True, slots=True)
class Application:
    """The application behind a port, spoken to in one way."""

    name: str
    target: Target
    http2: bool


def applications_of(inbound: Inbound) -> list[Application]:
    """The application behind a port. One that speaks HTTP/1.1 may speak gRPC besides: it has two clusters."""
    if inbound.protocol in _HTTP2_PROTOCOLS:
        return [Application(inbound.cluster, inbound.target, http2=True)]
    first = Application(inbound.cluster, inbound.target, http2=False)
    return [first, Application(grpc_cluster(inbound), inbound.target, http2=True)] if may_mix(inbound) else [first]


def grpc_cluster(inbound: Inbound) -> str:
    """The name of the cluster for gRPC calls to an application that otherwise speaks HTTP/1.1."""
    return f"inbound|{inbound.port}|grpc|"


def may_mix(inbound: Inbound) -> bool:
    """Whether HTTP/1.1 and gRPC can both be spoken on the port."""
    return inbound.protocol is Protocol.HTTP or inbound.takes_anything


def application_cluster(application: Application) -> api.Cluster:
    """The cluster of an application: one address beside the proxy, without TLS."""
    endpoint = {"endpoint": {"address": address_of(application.target)}}
    name = application.name
    return api.Cluster(
        name=name,
        alt_stat_name=stat_name(name),
        type="STATIC",
        load_assignment={"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
        connect_timeout=_CONNECT_TIMEOUT,
        circuit_breakers=_LIMITS,
        typed_extension_protocol_options=_options(_APP_HTTP2 if application.http2 else _APP_HTTP1),
    )


def _speaks_http2(upstream: Upstream) -> bool:
    """Members speak HTTP/2 to each other. Where nobody is a member the service's own protocol is spoken."""
    if not (upstream.sends_requests and upstream.takes_requests):
        return False
    return bool(upstream.identities) or upstream.protocol in _HTTP2_PROTOCOLS


def _offers(upstream: Upstream) -> list[str]:
    if not upstream.takes_requests:
        return [tls.MESH_TCP]
    return [tls.MESH, "h2"] if upstream.sends_requests else [tls.MESH]


def _options(options: Field) -> Field:
    return {_HTTP_OPTIONS: api.packed(api.HttpProtocolOptions(**options))}


_HTTP1: Final[Field] = {"explicit_http_config": {"http_protocol_options": {}}}
_HTTP2: Final[Field] = {
    "explicit_http_config": {"http2_protocol_options": {"allow_connect": True, "connection_keepalive": _KEEPALIVE}}
}
_APP_HTTP1: Final[Field] = {**_HTTP1, "common_http_protocol_options": {"idle_timeout": _APP_IDLE}}
_APP_HTTP2: Final[Field] = {"explicit_http_config": {"http2_protocol_options": {"allow_connect": True}}}
