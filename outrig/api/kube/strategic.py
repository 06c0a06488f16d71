"""Strategic merge patches, which kubectl sends for core kinds (Service, ServiceAccount, Namespace).

In: a document and a patch. Out: the patched document; the input is never changed. Raises `BadPatch`. The directives:
https://github.com/kubernetes/community/blob/master/contributors/devel/sig-api-machinery/strategic-merge-patch.md
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from outrig.api.kube.patches import BadPatch

# Lists that merge item by item, by the field that tells their items apart; "" for lists of plain values.
MERGE_KEYS = {
    ("spec", "ports"): "port",
    ("status", "conditions"): "type",
    ("metadata", "ownerReferences"): "uid",
    ("metadata", "finalizers"): "",
    ("secrets",): "name",
    ("imagePullSecrets",): "name",
}
DIRECTIVES = ("$patch", "$retainKeys", "$setElementOrder/", "$deleteFromPrimitiveList/")

Path = tuple[str, ...]
_GONE: Final = object()
"""In the place of an item that was taken out, so that the others keep theirs."""


def strategic_merge(target: Any, patch: Any, path: Path = ()) -> dict[str, Any]:
    """The object at `path` of a document, patched."""
    _expect(isinstance(patch, Mapping), path, "must be an object")
    if (directive := patch.get("$patch", "merge")) != "merge":
        _expect(directive in ("replace", "delete"), path, f"unknown $patch {directive!r}")
        return {} if directive == "delete" else {field: value for field, value in patch.items() if field != "$patch"}
    merged = dict(target) if isinstance(target, Mapping) else {}
    if (kept := patch.get("$retainKeys")) is not None:
        _expect(isinstance(kept, list), path, "$retainKeys must be a list")
        lacking = [
            field for field, value in patch.items() if field[:1] != "$" and value is not None and field not in kept
        ]
        _expect(not lacking, path, f"$retainKeys does not name {', '.join(lacking)}, which the patch sets")
        names = _marks(kept)
        merged = {field: value for field, value in merged.items() if _mark(field) in names}
    for field, value in patch.items():
        _merge_field(merged, field, value, path)
    for field, order in patch.items():
        _apply_list_directive(merged, field, order, path)
    return merged


def _merge_field(merged: dict[str, Any], field: str, value: Any, path: Path) -> None:
    if field.startswith("$"):
        _expect(field.startswith(DIRECTIVES), path, f"unknown directive {field!r}")
        return
    here = (*path, field)
    if value is None or (isinstance(value, Mapping) and value.get("$patch") == "delete"):
        merged.pop(field, None)
    elif isinstance(value, Mapping):
        merged[field] = strategic_merge(merged.get(field), value, here)
    elif isinstance(value, list) and here in MERGE_KEYS and isinstance(merged.get(field, []), list):
        merged[field] = _merge_list(merged.get(field, []), value, here)
    else:
        merged[field] = value


def _merge_list(current: Sequence[Any], patch: Sequence[Any], path: Path) -> list[Any]:
    key = MERGE_KEYS[path]
    if not key:
        there = _marks(current)
        return [*current, *(value for value in patch if _mark(value) not in there)]
    items, places = list(current), dict[str, list[int]]()
    for place, item in enumerate(items):
        if isinstance(item, Mapping):
            places.setdefault(_mark(item.get(key)), []).append(place)
    _expect(all(isinstance(change, Mapping) for change in patch), path, "items must be objects")
    for change in patch:
        if change.get("$patch") == "replace" and key not in change:
            return [item for item in patch if "$patch" not in item]
        _expect(key in change, path, f"an item has no {key!r}, which tells items apart")
        if change.get("$patch") == "delete":
            for place in places.pop(_mark(change[key]), ()):
                items[place] = _GONE
    for change in patch:
        if change.get("$patch") != "delete":
            _merge_item(items, change, places.setdefault(_mark(change[key]), []), path)
    return [item for item in items if item is not _GONE]


def _merge_item(items: list[Any], change: Mapping[str, Any], places: list[int], path: Path) -> None:
    """`places`: where the items are that have the same merge key."""
    chosen = list(places)
    if len(places) > 1 and "protocol" in change:
        # One port number may serve TCP and UDP: two items with the same merge key.
        same = [place for place in places if items[place].get("protocol", "TCP") == change["protocol"]]
        chosen = same or chosen
    if not chosen:
        places.append(len(items))
        items.append(strategic_merge({}, change, path))
    else:
        items[chosen[0]] = strategic_merge(items[chosen[0]], change, path)


def _apply_list_directive(merged: dict[str, Any], field: str, value: Any, path: Path) -> None:
    directive, _, name = field.partition("/")
    if directive not in ("$setElementOrder", "$deleteFromPrimitiveList"):
        return
    current = merged.get(name)
    _expect(isinstance(value, list), path, f"{field} must be a list")
    if not isinstance(current, list):
        return
    if directive == "$deleteFromPrimitiveList":
        going = _marks(value)
        merged[name] = [item for item in current if _mark(item) not in going]
    else:
        merged[name] = _ordered(current, value, MERGE_KEYS.get((*path, name), ""))


def _ordered(items: list[Any], order: list[Any], key: str) -> list[Any]:
    """The items in the order given; those it does not name come after, as they were."""

    def identity(item: Any) -> str:
        return _mark(item.get(key) if key and isinstance(item, Mapping) else item)

    ranks: dict[str, int] = {}
    for rank, entry in enumerate(order):
        ranks.setdefault(identity(entry), rank)
    return sorted(items, key=lambda item: ranks.get(identity(item), len(order)))


def _marks(values: Sequence[Any]) -> frozenset[str]:
    return frozenset(map(_mark, values))


def _mark(value: Any) -> str:
    """A text that only equal values have: lists of thousands are looked through once, not for each item of another."""
    return json.dumps(value, sort_keys=True)


def _expect(holds: bool, path: Path, problem: str) -> None:
    if not holds:
        raise BadPatch(".".join(path) or "patch", problem)
