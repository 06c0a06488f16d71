"""Protocol names as Istio and Kubernetes spell them, and what a proxy makes of each.

Source: Istio's protocol selection: `appProtocol` first, then the prefix of the port's name, then well-known ports.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from outrig.model import Protocol

PROTOCOLS: Final[Mapping[str, Protocol]] = MappingProxyType(
    {
        "http": Protocol.HTTP,
        "grpc-web": Protocol.HTTP,
        "http2": Protocol.HTTP2,
        "grpc": Protocol.GRPC,
        "https": Protocol.TLS,
        "tls": Protocol.TLS,
        "tcp": Protocol.TCP,
        "mongo": Protocol.TCP,
        "redis": Protocol.TCP,
        "mysql": Protocol.TCP,
    }
)
_OF_PORTS_ONLY: Final[Mapping[str, Protocol]] = MappingProxyType(
    {
        "kubernetes.io/h2c": Protocol.HTTP2,
        "kubernetes.io/ws": Protocol.HTTP,
        "kubernetes.io/wss": Protocol.TLS,
        "http_proxy": Protocol.HTTP,
    }
)
_TCP_PORTS: Final = frozenset({25, 53, 3306, 27017})  # servers that speak first: sniffing would wait for ever


def protocol_of_port(number: int, name: str, app_protocol: str) -> Protocol:
    """What the port of a service speaks. UNSPECIFIED if nobody said."""
    if protocol := named_protocol(app_protocol or name):
        return protocol
    return Protocol.TCP if number in _TCP_PORTS else Protocol.UNSPECIFIED


def named_protocol(name: str) -> Protocol | None:
    """The protocol that a name, or its prefix before '-', stands for; None for every other name."""
    word = name.lower()
    prefix = "grpc-web" if word.startswith("grpc-web") else word.partition("-")[0]
    return _OF_PORTS_ONLY.get(prefix) or PROTOCOLS.get(prefix)
