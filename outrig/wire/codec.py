"""Dataclasses to JSON and back, strictly: unknown fields, missing fields, wrong types and repeated keys are refused.

What is absent (None, or a list that is empty by default) is left out, so that a reader who does not know the field yet
reads the rest; nothing is ever written as null. JSON names are the Python names in camelCase. Raises `WireError`, whose
text names the field.
"""

import json
import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

D = TypeVar("D")


class WireError(ValueError):
    """A message that does not have the agreed form."""


def encode(message: Any) -> str:
    """The JSON text of a dataclass."""
    return json.dumps(_plain(message), separators=(",", ":"))


def decode(kind: type[D], text: str | bytes) -> D:
    """The dataclass of that kind in a JSON text. Raises WireError."""
    return build(kind, parse(text))


def parse(text: str | bytes) -> Any:
    """JSON values; an object that repeats a key is refused, since readers disagree which one counts."""
    try:
        return json.loads(text, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        raise WireError(f"not JSON: {error}") from None


def build(kind: type[D], value: Any, path: str = "") -> D:
    """The dataclass of that kind in parsed JSON. Raises WireError."""
    if not isinstance(value, Mapping):
        raise WireError(f"{path or 'message'}: expected an object")
    hints = get_type_hints(kind)
    known = {_camel(f.name): f for f in fields(kind)}  # type: ignore[arg-type]
    if unknown := sorted(value.keys() - known.keys()):
        raise WireError(f"{path or 'message'}: unknown field {unknown[0]!r}")
    missing = sorted(
        name for name, f in known.items() if name not in value and f.default is MISSING and f.default_factory is MISSING
    )
    if missing:
        raise WireError(f"{path or 'message'}: missing field {missing[0]!r}")
    return kind(**{known[n].name: _read(hints[known[n].name], v, f"{path}.{n}".lstrip(".")) for n, v in value.items()})


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise WireError("an object repeats a key")
    return found


def _read(hint: Any, value: Any, path: str) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _read(next(a for a in arguments if a is not type(None)), value, path)
    if origin is tuple:
        return tuple(_read(arguments[0], item, f"{path}[{i}]") for i, item in enumerate(_expect(list, value, path)))
    if origin is dict:
        return {k: _read(arguments[1], v, f"{path}.{k}") for k, v in _expect(dict, value, path).items()}
    if is_dataclass(hint) and isinstance(hint, type):
        return build(hint, value, path)
    return _expect(hint, value, path)


def _expect(kind: Any, value: Any, path: str) -> Any:
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise WireError(f"{path}: expected {kind.__name__}, got {type(value).__name__}")
    return value


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        given = {f.name: getattr(value, f.name) for f in fields(value) if not _is_absent(f, getattr(value, f.name))}
        return {_camel(name): _plain(part) for name, part in given.items()}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def _is_absent(field: Field[Any], value: Any) -> bool:
    return value is None or (value == () and field.default == ())


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.title() for part in rest)
