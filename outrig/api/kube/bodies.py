"""Request bodies of kubectl: JSON and YAML as everywhere, and its protobuf.

In: bytes and their media type. Out: plain JSON values. Refuses patches where an object is wanted.
"""

import re
from collections.abc import Sequence
from typing import Any, Final

from outrig.api import bodies
from outrig.api.bodies import Said
from outrig.api.kube import protobuf
from outrig.api.refusals import ApiError, bad_request

TEXTS: Final = ("application/json", "application/yaml")
OBJECTS: Final = (*TEXTS, protobuf.MEDIA_TYPE)
TEXT_MAPS: Final = frozenset({"selector", "matchLabels"})
JSON_OBJECT: Final = re.compile(rb'\s*{\s*["}]')
"""How an object of JSON begins; reading it as the YAML that it is too would take a hundred times longer."""


def read(body: bytes, media: str) -> Said:
    """The JSON value in a body; without a media type it is JSON, as in Kubernetes.

    Raises ApiError: 415 for a media type we do not read, 400 for what is not one value.
    """
    if media != protobuf.MEDIA_TYPE:
        return bodies.read(body, media or "application/json")
    bodies.check_slow(body)
    value = protobuf.from_protobuf(body)
    bodies.check_values(value)
    return Said(value)


def read_configuration(body: bytes) -> Said:
    """The value that a server-side apply sends: YAML, of which JSON is a part and what kubectl writes.

    Raises ApiError (400) in Kubernetes' words.
    """
    try:
        return bodies.read(body, "application/json" if JSON_OBJECT.match(body) else "application/yaml")
    except ApiError as error:
        if error.reason != "BadRequest":
            raise
        raise bad_request(f"error decoding YAML: {error.message}") from None


def decode_object(body: bytes, media: str) -> dict[str, Any]:
    """A JSON object, and no patch of one. Raises ApiError; also (400) for one that says a field twice."""
    said = read_object(body, media)
    if said.repeated:
        raise bad_request(f"strict decoding error: {', '.join(map(bodies.duplicate, said.repeated))}")
    found: dict[str, Any] = said.value
    return found


def read_object(body: bytes, media: str, *, forms: Sequence[str] = OBJECTS) -> Said:
    """Like `read`, for what must be a JSON object and no patch of one. `forms`: the media types that it may have."""
    if media.endswith("patch+json") or (media == protobuf.MEDIA_TYPE and media not in forms):
        taken = ", ".join(forms)
        why = "the body of the request was in an unknown format - accepted media types include: "
        raise ApiError("UnsupportedMediaType", f"{why}{taken}")
    said = read(body, media)
    if not isinstance(said.value, dict):
        raise bad_request("the body must be one object, with apiVersion, kind and metadata")
    return said


def without_nulls(value: Any) -> Any:
    """The value without the fields that are null, which in Kubernetes' own kinds are fields left out.

    Maps of texts keep theirs, to be refused: a selector of fewer labels would select more.
    """
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    if not isinstance(value, dict):
        return value
    said = {field: inner for field, inner in value.items() if inner is not None}
    return {field: inner if field in TEXT_MAPS else without_nulls(inner) for field, inner in said.items()}
