"""Envoy's bootstrap: who the proxy is, where its configuration comes from, which statistics it keeps.

In: the answer to a join and a few numbers. Out: JSON text (YAML would turn some names into booleans) and the
command line. Everything else Envoy serves comes from the control plane. Paths are relative: Envoy runs in the
agent's directory. Sources: Envoy 1.40's API reference; what was tried is in `docs/agent.md`.
"""

import ipaddress
import json
from dataclasses import dataclass
from typing import Any

from outrig.agent.sds import CONTROL, CONTROL_ROOTS, file_of
from outrig.wire.join import JoinResponse

BOOTSTRAP, ADMIN_SOCKET = "bootstrap.json", "admin.sock"
MOST_CONNECTIONS = 50_000  # from peers and the application together; beyond it Envoy refuses new ones
DRAIN_SECONDS = 5  # over which a draining listener asks its peers to leave
_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_TYPES = "type.googleapis.com/"

# What somebody reads: the agent (readiness, draining), operators (traffic, TLS, certificates), nobody the rest.
_CLUSTER = (
    r"upstream_rq_(total|[1-5]xx|time|active|timeout|retry|retry_success|pending_overflow|pending_failure_eject)"
    r"|upstream_cx_(total|active|connect_fail|connect_timeout|destroy_with_active_rq|[tr]x_bytes_total)"
    r"|membership_(total|healthy)|ssl\.(handshake|connection_error|fail_verify_.*)"
)
_MANAGERS = r"workers_started|active_clusters|warming_clusters|total_.*|(cds|lds)\.update_(success|rejected|failure)"
_LISTENER = r"ssl\.(handshake|fail_verify_.*|connection_error)|downstream_cx_(total|active)"
_REGEXES = (
    rf"cluster\..+\.({_CLUSTER})",
    rf"(listener_manager|cluster_manager)\.({_MANAGERS})",
    r"http\..+\.(downstream_rq_(total|[1-5]xx|time|active)|downstream_cx_(total|active)|rbac\..*)",
    r"tcp\..+\.rbac\..*",
    rf"listener\..*({_LISTENER})",
)
STATISTICS: tuple[dict[str, Any], ...] = (
    *({"safe_regex": {"regex": regex}} for regex in _REGEXES),
    *({"prefix": prefix} for prefix in ("server.", "control_plane.", "sds.")),
    {"contains": "expiration_unix_time"},
)


@dataclass(frozen=True, slots=True)
class XdsServer:
    """Where this proxy's configuration comes from."""

    host: str
    port: int


def xds_server(joined: JoinResponse, joined_at: str) -> XdsServer:
    """The xDS server a join named. `joined_at`: the host the agent joined at."""
    return XdsServer(joined.xds_host or joined_at, joined.xds_port)


def bootstrap(joined: JoinResponse, group: str, server: XdsServer) -> str:
    """The bootstrap's JSON text. `group`: the workload group or the Dataplane, for people."""
    source = {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "5s"}
    return json.dumps(
        {
            "node": {"id": joined.node_id, "cluster": group},
            "dynamic_resources": {"ads_config": _ads(), "cds_config": source, "lds_config": source},
            "static_resources": {"clusters": [_xds_cluster(joined.control_plane, server)]},
            "admin": {
                "address": {"pipe": {"path": f"./{ADMIN_SOCKET}", "mode": 0o600}},
                "ignore_global_conn_limit": True,
            },
            "stats_config": {"stats_matcher": {"inclusion_list": {"patterns": list(STATISTICS)}}},
            "deferred_stat_options": {"enable_deferred_creation_stats": True},
            "overload_manager": {"resource_monitors": [_connection_limit()]},
        },
        indent=1,
    )


def envoy_arguments(*, concurrency: int, log_level: str) -> tuple[str, ...]:
    """Envoy's command line after its path. `concurrency`: worker threads."""
    return (
        *("-c", BOOTSTRAP),
        *("--log-level", log_level),
        *("--concurrency", str(concurrency)),
        *("--drain-time-s", str(DRAIN_SECONDS)),
        *("--file-flush-interval-msec", "250"),  # the access log is for people: ten seconds late is too late
        "--disable-hot-restart",
        "--skip-deprecated-logs",
    )


def concurrency(cpus: float) -> int:
    """Worker threads for a task's CPU limit in vCPU (0: none given): one for each whole CPU, at most four."""
    return max(1, int(min(4.0, cpus))) if cpus > 0 else 2


def _ads() -> dict[str, Any]:
    backoff = {"base_interval": "0.2s", "max_interval": "5s"}
    return {
        "api_type": "DELTA_GRPC",
        "transport_api_version": "V3",
        "set_node_on_first_message_only": True,
        "grpc_services": [{"envoy_grpc": {"cluster_name": "xds", "retry_policy": {"retry_back_off": backoff}}}],
    }


def _xds_cluster(control_plane: str, server: XdsServer) -> dict[str, Any]:
    return {
        "name": "xds",
        **_resolution(server),
        "connect_timeout": "5s",
        "load_assignment": {"cluster_name": "xds", "endpoints": [{"lb_endpoints": [_endpoint(server)]}]},
        "typed_extension_protocol_options": {_HTTP_OPTIONS: _http2()},
        "upstream_connection_options": {"tcp_keepalive": {"keepalive_time": 60}},
        "transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": _mutual_tls(control_plane, server)},
    }


def _resolution(server: XdsServer) -> dict[str, Any]:
    if _is_address(server.host):
        return {"type": "STATIC"}
    # A name with both kinds of address must not hide a control plane that listens on the older kind only.
    return {
        "type": "STRICT_DNS",
        "dns_lookup_family": "V4_PREFERRED",
        "dns_refresh_rate": "5s",
        "respect_dns_ttl": True,
    }


def _endpoint(server: XdsServer) -> dict[str, Any]:
    return {"endpoint": {"address": {"socket_address": {"address": server.host, "port_value": server.port}}}}


def _http2() -> dict[str, Any]:
    # One stream per connection: a new stream is then a new handshake, which shows the certificate of that moment.
    return {
        "@type": _TYPES + _HTTP_OPTIONS,
        "common_http_protocol_options": {"max_requests_per_connection": 1},
        "explicit_http_config": {
            "http2_protocol_options": {"connection_keepalive": {"interval": "30s", "timeout": "5s"}}
        },
    }


def _mutual_tls(control_plane: str, server: XdsServer) -> dict[str, Any]:
    exact = {"san_type": "URI", "matcher": {"exact": control_plane}}
    return {
        "@type": _TYPES + "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        **({} if _is_address(server.host) else {"sni": server.host}),
        "max_session_keys": 0,
        "common_tls_context": {
            "alpn_protocols": ["h2"],
            "tls_params": {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"},
            "tls_certificate_sds_secret_configs": [_sds(CONTROL)],
            "combined_validation_context": {
                "default_validation_context": {"match_typed_subject_alt_names": [exact]},
                "validation_context_sds_secret_config": _sds(CONTROL_ROOTS),
            },
        },
    }


def _sds(secret: str) -> dict[str, Any]:
    path = f"./{file_of(secret)}"
    return {"name": secret, "sds_config": {"resource_api_version": "V3", "path_config_source": {"path": path}}}


def _connection_limit() -> dict[str, Any]:
    package = "envoy.extensions.resource_monitors.downstream_connections.v3."
    return {
        "name": "envoy.resource_monitors.global_downstream_max_connections",
        "typed_config": {
            "@type": f"{_TYPES}{package}DownstreamConnectionsConfig",
            "max_active_downstream_connections": MOST_CONNECTIONS,
        },
    }


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
