"""Request bodies: read within a bound, then understood as one JSON value.

In: a request; bytes and their media type. Out: plain JSON values. Refuses bodies over 3 MB without reading them to the
end, other media types, keys said twice (parsers disagree about which one counts) but where their author is told,
nesting deeper than 64, more than 20,000 keys and values, numbers and texts that JSON or a database cannot hold, and
YAML's aliases and non-text keys. Whoever waits for the event loop waits for a body too, so it is counted before
anything is made of it, or while.
"""

import asyncio
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, Final

import yaml
from starlette.requests import Request
from yaml.cyaml import CSafeLoader  # libyaml, which every wheel of PyYAML has: the other loader takes ten times as long

from outrig.api.numbers import whole
from outrig.api.refusals import ApiError, bad_request

MAX_BYTES = 3 * 1024 * 1024
MAX_QUESTION_BYTES = 32 * 1024  # of questions, which people without any role may ask, and of options
MAX_SLOW_BYTES = 64 * 1024  # of YAML and protobuf: slower to read than JSON, and kubectl sends little of them
MAX_DEPTH = 64
MAX_OBJECT_VALUES = 60_000  # of an object that was put together from several bodies, and has defaults beside
MAX_VALUES = 20_000  # keys and values: each may become a sentence about what is wrong with it, and all wait meanwhile
MAX_STEP = 200  # characters of a key in the names of places: many places can lie within that of one
MAX_REPEATED = 100  # of the fields said twice that are named
SECONDS = 30.0

JSON_TYPES = frozenset({"application/json", "application/merge-patch+json", "application/strategic-merge-patch+json",
                        "application/json-patch+json"})  # fmt: skip
_CHARSETS: Final = ("utf-8", "utf8", "us-ascii")
YAML_TYPES = frozenset({"application/yaml", "application/x-yaml", "text/yaml"})

_JSON_TOKEN: Final = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{}]|[^\s,:"\[\]{}]++', re.DOTALL)
"""A text, a bracket, or another value: each but a closing bracket is, or begins, one key or value of a JSON text."""
_WITH_COLONS: Final = frozenset({"tag:yaml.org,2002:int", "tag:yaml.org,2002:float"})


def media_type(request: Request) -> str:
    """The Content-Type without its parameters, in lower case; empty if there is none."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def read_body(request: Request, limit: int = MAX_BYTES) -> bytes:
    """The whole body. Raises ApiError: 413 as soon as it is known to be too long, 408 when it does not arrive.

    Also 415 for one that says it is coded in another way than all are.
    """
    _check_coding(request)
    if (whole(request.headers.get("content-length", "")) or 0) > limit:
        raise _too_large(limit)
    body = bytearray()
    try:
        async with asyncio.timeout(SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit:
                    raise _too_large(limit)
    except TimeoutError:
        raise ApiError("RequestTimeout", f"the request body did not arrive within {SECONDS:.0f} s") from None
    return bytes(body)


def _check_coding(request: Request) -> None:
    """Raises ApiError (415): what is compressed, or no UTF-8, would be read as something else."""
    coding = request.headers.get("content-encoding", "").strip().lower()
    if coding not in ("", "identity"):
        raise ApiError("UnsupportedMediaType", f"Content-Encoding {coding[:40]}: a body is sent as it is")
    parameters = (part.partition("=") for part in request.headers.get("content-type", "").split(";")[1:])
    for name, _, value in parameters:
        charset = value.strip().strip('"').lower()
        if name.strip().lower() == "charset" and charset not in _CHARSETS:
            raise ApiError("UnsupportedMediaType", f"charset {charset[:40]}: a body is text in UTF-8")


@dataclass(frozen=True, slots=True)
class Said:
    """What a body says. `repeated`: the fields that it says more than once, by their paths; their last value counts."""

    value: Any
    repeated: tuple[str, ...] = ()


def decode(body: bytes, media: str) -> Any:
    """The JSON value in a body. Raises ApiError: 415 for a media type we do not read, 400 for what is not one value."""
    said = read(body, media)
    if said.repeated:
        raise bad_request(f"strict decoding error: {', '.join(map(duplicate, said.repeated))}")
    return said.value


def read(body: bytes, media: str) -> Said:
    """Like `decode`, for those who take a body that says a field twice."""
    repeated: list[tuple[dict[str, Any], str]] = []
    if media in JSON_TYPES:
        value = _from_json(body, repeated)
    elif media in YAML_TYPES:
        value = _from_yaml(body, repeated)
    else:
        found = media or "no Content-Type"
        raise ApiError("UnsupportedMediaType", f"{found}: a body must be application/json or application/yaml")
    check_values(value)
    keys: dict[int, dict[str, None]] = {}
    for found_twice, key in repeated:
        keys.setdefault(id(found_twice), {})[key] = None
    return Said(value, tuple(islice(_places(value, keys), MAX_REPEATED)) if keys else ())


def duplicate(path: str) -> str:
    """How Kubernetes tells of a field that is said twice."""
    return f"duplicate field {json.dumps(path, ensure_ascii=False)}"


def check_slow(body: bytes) -> None:
    """Raises ApiError (413) where a body in a form that takes long to read is larger than such bodies may be."""
    if len(body) > MAX_SLOW_BYTES:
        raise _too_large(MAX_SLOW_BYTES)


def _too_large(limit: int) -> ApiError:
    return ApiError("RequestEntityTooLarge", f"the request body is too large: the limit is {limit} bytes")


def _places(value: Any, twice: Mapping[int, Iterable[str]], path: str = "") -> Iterator[str]:
    """The paths of keys that objects say twice, by the ids of these; what is itself said again is not there."""
    yield from (f"{path}.{key[:MAX_STEP]}".removeprefix(".") for key in twice.get(id(value), ()))
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _places(inner, twice, f"{path}.{key[:MAX_STEP]}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _places(inner, twice, f"{path}[{index}]")


def _from_json(body: bytes, repeated: list[tuple[dict[str, Any], str]]) -> Any:
    try:
        text = body.decode("utf-8-sig")  # RFC 8259 8.1: UTF-8 alone, and a mark at its beginning may be overlooked
        _check_extent(text)
        return json.loads(text, object_pairs_hook=partial(_object, repeated), parse_float=_number)
    except ValueError as error:  # UnicodeDecodeError and JSONDecodeError too
        raise bad_request(f"the body is not valid JSON: {error}") from None


def _check_extent(text: str) -> None:
    """Raises ApiError before anything is made of a JSON text: to make a million empty lists takes a second and more."""
    values = depth = 0
    for token in _JSON_TOKEN.finditer(text):
        sign = text[token.start()]
        if sign in "]}":
            depth -= 1
            if depth < 0:
                return  # it is no JSON, as its parser will say better
            continue
        values += 1
        _check_counts(values, depth + 1)
        depth += sign in "[{"


def _check_counts(values: int, depth: int, most: int = MAX_VALUES) -> None:
    if values > most:
        raise bad_request(f"the body has more than {most} keys and values")
    if depth > MAX_DEPTH:
        raise bad_request(f"the body is nested deeper than {MAX_DEPTH} levels")


def _number(text: str) -> int | float:
    """JSON knows one kind of number, and programs write 1.0 for 1. A float holds whole numbers up to 2^53 exactly."""
    number = float(text)
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


def _object(repeated: list[tuple[dict[str, Any], str]], pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            repeated.append((found, key))
        found[key] = value
    return found


def _from_yaml(body: bytes, repeated: list[tuple[dict[str, Any], str]]) -> Any:
    check_slow(body)
    try:
        loader = _CountingLoader(body)
        try:
            root = loader.get_single_node()
            return None if root is None else _plain(loader, root, set(), repeated)
        finally:
            loader.dispose()
    except (yaml.YAMLError, ValueError) as error:
        raise bad_request(f"the body is not valid YAML: {' '.join(str(error).split())}") from None


class _CountingLoader(CSafeLoader):
    """Raises ApiError at the first node too many, or too deep, before it reads on."""

    def __init__(self, body: bytes) -> None:
        super().__init__(body)
        self._nodes = self._depth = 0

    def descend_resolver(self, *_: Any) -> None:
        """A node begins."""
        self._nodes += 1
        self._depth += 1
        _check_counts(self._nodes, self._depth)

    def ascend_resolver(self) -> None:
        """It ends."""
        self._depth -= 1


def _plain(loader: CSafeLoader, node: yaml.Node, seen: set[int], repeated: list[tuple[dict[str, Any], str]]) -> Any:
    """A node as JSON values. An alias is the same node again: expanding them can fill memory from one line."""
    if id(node) in seen:
        raise bad_request("YAML aliases are not accepted: write the value out")
    seen.add(id(node))
    if not isinstance(node, yaml.ScalarNode) and node.tag not in ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"):
        raise bad_request(f"YAML's {node.tag} is not accepted")
    if isinstance(node, yaml.MappingNode):
        return _object(repeated, [(_key(key), _plain(loader, value, seen, repeated)) for key, value in node.value])
    if isinstance(node, yaml.SequenceNode):
        return [_plain(loader, item, seen, repeated) for item in node.value]
    if node.tag == "tag:yaml.org,2002:timestamp" or (node.tag in _WITH_COLONS and ":" in node.value):
        return node.value  # JSON has no dates, and 12:30 is no number of seconds; Kubernetes keeps them as text
    return loader.construct_object(node)


def _key(node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode) or node.tag == "tag:yaml.org,2002:merge":
        raise bad_request("keys must be text")
    return str(node.value)


def check_values(root: Any, most: int = MAX_VALUES) -> None:
    """Refuses (ApiError 400) what JSON text allows but later steps cannot keep. No recursion: depth is part of it.

    Also (413) more text than a body can hold: a patch can copy what it says once.
    """
    todo, values, texts = [(root, 1)], 0, 0
    while todo:
        value, depth = todo.pop()
        values += 1
        _check_counts(values, depth, most)
        texts += len(value) if isinstance(value, str) else 0
        if texts > MAX_BYTES:
            raise ApiError("RequestEntityTooLarge", f"the object is too large: the limit is {MAX_BYTES} bytes")
        if _is_huge(value):
            raise bad_request(f"{_path_to(value, root)}: whole numbers must fit in 64 bits")
        _check_scalar(value)
        todo.extend((child, depth + 1) for child in _children(value))


def _children(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def _check_scalar(value: Any) -> None:
    if isinstance(value, str):
        if not _is_storable(value):
            raise bad_request("texts must be valid Unicode without NUL characters")
        return
    if isinstance(value, float) and not math.isfinite(value):
        raise bad_request("numbers must be finite")
    if not isinstance(value, str | int | float | bool | dict | list | None):
        raise bad_request(f"a value of type {type(value).__name__} is not JSON")


def _is_huge(value: Any) -> bool:
    return isinstance(value, int) and not -(2**63) <= value < 2**63


def _path_to(wanted: Any, root: Any) -> str:
    """Where within the root this very value is."""
    todo: list[tuple[Any, tuple[str, ...]]] = [(root, ())]
    while todo:
        value, steps = todo.pop()
        if value is wanted:
            return "".join(steps).removeprefix(".") or "the body"
        if isinstance(value, dict):
            todo.extend((inner, (*steps, f".{key[:MAX_STEP]}")) for key, inner in value.items())
        elif isinstance(value, list):
            todo.extend((inner, (*steps, f"[{index}]")) for index, inner in enumerate(value))
    return ""


def _is_storable(text: str) -> bool:
    """JSON can escape half a surrogate pair, which is no character, and NUL, which Postgres refuses."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text
