"""Request bodies of kubectl: JSON and YAML as everywhere, and its protobuf.

In: bytes and their media type. Out: plain JSON values.
"""

from typing import Any

from outrig.api import bodies
from outrig.api.kube import protobuf
from outrig.api.refusals import bad_request


def decode(body: bytes, media: str) -> Any:
    """The JSON value in a body. Raises ApiError: 415 for a media type we do not read, 400 for what is not one value."""
    if media != protobuf.MEDIA_TYPE:
        return bodies.decode(body, media)
    value = protobuf.from_protobuf(body)
    bodies.check_values(value)
    return value


def decode_object(body: bytes, media: str) -> dict[str, Any]:
    """Like `decode`, for what must be a JSON object."""
    value = decode(body, media)
    if not isinstance(value, dict):
        raise bad_request("the body must be one object, with apiVersion, kind and metadata")
    return value
