"""Columns that several kinds show."""

from typing import Final

from outrig.dialects.kind import Column
from outrig.resources import Resource


def _created(resource: Resource) -> str:
    return resource.created.strftime("%Y-%m-%dT%H:%M:%SZ") if resource.created else ""


AGE: Final = Column("Age", _created, kind="date", description="Time since the resource was created")
