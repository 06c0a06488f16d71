"""Network filters: what becomes of a connection once it is accepted."""

from typing import Final

from outrig.envoy import api
from outrig.envoy.access import guard_filters, verdict_logs
from outrig.envoy.parts import ADS, Field, access_log, named
from outrig.model import UNBOUNDED, ConnectionPool
from outrig.view import Traffic

_HCM: Final = "envoy.filters.network.http_connection_manager"
_FOREVER: Final[Field] = {"seconds": 0}
_ROUTER: Final[Field] = named("envoy.filters.http.router", api.Router())
_WEBSOCKET: Final[Field] = {"upgrade_type": "websocket"}
UNDELIVERED: Final = "x-outrig-undelivered"
# An answer of the proxy itself, for an application that could not be reached: callers may try another endpoint.
_TELL_UNDELIVERED: Final[Field] = {
    "filter": {"response_flag_filter": {"flags": ["UF"]}},
    "headers_to_add": [
        {"header": {"key": UNDELIVERED, "value": "true"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
    ],
}


def requests_out(stat_prefix: str, routes: str) -> Field:
    """Requests of the own application. Answers say `server: envoy`, so that people see who called for them."""
    return named(_HCM, api.HttpConnectionManager(**_requests(stat_prefix, routes)))


def requests_in(stat_prefix: str, routes: str, port: int) -> Field:
    """Requests for the own application, as far as the guard of the port lets them pass. It is told who called
    (x-forwarded-client-cert; a caller's own is dropped), and its `server` header is left alone. Paths are normalised,
    so that a rule and the application see the same.
    """
    taken = _requests(stat_prefix, routes)
    taken["http_filters"] = [*guard_filters(port, Traffic.REQUESTS), _ROUTER]
    taken["access_log"] = [access_log(), *verdict_logs(Traffic.REQUESTS)]
    manager = api.HttpConnectionManager(
        **taken,
        http2_protocol_options={"allow_connect": True},
        server_header_transformation="PASS_THROUGH",
        forward_client_cert_details="SANITIZE_SET",
        set_current_client_cert_details={"uri": True},
        normalize_path={"value": True},
        local_reply_config={"mappers": [_TELL_UNDELIVERED]},
    )
    return named(_HCM, manager)


def bytes_out(stat_prefix: str, cluster: str) -> Field:
    """Bytes of the own application, both ways."""
    return _bytes(stat_prefix, cluster, UNBOUNDED, [access_log()])


def bytes_in(stat_prefix: str, cluster: str, port: int, pool: ConnectionPool) -> list[Field]:
    """Bytes for the own application, both ways, as far as the guard of the port lets them pass."""
    logs = [access_log(), *verdict_logs(Traffic.BYTES)]
    return [*guard_filters(port, Traffic.BYTES), _bytes(stat_prefix, cluster, pool, logs)]


def _bytes(stat_prefix: str, cluster: str, pool: ConnectionPool, logs: list[Field]) -> Field:
    """A connection is tried on other endpoints before any byte is sent: often, since nothing keeps the one that refused
    it from being chosen again, and it has the fewest connections.
    """
    proxy = api.TcpProxy(
        stat_prefix=stat_prefix,
        cluster=cluster,
        max_connect_attempts={"value": 20},
        access_log=logs,
        idle_timeout=pool.idle,
        max_downstream_connection_duration=pool.lifetime,
    )
    return named("envoy.filters.network.tcp_proxy", proxy)


def _requests(stat_prefix: str, routes: str) -> dict[str, object]:
    return {
        "stat_prefix": stat_prefix,
        "rds": {"config_source": ADS, "route_config_name": routes},
        "http_filters": [_ROUTER],
        "access_log": [access_log()],
        "upgrade_configs": [_WEBSOCKET],
        "stream_idle_timeout": _FOREVER,
    }
