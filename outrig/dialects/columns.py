"""Columns that several kinds show."""

from typing import Final

from outrig.dialects.conditions import condition_of
from outrig.dialects.kind import Column
from outrig.resources import Resource


def _created(resource: Resource) -> str:
    return resource.created.strftime("%Y-%m-%dT%H:%M:%SZ") if resource.created else ""


def condition_column(type_: str, name: str, description: str, *, priority: int = 1) -> Column:
    """The status of a condition: True, False, Unknown; empty as long as there is none."""

    def cell(resource: Resource) -> str:
        condition = condition_of(resource.status, type_)
        return condition.text if condition else ""

    return Column(name, cell, description=description, priority=priority)


def reason_column(type_: str, name: str, description: str) -> Column:
    """Why a condition is as it is."""

    def cell(resource: Resource) -> str:
        condition = condition_of(resource.status, type_)
        return condition.reason if condition else ""

    return Column(name, cell, description=description, priority=1)


AGE: Final = Column("Age", _created, kind="date", description="Time since the resource was created")
CREATED_AT: Final = Column("Created At", _created, description="When the resource was created")
