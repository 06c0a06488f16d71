"""Strategic merge patches, which kubectl sends for core kinds (Service, ServiceAccount, Namespace).

In: a document and a patch. Out: the patched document; the input is never changed. Raises `BadPatch`. The directives:
https://github.com/kubernetes/community/blob/master/contributors/devel/sig-api-machinery/strategic-merge-patch.md
"""

from collections.abc import Mapping, Sequence
from typing import Any

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


def strategic_merge(target: Any, patch: Any, path: Path = ()) -> dict[str, Any]:
    """The object at `path` of a document, patched."""
    _expect(isinstance(patch, Mapping), path, "must be an object")
    if (directive := patch.get("$patch", "merge")) != "merge":
        _expect(directive in ("replace", "delete"), path, f"unknown $patch {directive!r}")
        return {} if directive == "delete" else {field: value for field, value in patch.items() if field != "$patch"}
    merged = dict(target) if isinstance(target, Mapping) else {}
    if (kept := patch.get("$retainKeys")) is not None:
        _expect(isinstance(kept, list), path, "$retainKeys must be a list")
        merged = {field: value for field, value in merged.items() if field in kept}
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
        return [*current, *(value for value in patch if value not in current)]
    items = list(current)
    for change in patch:
        _expect(isinstance(change, Mapping), path, "items must be objects")
        if change.get("$patch") == "replace" and key not in change:
            return [item for item in patch if "$patch" not in item]
        _expect(key in change, path, f"an item has no {key!r}, which tells items apart")
        _merge_item(items, change, key, path)
    return items


def _merge_item(items: list[Any], change: Mapping[str, Any], key: str, path: Path) -> None:
    places = [place for place, item in enumerate(items) if isinstance(item, Mapping) and item.get(key) == change[key]]
    if len(places) > 1 and "protocol" in change:
        # One port number may serve TCP and UDP: two items with the same merge key.
        same = [place for place in places if items[place].get("protocol", "TCP") == change["protocol"]]
        places = same or places
    if change.get("$patch") == "delete":
        for place in reversed(places):
            del items[place]
    elif not places:
        items.append(strategic_merge({}, change, path))
    else:
        items[places[0]] = strategic_merge(items[places[0]], change, path)


def _apply_list_directive(merged: dict[str, Any], field: str, value: Any, path: Path) -> None:
    directive, _, name = field.partition("/")
    if directive not in ("$setElementOrder", "$deleteFromPrimitiveList"):
        return
    current = merged.get(name)
    _expect(isinstance(value, list), path, f"{field} must be a list")
    if not isinstance(current, list):
        return
    if directive == "$deleteFromPrimitiveList":
        merged[name] = [item for item in current if item not in value]
    else:
        merged[name] = _ordered(current, value, MERGE_KEYS.get((*path, name), ""))


def _ordered(items: list[Any], order: list[Any], key: str) -> list[Any]:
    """The items in the order given; those it does not name come after, as they were."""

    def identity(item: Any) -> Any:
        return item.get(key) if key and isinstance(item, Mapping) else item

    ranks = [identity(entry) for entry in order]
    return sorted(items, key=lambda item: ranks.index(identity(item)) if identity(item) in ranks else len(ranks))


def _expect(holds: bool, path: Path, problem: str) -> None:
    if not holds:
        raise BadPatch(".".join(path) or "patch", problem)
