"""What a proxy should have: resource type -> name -> encoded resource. Bytes, never message objects.

Equal resources of different proxies are one `Encoded` object: whoever encodes, interns. The version is the hash
of the content, so a proxy that reconnects and names its versions costs a comparison.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import NewType

ProxyId = NewType("ProxyId", str)
TypeUrl = NewType("TypeUrl", str)

_ENVOY = "type.googleapis.com/envoy."
CLUSTER = TypeUrl(_ENVOY + "config.cluster.v3.Cluster")
ENDPOINTS = TypeUrl(_ENVOY + "config.endpoint.v3.ClusterLoadAssignment")
LISTENER = TypeUrl(_ENVOY + "config.listener.v3.Listener")
ROUTES = TypeUrl(_ENVOY + "config.route.v3.RouteConfiguration")
EXTENSION = TypeUrl(_ENVOY + "config.core.v3.TypedExtensionConfig")
SECRET = TypeUrl(_ENVOY + "extensions.transport_sockets.tls.v3.Secret")

# Make before break: what is referred to goes out before what refers to it.
SEND_ORDER = (SECRET, CLUSTER, ENDPOINTS, EXTENSION, LISTENER, ROUTES)


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Encoded:
    """One resource, ready for the wire: `body` is a serialised `envoy.service.discovery.v3.Resource`."""

    name: str
    version: str
    body: bytes


Snapshot = Mapping[TypeUrl, Mapping[str, Encoded]]


def version_of(content: bytes) -> str:
    """The version of a resource: a short hash of its (deterministically) serialised message."""
    return sha256(content).hexdigest()[:16]
