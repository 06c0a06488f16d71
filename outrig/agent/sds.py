"""The secrets Envoy reads from files, as SDS documents.

In: the answer to a join and the private key. Out: file name → JSON text. Certificate and key share a file, so that
one rename swaps both. Clusters and listeners refer to `./workload.json`, secret `workload`: Envoy runs in the
agent's directory. Source: Envoy, "Secret discovery service", SDS from files.
"""

import json
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from outrig.wire.join import JoinResponse

WORKLOAD, CONTROL, CONTROL_ROOTS = "workload", "control", "control-roots"
_SECRET = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"  # noqa: S105 - a type's name


def secret_files(joined: JoinResponse, key: ec.EllipticCurvePrivateKey) -> Mapping[str, str]:
    """All SDS files by name."""
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return {
        file_of(WORKLOAD): _document(WORKLOAD, _identity(joined.workload_chain, pem)),
        file_of(CONTROL): _document(CONTROL, _identity(joined.control_chain, pem)),
        file_of(CONTROL_ROOTS): _document(
            CONTROL_ROOTS, {"validation_context": {"trusted_ca": {"inline_string": joined.control_roots}}}
        ),
    }


def file_of(secret: str) -> str:
    """The file of a secret."""
    return f"{secret}.json"


def _identity(chain: str, key: str) -> dict[str, Any]:
    return {"tls_certificate": {"certificate_chain": {"inline_string": chain}, "private_key": {"inline_string": key}}}


def _document(name: str, content: dict[str, Any]) -> str:
    return json.dumps({"resources": [{"@type": _SECRET, "name": name, **content}]})
