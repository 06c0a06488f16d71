"""Which fields a value has, and in which two values differ.

In: JSON values and their shape. Out: sets of paths. Refuses (`BadListError`) an applied list whose items cannot be
told apart.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from outrig.api.kube.ownership.paths import FieldSet, Path, field, keyed, spelled, valued
from outrig.api.kube.ownership.shapes import Form, Shape


class BadListError(Exception):
    """A list whose items cannot be told apart by the keys of its shape."""


class _Missing:
    """What is there where nothing is: null is a value."""


MISSING: Final = _Missing()
ADDED, REMOVED, MODIFIED = "added", "removed", "modified"


@dataclass(frozen=True, slots=True)
class Comparison:
    """The places at which a new value differs from an old one."""

    added: FieldSet
    removed: FieldSet
    modified: FieldSet

    @property
    def written(self) -> FieldSet:
        """What the new value says anew."""
        return self.added | self.modified


def fields_of(value: Any, shape: Shape) -> FieldSet:
    """The places that whoever applies this value owns."""
    return frozenset(_fields(value, shape, ()))


def compare(old: Any, new: Any, shape: Shape) -> Comparison:
    """How a value has changed."""
    found: dict[str, set[Path]] = {ADDED: set(), REMOVED: set(), MODIFIED: set()}
    for what, path in _differences(old, new, shape, ()):
        found[what].add(path)
    return Comparison(frozenset(found[ADDED]), frozenset(found[REMOVED]), frozenset(found[MODIFIED]))


def check_lists(value: Any, shape: Shape, path: Path = ()) -> None:
    """Raises BadListError, in Kubernetes' words, where an applied list has an item twice or one without its keys."""
    form = shape.of(value)
    if form is Form.MEMBERS and value:
        for name, member in value.items():
            check_lists(member, shape.member(name), (*path, field(name)))
    elif form in (Form.KEYED, Form.VALUES) and value:
        seen: set[str] = set()
        for index, item in enumerate(value):
            step = _checked_step(item, index, shape, path)
            if step in seen:
                raise BadListError(f"{spelled(path)}: duplicate entries for key {spelled((step,))}")
            seen.add(step)
            check_lists(item, shape.item, (*path, step))


def step_to(item: Any, shape: Shape) -> str:
    """The step from a list to this item of it."""
    if shape.form is Form.KEYED and isinstance(item, dict):
        found = {key: item.get(key, default) for key, default in shape.keys}
        return keyed({key: value for key, value in found.items() if value is not None})
    return valued(item)


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same JSON; true is not 1."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def is_empty(value: Any) -> bool:
    """Whether there is nothing within it that could be owned."""
    return value is MISSING or value is None or value in ({}, [])


def _checked_step(item: Any, index: int, shape: Shape, path: Path) -> str:
    where = f"{spelled(path)}: element {index}: associative list with keys"
    if shape.form is Form.KEYED and not isinstance(item, dict):
        raise BadListError(f"{where} may not have non-map element")
    for key, default in shape.keys:
        if item.get(key, default) is None:
            raise BadListError(f'{where} has an element that omits key field "{key}" (and doesn\'t have default value)')
    return step_to(item, shape)


def _fields(value: Any, shape: Shape, path: Path) -> Iterator[Path]:
    match shape.of(value):
        case Form.WHOLE:
            yield path
        case Form.MEMBERS:
            for name, member in (value or {}).items():
                here = (*path, field(name))
                yield from _fields(member, shape.member(name), here)
                if member is None or member == {} or name not in shape.fields:
                    yield here
        case _:
            for item in value or ():
                here = (*path, step_to(item, shape))
                yield from _fields(item, shape.item, here)
                yield here


def _differences(old: Any, new: Any, shape: Shape, path: Path) -> Iterator[tuple[str, Path]]:
    if old is new:  # what a configuration does not speak of is not looked through
        return
    forms = {shape.of(value) for value in (old, new) if value is not MISSING}
    if len(forms) > 1:  # one of them is not what is expected here: nothing of the one is in the other
        yield from _parts(old, MISSING, shape, path)
        yield from _parts(MISSING, new, shape, path)
        yield MODIFIED, path
    elif forms == {Form.WHOLE} or (is_empty(old) and is_empty(new)):
        yield from _leaf(old, new, path)
    else:
        yield from _parts(old, new, shape, path)
        if old is MISSING or new is MISSING:
            yield (ADDED if old is MISSING else REMOVED), path


def _leaf(old: Any, new: Any, path: Path) -> Iterator[tuple[str, Path]]:
    if old is MISSING or new is MISSING:
        yield (ADDED if old is MISSING else REMOVED), path
    elif not same(old, new):
        yield MODIFIED, path


def _parts(old: Any, new: Any, shape: Shape, path: Path) -> Iterator[tuple[str, Path]]:
    form = shape.of(new if old is MISSING else old)
    if form is Form.MEMBERS:
        before, after = _members(old), _members(new)
        for name in {**before, **after}:
            here = (*path, field(name))
            yield from _differences(before.get(name, MISSING), after.get(name, MISSING), shape.member(name), here)
    elif form in (Form.KEYED, Form.VALUES):
        found, wanted = indexed(old, shape), indexed(new, shape)
        for step in {**found, **wanted}:
            yield from _item_differences(found.get(step, []), wanted.get(step, []), shape, (*path, step))


def _item_differences(old: Sequence[Any], new: Sequence[Any], shape: Shape, path: Path) -> Iterator[tuple[str, Path]]:
    """Items that are there twice cannot be looked into: they are owned together."""
    if len(old) > 1 or len(new) > 1:
        yield from _leaf(list(old) or MISSING, list(new) or MISSING, path)
    else:
        before, after = (items[0] if items else MISSING for items in (old, new))
        yield from _differences(before, after, shape.item, path)


def indexed(items: Any, shape: Shape) -> dict[str, list[Any]]:
    """The items of a list by the steps to them, in its order."""
    found: dict[str, list[Any]] = {}
    for item in items if isinstance(items, list) else ():
        found.setdefault(step_to(item, shape), []).append(item)
    return found


def _members(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
