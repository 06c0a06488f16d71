"""The `AgentConnected` condition of a registration and of its entry: set when an agent comes and goes."""

from dataclasses import replace
from datetime import datetime
from typing import Final

from outrig.dialects.conditions import AGENT_CONNECTED, Condition, with_condition
from outrig.resources import Json, Resource

_ESTABLISHED: Final = "AgentEstablishedConnection"
_LOST: Final = "AgentLostConnection"
_CLOSED: Final = "AgentClosedConnection"
_ACTIVE: Final = "activeAgentConnection"  # only registrations have it
_REGISTRATION: Final = "WorkloadAutoRegistration"


def with_agent(resource: Resource, *, control_plane: str, now: datetime) -> Resource:
    """The registration or entry whose agent is connected to that control plane instance."""
    active = {_ACTIVE: {"connectedTo": control_plane}} if resource.key.kind == _REGISTRATION else {}
    return _with(resource, {**resource.status, **active}, Condition(AGENT_CONNECTED, True, _ESTABLISHED), now=now)


def without_agent(resource: Resource, *, closed: bool, now: datetime, message: str = "") -> Resource:
    """The registration or entry whose agent is away. `closed`: it said goodbye; otherwise the connection was lost."""
    status = {field: value for field, value in resource.status.items() if field != _ACTIVE}
    reason = _CLOSED if closed else _LOST
    return _with(resource, status, Condition(AGENT_CONNECTED, False, reason, message), now=now)


def _with(resource: Resource, status: Json, condition: Condition, *, now: datetime) -> Resource:
    status = with_condition(status, condition, now=now)
    return resource if status == resource.status else replace(resource, status=status)
