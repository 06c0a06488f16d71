"""Places within an object and sets of them, in the form that `managedFields` has (FieldsV1).

A path is a tuple of steps: `f:name` for a member of an object, `k:{"port":80}` for the item of a list with these keys,
`v:"x"` for an item of a list of plain values. In: paths, FieldsV1. Out: frozen sets and back. Refuses (`ValueError`,
`TypeError`) what is no FieldsV1.
https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

Path = tuple[str, ...]
FieldSet = frozenset[Path]
Tree = dict[str, Any]
"""FieldsV1: an object for each step; `.` in it, or nothing at all, says that the place itself is in the set."""

EMPTY: Final[FieldSet] = frozenset()
ITSELF: Final = "."
_ENCODER: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)
"""To make one for each of thousands of items takes longer than all else that is done with them."""


def field(name: str) -> str:
    """The step to a member of an object."""
    return f"f:{name}"


def keyed(keys: Mapping[str, Any]) -> str:
    """The step to the item of a list that has these keys."""
    return f"k:{_canonical(keys)}"


def valued(value: Any) -> str:
    """The step to an item of a list of plain values."""
    return f"v:{_canonical(value)}"


def tree_of(paths: FieldSet) -> Tree:
    """The set as FieldsV1."""
    root: Tree = {}
    for path in sorted(paths):  # a place comes before what is within it
        here = root
        for step in path:
            here = here.setdefault(step, {})
        here[ITSELF] = {}
    _trim(root)
    return root


def paths_of(tree: Any) -> FieldSet:
    """The set that FieldsV1 spells, without steps of unknown forms, as in Kubernetes. Raises ValueError, TypeError."""
    if not isinstance(tree, dict):
        raise TypeError("fieldsV1 must be an object")
    return frozenset(_paths(tree, ()))


def holds(node: Tree) -> bool:
    """Whether the place of this node of a tree is in the set itself."""
    return not node or ITSELF in node


def spelled(path: Path) -> str:
    """The path as messages show it: `.spec.ports[port=80,protocol="TCP"].name`."""
    return "".join(map(_spelled_step, path))


def _trim(node: Tree) -> None:
    if node.keys() == {ITSELF}:
        del node[ITSELF]
    for child in node.values():
        _trim(child)


def _paths(node: Tree, path: Path) -> Iterator[Path]:
    if path and holds(node):
        yield path
    for step, child in node.items():
        if not isinstance(child, dict):
            raise TypeError(f"{step}: must be an object")
        if step != ITSELF and (known := _known(step)):
            yield from _paths(child, (*path, known))


def _known(step: str) -> str:
    """The step in the one way that we write it; empty for a form that nobody knows."""
    form, _, rest = step.partition(":")
    if form in ("k", "v"):
        value = json.loads(rest)
        if form == "k" and not isinstance(value, dict):
            raise ValueError(f"{step}: keys must be an object")
        canonical = f"{form}:{_canonical(value)}"
        canonical.encode()  # half a surrogate pair is no character, and nobody could be sent it
        return canonical
    return step if form in ("f", "i") and rest else ""


def _canonical(value: Any) -> str:
    return _ENCODER.encode(value)


def _spelled_step(step: str) -> str:
    form, _, rest = step.partition(":")
    if form == "f":
        return f".{rest}"
    if form == "k":
        return "[" + ",".join(f"{key}={_canonical(value)}" for key, value in sorted(json.loads(rest).items())) + "]"
    return f"[={rest}]" if form == "v" else f"[{rest}]"
