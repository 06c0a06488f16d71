"""Request bodies: read within a bound, then understood as one JSON value.

In: a request; bytes and their media type. Out: plain JSON values. Refuses bodies over 3 MB without reading them to
the end, other media types, duplicate keys (parsers disagree about which one counts), nesting deeper than 64, more
than 20,000 keys and values, numbers and texts that JSON or a database cannot hold, and YAML's aliases and non-text
keys.
"""

import asyncio
import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

import yaml
from starlette.requests import Request

from outrig.api.refusals import ApiError, bad_request

MAX_BYTES = 3 * 1024 * 1024
MAX_YAML_BYTES = 64 * 1024  # YAML is a hundred times slower to parse than JSON, and kubectl does not send it
MAX_DEPTH = 64
MAX_VALUES = 20_000  # keys and values: each may become a sentence about what is wrong with it, and all wait meanwhile
SECONDS = 30.0

JSON_TYPES = frozenset({"application/json", "application/merge-patch+json", "application/strategic-merge-patch+json",
                        "application/json-patch+json"})  # fmt: skip
YAML_TYPES = frozenset({"application/yaml", "application/x-yaml", "text/yaml"})


def media_type(request: Request) -> str:
    """The Content-Type without its parameters, in lower case; empty if there is none."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def read_body(request: Request) -> bytes:
    """The whole body. Raises ApiError: 413 as soon as it is known to be too long, 408 when it does not arrive."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > MAX_BYTES:
        raise _too_large(MAX_BYTES)
    body = bytearray()
    try:
        async with asyncio.timeout(SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BYTES:
                    raise _too_large(MAX_BYTES)
    except TimeoutError:
        raise ApiError("RequestTimeout", f"the request body did not arrive within {SECONDS:.0f} s") from None
    return bytes(body)


def decode(body: bytes, media: str) -> Any:
    """The JSON value in a body. Raises ApiError: 415 for a media type we do not read, 400 for what is not one value."""
    if media in JSON_TYPES:
        value = _from_json(body)
    elif media in YAML_TYPES:
        value = _from_yaml(body)
    else:
        found = media or "no Content-Type"
        raise ApiError("UnsupportedMediaType", f"{found}: a body must be application/json or application/yaml")
    check_values(value)
    return value


def _too_large(limit: int) -> ApiError:
    return ApiError("RequestEntityTooLarge", f"the request body is too large: the limit is {limit} bytes")


def _from_json(body: bytes) -> Any:
    try:
        return json.loads(body, object_pairs_hook=_without_duplicates, parse_float=_number)
    except RecursionError:
        raise _too_deep() from None
    except ValueError as error:  # UnicodeDecodeError and JSONDecodeError too
        raise bad_request(f"the body is not valid JSON: {error}") from None


def _number(text: str) -> int | float:
    """JSON knows one kind of number, and programs write 1.0 for 1. A float holds whole numbers up to 2^53 exactly."""
    number = float(text)
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


def _without_duplicates(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise bad_request(f"strict decoding error: duplicate field {json.dumps(key)}")
        found[key] = value
    return found


def _from_yaml(body: bytes) -> Any:
    if len(body) > MAX_YAML_BYTES:
        raise _too_large(MAX_YAML_BYTES)
    try:
        loader = yaml.SafeLoader(body)
        try:
            root = loader.get_single_node()
            return None if root is None else _plain(loader, root, set())
        finally:
            loader.dispose()
    except RecursionError:
        raise _too_deep() from None
    except (yaml.YAMLError, ValueError) as error:
        raise bad_request(f"the body is not valid YAML: {' '.join(str(error).split())}") from None


def _plain(loader: yaml.SafeLoader, node: yaml.Node, seen: set[int]) -> Any:
    """A node as JSON values. An alias is the same node again: expanding them can fill memory from one line."""
    if id(node) in seen:
        raise bad_request("YAML aliases are not accepted: write the value out")
    seen.add(id(node))
    if not isinstance(node, yaml.ScalarNode) and node.tag not in ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"):
        raise bad_request(f"YAML's {node.tag} is not accepted")
    if isinstance(node, yaml.MappingNode):
        return _without_duplicates([(_key(key), _plain(loader, value, seen)) for key, value in node.value])
    if isinstance(node, yaml.SequenceNode):
        return [_plain(loader, item, seen) for item in node.value]
    if node.tag == "tag:yaml.org,2002:timestamp":
        return node.value  # JSON has no dates; Kubernetes keeps them as text
    return loader.construct_object(node)


def _key(node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode) or node.tag == "tag:yaml.org,2002:merge":
        raise bad_request("keys must be text")
    return str(node.value)


def check_values(root: Any) -> None:
    """Refuses (ApiError 400) what JSON text allows but later steps cannot keep. No recursion: depth is part of it."""
    todo, left = [(root, 1)], MAX_VALUES
    while todo:
        value, depth = todo.pop()
        left -= 1
        if left < 0:
            raise bad_request(f"the body has more than {MAX_VALUES} keys and values")
        if depth > MAX_DEPTH:
            raise _too_deep()
        _check_scalar(value)
        todo.extend((child, depth + 1) for child in _children(value))


def _children(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def _check_scalar(value: Any) -> None:
    if isinstance(value, str) and not _is_storable(value):
        raise bad_request("texts must be valid Unicode without NUL characters")
    if isinstance(value, float) and not math.isfinite(value):
        raise bad_request("numbers must be finite")
    if isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**63:
        raise bad_request("whole numbers must fit in 64 bits")
    if not isinstance(value, str | int | float | bool | dict | list | None):
        raise bad_request(f"a value of type {type(value).__name__} is not JSON")


def _is_storable(text: str) -> bool:
    """JSON can escape half a surrogate pair, which is no character, and NUL, which Postgres refuses."""
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False


def _too_deep() -> ApiError:
    return bad_request(f"the body is nested deeper than {MAX_DEPTH} levels")
