"""Responses: a document as JSON or YAML, with warnings in headers."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import yaml
from starlette.responses import Response

from outrig.api.kube.statuses import Subject, of_store, status_of
from outrig.api.refusals import ApiError
from outrig.errors import OutrigError

MAX_WARNINGS_BYTES = 4096


def answer(
    document: Mapping[str, Any], *, media: str = "application/json", status: int = 200, warnings: Iterable[str] = ()
) -> Response:
    """A document as a response."""
    text = yaml.safe_dump(document, sort_keys=False) if media == "application/yaml" else _json(document)
    response = Response(text, status_code=status, media_type=media)
    response.raw_headers.extend(_warning_headers(warnings))
    return response


def refuse(error: OutrigError) -> Response | None:
    """An error as a response. It is JSON whatever the client accepts: kubectl reads it in every case."""
    told = error if isinstance(error, ApiError) else of_store(error, Subject("", ""))
    if told is None:
        return None
    response = answer(status_of(told), status=told.http_code)
    if told.reason == "Unauthorized":
        response.headers["www-authenticate"] = "Bearer"
    if told.reason in ("ServiceUnavailable", "TooManyRequests"):
        response.headers["retry-after"] = "1"
    return response


def _json(document: Mapping[str, Any]) -> str:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False) + "\n"


def _warning_headers(warnings: Iterable[str]) -> list[tuple[bytes, bytes]]:
    """`Warning: 299 - "text"` for each, as far as they fit a client's limit for headers."""
    headers: list[tuple[bytes, bytes]] = []
    room = MAX_WARNINGS_BYTES
    for warning in dict.fromkeys(warnings):
        text = "".join(char if char.isprintable() else " " for char in warning)
        quoted = text.replace("\\", "\\\\").replace('"', '\\"').encode()
        room -= len(quoted)
        if room < 0:
            break
        headers.append((b"warning", b'299 - "' + quoted + b'"'))
    return headers
