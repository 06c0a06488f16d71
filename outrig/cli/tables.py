"""Tables on a terminal: columns as wide as they must be, as kubectl and kumactl print them.

In: rows of text, or resources. Out: lines.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from outrig.api.kube.ages import age_of
from outrig.dialects.kind import Column, Kind
from outrig.resources import Key, Resource

_META: Final = frozenset({"type", "mesh", "name", "labels", "status", "creationTime", "modificationTime", "kri"})
_GAP: Final = "   "


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """The lines of a table."""
    lines = [tuple(headings), *map(tuple, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        _GAP.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def kuma_table(kind: Kind, items: Sequence[Mapping[str, Any]], *, now: datetime) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of a kind of Kuma's dialect, from the documents that its API gives."""
    columns = [column for column in kind.columns if column.priority == 0]
    mesh = ["MESH"] if kind.mesh_scoped and kind.name != "Mesh" else []
    rows = [
        [
            *([str(item.get("mesh", ""))] if mesh else []),
            str(item["name"]),
            *(_cell(column, kind, item, now) for column in columns),
        ]
        for item in items
    ]
    return [*mesh, "NAME", *(column.name if column.name == "mTLS" else column.name.upper() for column in columns)], rows


def kube_table(document: Mapping[str, Any]) -> str:
    """A Table as Kubernetes' API gives it."""
    shown = [place for place, one in enumerate(document["columnDefinitions"]) if not one.get("priority")]
    headings = [document["columnDefinitions"][place]["name"].upper() for place in shown]
    rows = [[_text(row["cells"][place]) for place in shown] for row in document.get("rows") or ()]
    return table(headings, rows) if rows else "No resources found"


def _cell(column: Column, kind: Kind, item: Mapping[str, Any], now: datetime) -> str:
    if column.name.lower() == "age":
        return age_of(str(item.get("creationTime", "")), now)
    return str(column.cell(resource_of(kind, item)))


def resource_of(kind: Kind, item: Mapping[str, Any]) -> Resource:
    """The resource that a document of Kuma's API shows."""
    body = {field: value for field, value in item.items() if field not in _META}
    name = str(item["name"])
    mesh = str(item.get("mesh") or (name if kind.name == "Mesh" else ""))
    return Resource(
        Key(kind.group, kind.name, mesh, "", name), body, item.get("status") or {}, item.get("labels") or {}
    )


def _text(cell: object) -> str:
    return "<none>" if cell is None else str(cell)
