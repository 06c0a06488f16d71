"""Delta xDS messages to and from bytes.

Responses are joined from resources that were encoded long ago (concatenated protobuf fields are one message), so
that a resource is encoded once and copied, never built, for each client. Of a request only what the protocol needs
is kept: an Envoy's first message is 61 KB of extension names.
"""

from dataclasses import dataclass

from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest, DeltaDiscoveryResponse
from google.protobuf.message import DecodeError

from outrig.snapshot import TypeUrl
from outrig.xds.subscription import Request, Response

_RESOURCES = b"\x12"  # field 2, length-delimited


class FrameError(ValueError):
    """Bytes that are not a DeltaDiscoveryRequest."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A request, and the node id where the client gave one (its first message does)."""

    node: str
    request: Request


def read_request(data: bytes) -> Frame:
    """The request in a client's message. Raises FrameError."""
    try:
        message = DeltaDiscoveryRequest.FromString(data)
    except DecodeError as error:
        raise FrameError(f"not a DeltaDiscoveryRequest: {error}") from None
    request = Request(
        type_url=TypeUrl(message.type_url),
        subscribe=tuple(message.resource_names_subscribe),
        unsubscribe=tuple(message.resource_names_unsubscribe),
        versions=dict(message.initial_resource_versions),
        nonce=message.response_nonce,
        error=message.error_detail.message if message.HasField("error_detail") else None,
    )
    return Frame(message.node.id, request)


def write_response(response: Response) -> bytes:
    """The message of a response."""
    envelope = DeltaDiscoveryResponse(
        type_url=response.type_url, nonce=response.nonce, removed_resources=response.removed
    )
    parts = [envelope.SerializeToString()]
    for resource in response.resources:
        parts += (_RESOURCES, _varint(len(resource.body)), resource.body)
    return b"".join(parts)


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
