"""The `Ready` condition of a workload with a proxy of ours: set it, and read from it what callers may do."""

from dataclasses import replace
from datetime import datetime
from enum import StrEnum

from outrig.dialects.conditions import READY, Condition, condition_of, with_condition
from outrig.model import Health
from outrig.resources import Resource


class ReadyReason(StrEnum):
    """Why a workload is ready, or is not. Only READY makes the condition true."""

    READY = "Ready"
    STARTING = "Starting"
    UNHEALTHY = "Unhealthy"
    DRAINING = "Draining"
    DISCONNECTED = "Disconnected"


def with_readiness(resource: Resource, reason: ReadyReason, *, now: datetime, message: str = "") -> Resource:
    """The resource with its `Ready` condition set; the very same object if it says so already."""
    condition = Condition(READY, reason is ReadyReason.READY, reason.value, message)
    status = with_condition(resource.status, condition, now=now)
    return resource if status is resource.status else replace(resource, status=status)


def health_of(resource: Resource, *, untold: Health = Health.UNREADY) -> Health:
    """What the `Ready` condition means to callers; `untold` as long as there is none."""
    condition = condition_of(resource.status, READY)
    if condition is None:
        return untold
    if condition.reason == ReadyReason.DRAINING:
        return Health.DRAINING
    return Health.READY if condition.status else Health.UNREADY
