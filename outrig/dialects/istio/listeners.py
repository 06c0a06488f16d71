"""The spellings inside a Sidecar: hosts to import, endpoints of the application, protocols.

Text in, neutral data out; None for what is misspelt. `sidecar_findings` says what is wrong, `sidecar` compiles.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from outrig.dialects import syntax
from outrig.dialects.protocols import PROTOCOLS
from outrig.model import Address, Import, Pipe, Protocol, Target

LOOPBACK: Final = "127.0.0.1"
WILDCARDS: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - to be recognised, not to be bound
LISTENER_PROTOCOLS: Final[Mapping[str, Protocol]] = MappingProxyType({"": Protocol.UNSPECIFIED, **PROTOCOLS})
UNSUPPORTED_PROTOCOLS: Final = frozenset({"udp", "http_proxy"})
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


def target_of(endpoint: str, port: int) -> Target | None:
    """Where the application listens: `host:port` or `unix://path`. Empty: the same port on 127.0.0.1."""
    if not endpoint:
        return Address(LOOPBACK, port)
    if endpoint.startswith("unix://"):
        path = endpoint.removeprefix("unix://")
        return Pipe(path) if path[:1] in ("/", "@") and 1 < len(path) <= _MAX_SOCKET_PATH else None
    host, colon, number = endpoint.rpartition(":")
    target_port = syntax.port_of(number)
    if not colon or target_port is None or host not in ("", LOOPBACK, "[::1]", "0.0.0.0", "[::]"):  # noqa: S104 - refused later
        return None
    return Address(host.strip("[]") or LOOPBACK, target_port)
