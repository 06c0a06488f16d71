"""The protocols that ports speak, as far as a proxy treats them differently."""

from enum import StrEnum


class Protocol(StrEnum):
    """What is spoken on a port. UNSPECIFIED: nobody said; `view` decides from what it meets."""

    HTTP = "http"
    HTTP2 = "http2"
    GRPC = "grpc"
    TCP = "tcp"
    TLS = "tls"
    UNSPECIFIED = ""

    @property
    def is_http(self) -> bool:
        """Whether requests can be told apart and routed by Host."""
        return self in (Protocol.HTTP, Protocol.HTTP2, Protocol.GRPC)
