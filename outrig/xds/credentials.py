"""The server's TLS side, replaceable while it runs: key, chain, and whose client certificates are accepted."""

from collections import deque
from dataclasses import dataclass

import grpc


@dataclass(frozen=True, slots=True)
class Material:
    """All PEM. `roots` are the only authorities whose client certificates get a connection."""

    key: bytes
    chain: bytes
    roots: bytes


class Credentials:
    """What new connections meet; those that are open stay as they are.

    gRPC asks before each handshake, on threads of its own. It must be told of a change once and otherwise hear None:
    being given a configuration each time races with handshakes under way.
    """

    def __init__(self, material: Material) -> None:
        self._first = material
        self._changes: deque[Material] = deque(maxlen=1)

    def replace(self, material: Material) -> None:
        """Use this from the next handshake on."""
        self._changes.append(material)

    def for_server(self) -> grpc.ServerCredentials:
        """Credentials that demand a client certificate. For one server: a change is told once."""
        return grpc.dynamic_ssl_server_credentials(_configuration(self._first), self._change, True)

    def _change(self) -> grpc.ServerCertificateConfiguration | None:
        try:
            return _configuration(self._changes.popleft())
        except IndexError:
            return None


def _configuration(material: Material) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(material.key, material.chain)], material.roots)
