"""Merge patches (RFC 7386) and JSON patches (RFC 6902) on plain JSON values.

In: a value and a patch. Out: the patched value; the input is never changed. Raises `BadPatch` for a patch that is
malformed, `Inapplicable` for one that does not apply or copies without measure.
"""

import copy
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from outrig.errors import OutrigError

MAX_COPIED = 20_000
"""Values that the operations of one patch may copy: a few dozen that each copy what the last one made fill memory."""

_INDEX = re.compile(r"0|-?[1-9][0-9]{0,8}")


class BadPatch(OutrigError):
    """A patch that is malformed."""

    code = "OUT403"


class Inapplicable(BadPatch):
    """A patch that does not apply to the object."""


def merge(target: Any, patch: Any) -> Any:
    """RFC 7386: objects merge, null removes, everything else replaces."""
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(target) if isinstance(target, Mapping) else {}
    for field, value in patch.items():
        if value is None:
            merged.pop(field, None)
        else:
            merged[field] = merge(merged.get(field), value)
    return merged


def apply_operations(target: Any, operations: Any) -> Any:
    """RFC 6902: each operation in order, all or none."""
    if not isinstance(operations, Sequence) or isinstance(operations, str):
        raise BadPatch("patch", "a JSON patch is a list of operations")
    result, copied = copy.deepcopy(target), 0
    for index, operation in enumerate(operations):
        try:
            copied += _copied(result, operation)
            if copied > MAX_COPIED:
                raise Inapplicable(f"operation {index}", f"more than {MAX_COPIED} values would be copied")
            result = _apply(result, operation)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError, RecursionError):
            raise Inapplicable(f"operation {index}", f"does not apply: {_shown(operation)}") from None
    return result


def _shown(operation: Any) -> str:
    text = json.dumps(operation)
    return text if len(text) <= 200 else f"{text[:197]}..."


def _copied(target: Any, operation: Mapping[str, Any]) -> int:
    """How many values an operation copies from elsewhere in the object."""
    todo = [_at(target, _pointer(operation["from"]))] if operation["op"] == "copy" else []
    count = 0
    while todo and count <= MAX_COPIED:
        value = todo.pop()
        count += 1
        todo.extend(value.values() if isinstance(value, dict) else value if isinstance(value, list) else ())
    return count


def _apply(target: Any, operation: Mapping[str, Any]) -> Any:
    name, path = operation["op"], _pointer(operation["path"])
    if name == "test":
        if not _same(_tested(target, path), operation.get("value")):
            raise ValueError(name)
        return target
    if name == "move":
        source = _pointer(operation["from"])
        if path[: len(source)] == source and path != source:
            raise ValueError(name)  # RFC 6902 4.4: nothing moves into its own inside
        value = _at(target, source)
        return _add(_remove(target, source), path, value)
    if name == "remove":
        return _remove(target, path)
    if name == "replace":
        _at(target, path)
        return operation["value"] if not path else _add(_remove(target, path), path, copy.deepcopy(operation["value"]))
    if name in ("add", "copy"):
        value = operation["value"] if name == "add" else _at(target, _pointer(operation["from"]))
        return _add(target, path, copy.deepcopy(value))
    raise ValueError(name)


def _tested(target: Any, path: Sequence[str]) -> Any:
    """The value at a path. As for Kubernetes' library, a member that an object lacks is null: so a test can ask that
    nothing is there yet.
    """
    parent = _at(target, path[:-1])
    return parent.get(path[-1]) if path and isinstance(parent, dict) else _at(parent, path[-1:])


def _pointer(text: str) -> tuple[str, ...]:
    """RFC 6901."""
    if text and not text.startswith("/"):
        raise ValueError(text)
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in text.split("/")[1:])


def _same(one: Any, other: Any) -> bool:
    """JSON equality: 1 is 1.0, but true is not 1."""
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _index(step: str, last: int) -> int:
    """The place in a list that ends with `last`; as for Kubernetes' library, -1 is that one, -2 the one before."""
    if not _INDEX.fullmatch(step):
        raise IndexError(step)
    index = int(step) + (last + 1 if step[0] == "-" else 0)
    if not 0 <= index <= last:
        raise IndexError(step)
    return index


def _at(target: Any, path: Sequence[str]) -> Any:
    for step in path:
        target = target[_index(step, len(target) - 1)] if isinstance(target, list) else _member(target, step)
    return target


def _member(target: Any, step: str) -> Any:
    if not isinstance(target, dict):
        raise TypeError(step)
    return target[step]


def _add(target: Any, path: Sequence[str], value: Any) -> Any:
    if not path:
        return value
    *parents, last = path
    parent = _at(target, parents)
    if isinstance(parent, list):
        parent.insert(len(parent) if last == "-" else _index(last, len(parent)), value)
    else:
        _expect_object(parent)[last] = value
    return target


def _remove(target: Any, path: Sequence[str]) -> Any:
    *parents, last = path
    parent = _at(target, parents)
    if isinstance(parent, list):
        del parent[_index(last, len(parent) - 1)]
    else:
        del _expect_object(parent)[last]
    return target


def _expect_object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(type(value).__name__)
    return value
