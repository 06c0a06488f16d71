"""Mutual TLS between proxies: TLS 1.3 only, exact identities towards a service, the own trust domain from callers.

A proxy's key and chain come from a file beside its Envoy, by a path relative to Envoy's working directory: equal
proxies then have equal bytes, and no path is fixed. The authorities it accepts come over ADS, one secret a mesh.

Callers introduce their connections by ALPN. `mesh` (requests) and `mesh-tcp` (bytes) choose the receiver's filter
chain, and no ordinary client offers them: so plaintext, an application's own TLS and the mesh share a port. Only
`h2` or `mesh-tcp` is ever selected; a caller of requests that speaks bytes offers `mesh` alone and gets HTTP/1.1.
"""

from collections.abc import Sequence
from typing import Final

from outrig.envoy import api
from outrig.envoy.parts import ADS, Field, named

MESH: Final = "mesh"
MESH_TCP: Final = "mesh-tcp"
OWN_CERTIFICATE: Final = "workload"
OWN_CERTIFICATE_FILE: Final = "./workload.json"

_TLS = "envoy.transport_sockets.tls"
_TLS_1_3 = {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"}


def trust_name(mesh: str) -> str:
    """The name of the secret that holds a mesh's authorities."""
    return f"trust/{mesh}"


def plain_socket() -> Field:
    """No TLS at all."""
    return named("envoy.transport_sockets.raw_buffer", api.RawBuffer())


def towards(mesh: str, identities: Sequence[str], offers: Sequence[str]) -> Field:
    """A caller's side: accept only these identities, any of them. Without any, no peer is accepted.

    A session is never resumed: the peer's certificate is checked on every connection.
    """
    accepted = [_uri({"exact": identity}) for identity in identities or [""]]
    context = api.UpstreamTlsContext(
        common_tls_context=_common(mesh, accepted, offers),
        max_session_keys={"value": 0},
    )
    return named(_TLS, context)


def from_callers(mesh: str, domain: str, speaks: Sequence[str]) -> Field:
    """A receiver's side: a certificate of the mesh is demanded, which names its bearer in the trust domain or in the
    mesh. Who may do what is decided elsewhere.

    Resumption is off: a resumed session would let a caller in whose certificate has expired.
    """
    accepted = [_uri({"prefix": f"spiffe://{name}/"}) for name in dict.fromkeys((domain, mesh))]
    context = api.DownstreamTlsContext(
        common_tls_context=_common(mesh, accepted, speaks),
        require_client_certificate={"value": True},
        disable_stateless_session_resumption=True,
        disable_stateful_session_resumption=True,
    )
    return named(_TLS, context)


def _common(mesh: str, accepted: Sequence[Field], alpn: Sequence[str]) -> Field:
    own = {"resource_api_version": "V3", "path_config_source": {"path": OWN_CERTIFICATE_FILE}}
    return {
        "tls_params": _TLS_1_3,
        "alpn_protocols": alpn,
        "tls_certificate_sds_secret_configs": [{"name": OWN_CERTIFICATE, "sds_config": own}],
        "combined_validation_context": {
            "default_validation_context": {"match_typed_subject_alt_names": accepted},
            "validation_context_sds_secret_config": {"name": trust_name(mesh), "sds_config": ADS},
        },
    }


def _uri(matcher: Field) -> Field:
    return {"san_type": "URI", "matcher": matcher}
