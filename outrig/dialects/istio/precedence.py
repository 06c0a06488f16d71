"""Istio's precedence as a rank: the closer scope wins, and within a scope the older resource.

Of two resources of one age the one whose name sorts first wins.
"""

from datetime import UTC, datetime
from enum import IntEnum
from typing import Final

from outrig.resources import Resource

ROOT_NAMESPACE: Final = "istio-system"  # what is written here without a selector holds in every namespace
_END: Final = 1  # sorts after every (negated) letter, so that "a" outranks "ab"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NOT_YET: Final = -(1 << 63)  # not stored yet: younger than all others


class Level(IntEnum):
    """How close a resource is to the workloads that it is about."""

    MESH = 0
    NAMESPACE = 1
    WORKLOAD = 2


def level_of(namespace: str, *, has_selector: bool) -> Level:
    """The level of a resource in that namespace."""
    if has_selector:
        return Level.WORKLOAD
    return Level.MESH if namespace == ROOT_NAMESPACE else Level.NAMESPACE


def rank_of(resource: Resource, level: Level) -> tuple[int, ...]:
    """Its rank: level, then age, then name; the highest wins."""
    age = -int((resource.created - _EPOCH).total_seconds()) if resource.created else _NOT_YET
    return (int(level), age, *(-ord(letter) for letter in resource.key.name), _END)
