"""Views as Envoy resources: built as protobuf messages, kept as bytes.

In: `ProxyView`, `Assignment`, a mesh's authorities. Out: `Encoded` resources. A missing setting is a bug in `view`,
not a default to invent here.
"""

from outrig.envoy.encodings import Encodings
from outrig.envoy.render import (
    RENDERED,
    encode_assignment,
    encode_trust,
    render,
    render_inward,
    render_outward,
)
from outrig.envoy.tls import OWN_CERTIFICATE, OWN_CERTIFICATE_FILE, trust_name

__all__ = [
    "OWN_CERTIFICATE",
    "OWN_CERTIFICATE_FILE",
    "RENDERED",
    "Encodings",
    "encode_assignment",
    "encode_trust",
    "render",
    "render_inward",
    "render_outward",
    "trust_name",
]
