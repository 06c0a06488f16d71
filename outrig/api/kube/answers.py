"""Responses: a document as JSON or YAML, with warnings in headers."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import yaml
from starlette.responses import Response
from yaml.cyaml import CSafeDumper

from outrig.api.kube.statuses import Subject, of_store, status_of
from outrig.api.refusals import ApiError
from outrig.errors import OutrigError

YAML = "application/yaml"
MAX_WARNINGS_BYTES = 4096


def answer(
    document: Mapping[str, Any], *, media: str = "application/json", status: int = 200, warnings: Iterable[str] = ()
) -> Response:
    """A document as a response; what is to be YAML is not yet (`in_yaml`)."""
    response = Response(_json(document), status_code=status, media_type=media)
    response.raw_headers.extend(warning_headers(warnings))
    return response


def prettied(response: Response) -> Response:
    """The same with its JSON over many lines (`pretty=true`). What is no JSON, or is sent bit by bit, stays."""
    if not str(response.media_type).startswith("application/json") or not getattr(response, "body", b""):
        return response
    response.body = json.dumps(json.loads(bytes(response.body)), indent=2, ensure_ascii=False).encode() + b"\n"
    response.headers["content-length"] = str(len(response.body))
    return response


def in_yaml(response: Response) -> Response:
    """The same as YAML, which takes long to write: `answer` has JSON in its place."""
    text = yaml.dump(json.loads(bytes(response.body)), Dumper=CSafeDumper, sort_keys=False)
    response.body = text.encode()
    response.headers["content-length"] = str(len(response.body))
    return response


def refuse(error: OutrigError) -> Response | None:
    """An error as a response. It is JSON whatever the client accepts: kubectl reads it in every case."""
    told = error if isinstance(error, ApiError) else of_store(error, Subject("", ""))
    if told is None:
        return None
    response = answer(status_of(told), status=told.http_code)
    if told.reason == "Unauthorized":
        response.headers["www-authenticate"] = "Bearer"
    if told.reason in ("ServiceUnavailable", "TooManyRequests") or "retryAfterSeconds" in told.details:
        response.headers["retry-after"] = "1"
    if told.allowed:
        response.headers["allow"] = ", ".join(told.allowed)
    return response


def _json(document: Mapping[str, Any]) -> str:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False) + "\n"


def warning_headers(warnings: Iterable[str]) -> list[tuple[bytes, bytes]]:
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
