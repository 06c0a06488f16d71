"""What a request carries: one JSON object. YAML is read too, where the media type says so."""

from typing import Any

from starlette.requests import Request

from outrig.api.bodies import decode, media_type, read_body
from outrig.api.kuma.refusals import PROCESS, Refusal
from outrig.api.turns import aside


async def sent_object(request: Request) -> dict[str, Any]:
    """The object. Raises ApiError."""
    value = await aside(decode, await read_body(request), media_type(request) or "application/json")
    if not isinstance(value, dict):
        raise Refusal("BadRequest", PROCESS, "the body must be one JSON object")
    return value
