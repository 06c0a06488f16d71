"""Small pieces that several resources share: addresses, where configuration comes from, the access log."""

from collections.abc import Mapping
from typing import Final

from outrig.envoy import api
from outrig.model import SOCKET, UNBOUNDED, Address, ConnectionPool, Target

Field = Mapping[str, object]  # a message inside another, as protobuf takes it

ADS: Final[Field] = {"ads": {}, "resource_api_version": "V3"}
_NO_LIMIT: Final = 2**32 - 1
_RETRIES: Final = 1000  # at once, of one cluster

# The text format of Istio's proxies: people read it and tools parse it. The guide shows its tail:
# cluster, upstream local address, downstream local address, peer.
ACCESS_LOG_FORMAT: Final = (
    '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% '
    '%RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% '
    '%BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" '
    '"%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% '
    "%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%\n"
)


def named(name: str, message: api.Message) -> Field:
    """An extension: its name and its configuration."""
    return {"name": name, "typed_config": api.packed(message)}


def access_log() -> Field:
    """A line on stdout for every request, or connection where there are none."""
    return line_on_stdout(ACCESS_LOG_FORMAT)


def line_on_stdout(text: str) -> Field:
    """An access log that writes this line on stdout."""
    log_format = {"text_format_source": {"inline_string": text}}
    return named("envoy.access_loggers.stdout", api.StdoutAccessLog(log_format=log_format))


def refusals_log() -> Field:
    """A line on stdout for a connection that no filter chain takes, such as plaintext where TLS is demanded."""
    return {**access_log(), "filter": {"response_flag_filter": {"flags": ["NR"]}}}


def socket_address(host: str, port: int) -> Field:
    """An IP address and port."""
    return {"socket_address": {"address": host, "port_value": port}}


def address_of(target: Target) -> Field:
    """The address of an application."""
    if isinstance(target, Address):
        return socket_address(target.host, target.port)
    return {"pipe": {"path": target.path}}


def listening_address(bind: str, port: int) -> Field:
    """Where to listen. With port 0 on a unix socket; as on a loopback address, whoever finds it may connect."""
    if port:
        return socket_address(bind, port)
    path = bind.removeprefix(SOCKET)
    return {"pipe": {"path": path, **({} if path.startswith("@") else {"mode": 0o666})}}


def limits(pool: ConnectionPool = UNBOUNDED) -> Field:
    """Envoy's own limits on connections and requests give way to those that the user asked for.

    Retries stay limited, high enough for a whole task's requests to move on.
    """
    asked = {
        "max_connections": pool.connections or _NO_LIMIT,
        "max_pending_requests": pool.pending or _NO_LIMIT,
        "max_requests": pool.requests or _NO_LIMIT,
        "max_retries": pool.retries or _RETRIES,
    }
    return {"thresholds": [{name: {"value": limit} for name, limit in asked.items()}]}


def stat_name(name: str) -> str:
    """A name as statistics carry it: dots would split it."""
    return name.replace(".", "_")
