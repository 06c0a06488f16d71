"""Resources as the tables that `kubectl get` prints (meta.k8s.io/v1 Table).

In: resources, their kind's columns, the time. Out: a Table document. kubectl prints cells as they are, so ages are
made readable here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from outrig.api.kube.ages import age_of
from outrig.api.kube.documents import document, partial, timestamp
from outrig.api.kube.pages import Page
from outrig.dialects.kind import Column, Kind
from outrig.resources import Resource

NAME = Column("Name", lambda resource: resource.key.name, description="Name of the object, unique within its namespace")
AGE = Column("Age", lambda resource: timestamp(resource.created), kind="date", description="Time since its creation")


@dataclass(frozen=True, slots=True)
class TableForm:
    """How the client wants its table: the Table's version, and what each row carries (None, Metadata, Object)."""

    version: str
    include: str = "Metadata"


def columns_of(kind: Kind) -> tuple[Column, ...]:
    """The name comes first; a kind that names no columns shows its age, as Kubernetes does for custom resources."""
    own = tuple(column for column in kind.columns if column.name.lower() != "name")
    return (NAME, *(own or (AGE,)))


def table(found: Page, *, kind: Kind, version: str, form: TableForm, now: datetime) -> dict[str, Any]:
    """The Table of some resources of one kind."""
    columns = columns_of(kind)
    rows = [
        {"cells": [_cell(column, resource, now) for column in columns], **_object(resource, kind, version, form)}
        for resource in found.items
    ]
    return _written(found, columns, rows, form)


def empty_table(form: TableForm) -> dict[str, Any]:
    """The Table of a kind that is not served."""
    return _written(Page((), 0), (NAME, AGE), [], form)


def _written(found: Page, columns: Sequence[Column], rows: list[dict[str, Any]], form: TableForm) -> dict[str, Any]:
    return {
        "kind": "Table",
        "apiVersion": f"meta.k8s.io/{form.version}",
        "metadata": found.metadata(),
        "columnDefinitions": [_definition(column) for column in columns],
        "rows": rows,
    }


def _definition(column: Column) -> dict[str, Any]:
    return {
        "name": column.name,
        "type": column.kind,
        "format": "name" if column is NAME else "",
        "description": column.description,
        "priority": column.priority,
    }


def _cell(column: Column, resource: Resource, now: datetime) -> str | int:
    value = column.cell(resource)
    return age_of(str(value), now) if column.kind == "date" else value


def _object(resource: Resource, kind: Kind, version: str, form: TableForm) -> dict[str, Any]:
    if form.include == "None":
        return {}
    whole = form.include == "Object"
    return {"object": document(resource, kind=kind, version=version) if whole else partial(resource)}
