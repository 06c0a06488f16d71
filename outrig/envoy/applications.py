"""Clusters of the applications beside a proxy: one address each, without TLS.

In: `Inbound`. Out: a `Cluster`, two where HTTP/1.1 and gRPC may both be spoken.
"""

from dataclasses import dataclass, replace
from typing import Final

from outrig.envoy import api
from outrig.envoy.clusters import CONNECT_TIMEOUT, http_options
from outrig.envoy.parts import Field, address_of, limits, stat_name
from outrig.model import ConnectionPool, Keepalive, Protocol, Target
from outrig.view import Inbound

_HTTP2_PROTOCOLS = frozenset({Protocol.HTTP2, Protocol.GRPC})
# Shorter than the idle timeout of any usual server, so that a request seldom meets a connection just being closed.
_IDLE: Final[Field] = {"seconds": 1}


@dataclass(frozen=True, slots=True)
class Application:
    """The application behind a port, spoken to in one way. `source`: the address to call it from; empty: any."""

    name: str
    target: Target
    http2: bool
    source: str
    pool: ConnectionPool


def applications_of(inbound: Inbound) -> list[Application]:
    """The application behind a port. One that speaks HTTP/1.1 may speak gRPC besides: it has two clusters."""
    http2 = inbound.protocol in _HTTP2_PROTOCOLS
    first = Application(inbound.cluster, inbound.target, http2, inbound.source, inbound.pool)
    return [first, replace(first, name=grpc_cluster(inbound), http2=True)] if may_mix(inbound) else [first]


def grpc_cluster(inbound: Inbound) -> str:
    """The name of the cluster for gRPC calls to an application that otherwise speaks HTTP/1.1."""
    return f"inbound|{inbound.port}|grpc|"


def may_mix(inbound: Inbound) -> bool:
    """Whether HTTP/1.1 and gRPC can both be spoken on the port."""
    return inbound.protocol is Protocol.HTTP or inbound.takes_anything


def application_cluster(application: Application) -> api.Cluster:
    """The cluster of an application: one address beside the proxy, without TLS."""
    endpoint = {"endpoint": {"address": address_of(application.target)}}
    name, pool = application.name, application.pool
    source = {"source_address": {"address": application.source, "port_value": 0}}
    return api.Cluster(
        name=name,
        alt_stat_name=stat_name(name),
        type="STATIC",
        load_assignment={"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
        connect_timeout=pool.connect_timeout or CONNECT_TIMEOUT,
        circuit_breakers=limits(pool),
        upstream_bind_config=source if application.source else None,
        upstream_connection_options=_keepalive(pool.keepalive) if pool.keepalive else None,
        typed_extension_protocol_options=http_options(_spoken(application)),
    )


def _keepalive(keepalive: Keepalive) -> Field:
    asked = {
        "keepalive_time": keepalive.after,
        "keepalive_interval": keepalive.interval,
        "keepalive_probes": keepalive.probes,
    }
    return {"tcp_keepalive": {name: {"value": value} for name, value in asked.items() if value is not None}}


def _spoken(application: Application) -> Field:
    pool = application.pool
    common = {
        "idle_timeout": pool.idle_http or (None if application.http2 else _IDLE),
        "max_requests_per_connection": pool.requests_per_connection and {"value": pool.requests_per_connection},
        "max_connection_duration": pool.lifetime,
    }
    asked = {name: value for name, value in common.items() if value is not None}
    return {
        "explicit_http_config": _http2(pool) if application.http2 else {"http_protocol_options": {}},
        **({"common_http_protocol_options": asked} if asked else {}),
    }


def _http2(pool: ConnectionPool) -> Field:
    streams = {"max_concurrent_streams": {"value": pool.streams}} if pool.streams else {}
    return {"http2_protocol_options": {"allow_connect": True, **streams}}
