"""A configuration merged into an object, and fields taken out of one.

In: JSON values and their shape. Out: new values; what comes in is never changed, but parts of it are shared.
"""

from collections import deque
from collections.abc import Sequence
from typing import Any

from outrig.api.kube.ownership.paths import FieldSet, Path, Tree, field, holds, tree_of
from outrig.api.kube.ownership.shapes import Form, Shape
from outrig.api.kube.ownership.walks import MISSING, indexed, is_empty, step_to


def merge(live: Any, config: Any, shape: Shape) -> Any:
    """The live value with all that the configuration says, and nothing taken out."""
    if config is MISSING or live is MISSING:
        return live if config is MISSING else config
    form = shape.of(config)
    if form is Form.WHOLE or shape.of(live) is not form or (is_empty(config) and is_empty(live)):
        return config
    if form is Form.MEMBERS:
        said = config or {}
        merged = {name: merge(live.get(name, MISSING), value, shape.member(name)) for name, value in said.items()}
        return {**live, **merged} if live else merged
    return _merge_lists(live or [], config or [], shape)


def without(value: Any, paths: FieldSet, shape: Shape) -> Any:
    """The value without these places and what is within them."""
    return _without(value, tree_of(paths), shape)


def with_named(paths: FieldSet, shape: Shape) -> FieldSet:
    """The set with every field of a known name that something in it is within."""
    return paths | {path[:end] for path in paths for end in _named_ends(path, shape)}


def _merge_lists(live: list[Any], config: list[Any], shape: Shape) -> list[Any]:
    """Items that both have stand as in the configuration; what only the live list has stays after what it followed."""
    found, wanted = indexed(live, shape), indexed(config, shape)
    merged: list[Any] = []
    for step in _interleaved(list(found), list(wanted)):
        here, said = found.get(step, []), wanted.get(step, [])
        if len(here) > 1 or not said:  # an item that was there twice is said once now, or as before
            merged.extend(said or here)
        else:
            merged.append(merge(here[0] if here else MISSING, said[0], shape.item))
    return merged


def _interleaved(live: Sequence[str], config: Sequence[str]) -> list[str]:
    there, said, rest = frozenset(live), frozenset(config), deque(live)
    shared = deque(step for step in config if step in there)
    order: list[str] = []
    for step in config:
        while rest and (not shared or rest[0] != shared[0]):
            if (other := rest.popleft()) not in said:
                order.append(other)
        order.append(step)
        if shared and step == shared[0]:
            shared.popleft()
    return [*order, *(step for step in rest if step not in said)]


def _without(value: Any, tree: Tree, shape: Shape) -> Any:
    form = shape.of(value)
    if is_empty(value) or form is Form.WHOLE:
        return value
    if form is Form.MEMBERS:
        members = {name: (member, tree.get(field(name))) for name, member in value.items()}
        return {name: _pruned(*found, shape.member(name)) for name, found in members.items() if _stays(found[1])}
    items = [(item, tree.get(step_to(item, shape))) for item in value]
    return [_pruned(*found, shape.item) for found in items if _stays(found[1])]


def _stays(node: Tree | None) -> bool:
    return node is None or not holds(node)


def _pruned(value: Any, node: Tree | None, shape: Shape) -> Any:
    return value if node is None else _without(value, node, shape)


def _named_ends(path: Path, shape: Shape) -> list[int]:
    ends: list[int] = []
    for end, step in enumerate(path[:-1], 1):
        name = step.removeprefix("f:")
        if step.startswith("f:"):
            if name in shape.fields:
                ends.append(end)
            shape = shape.member(name)
        else:
            shape = shape.item
    return ends
