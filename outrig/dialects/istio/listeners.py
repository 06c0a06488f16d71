"""The spellings inside a Sidecar: hosts to import, endpoints of the application, protocols.

Text in, neutral data out; None for what is misspelt. `sidecar_findings` says what is wrong, `sidecar` compiles.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from outrig.dialects import syntax
from outrig.dialects.protocols import PROTOCOLS
from outrig.dialects.sockets import WILDCARDS
from outrig.model import SOCKET, Address, Import, OwnPort, Pipe, Protocol, Target

LOOPBACK: Final = "127.0.0.1"
HTTP_PROXY: Final = "http_proxy"  # on egress: an HTTP proxy for the application; on ingress: HTTP
LISTENER_PROTOCOLS: Final[Mapping[str, Protocol]] = MappingProxyType(
    {"": Protocol.UNSPECIFIED, **PROTOCOLS, HTTP_PROXY: Protocol.HTTP}
)
UNSUPPORTED_PROTOCOLS: Final = frozenset({"udp"})
_ENDPOINT_HOSTS: Final[Mapping[str, str]] = MappingProxyType(
    {"": LOOPBACK, LOOPBACK: LOOPBACK, "[::1]": "::1", "0.0.0.0": "0.0.0.0", "[::]": "::"}  # noqa: S104 - as above
)
_MAX_SOCKET_PATH: Final = 107  # sun_path of Linux, less its final zero


def import_of(text: str, *, own_namespace: str) -> Import | None:
    """`namespace/host`: `.` is the own namespace, `*` any; `~namespace/host` and `~/host` take away."""
    where, slash, host = text.partition("/")
    namespace = where.removeprefix("~")
    exclude = namespace != where
    if exclude and not namespace:
        namespace = "*"
    if not slash or not _is_host_pattern(host):
        return None
    if namespace == "." and not exclude:
        namespace = own_namespace
    elif namespace != "*" and not syntax.is_dns_label(namespace):
        return None
    return Import(namespace, host.lower().removesuffix("."), exclude)


def _is_host_pattern(host: str) -> bool:
    if host == "*":
        return True
    if host.startswith("*."):
        return syntax.is_fqdn(f"any{host[1:]}")
    return syntax.is_fqdn(host)


def target_of(endpoint: str, port: int) -> Target | OwnPort | None:
    """Where the application listens: `host:port` or `unix://path`. Empty: the same port on 127.0.0.1.

    A wildcard host stands for the workload's own address.
    """
    if not endpoint:
        return Address(LOOPBACK, port)
    if endpoint.startswith(SOCKET):
        return pipe_of(endpoint)
    host, colon, number = endpoint.rpartition(":")
    target_port = syntax.port_of(number)
    if not colon or target_port is None or host not in _ENDPOINT_HOSTS:
        return None
    target = _ENDPOINT_HOSTS[host]
    return OwnPort(target_port) if target in WILDCARDS else Address(target, target_port)


def pipe_of(text: str) -> Pipe | None:
    """The unix socket of `unix:///path` or `unix://@name`, if it is one that Linux can have."""
    path = text.removeprefix(SOCKET)
    fits = text.startswith(SOCKET) and path[:1] in ("/", "@") and 1 < len(path.encode()) <= _MAX_SOCKET_PATH
    return Pipe(path) if fits and path.isprintable() and not path.endswith("/") else None
