"""The `AgentConnected` condition of a registration: set when an agent comes and goes."""

from dataclasses import replace
from datetime import datetime
from typing import Final

from outrig.dialects.conditions import Condition, with_condition
from outrig.resources import Json, Resource

AGENT_CONNECTED: Final = "AgentConnected"
_ESTABLISHED: Final = "AgentEstablishedConnection"
_LOST: Final = "AgentLostConnection"
_CLOSED: Final = "AgentClosedConnection"


def with_agent(registration: Resource, *, control_plane: str, now: datetime) -> Resource:
    """The registration whose agent is connected to that control plane instance."""
    status = {**registration.status, "activeAgentConnection": {"connectedTo": control_plane}}
    return _with(registration, status, Condition(AGENT_CONNECTED, True, _ESTABLISHED), now=now)


def without_agent(registration: Resource, *, closed: bool, now: datetime, message: str = "") -> Resource:
    """The registration whose agent is away. `closed`: it said goodbye; otherwise the connection was lost."""
    status = {field: value for field, value in registration.status.items() if field != "activeAgentConnection"}
    reason = _CLOSED if closed else _LOST
    return _with(registration, status, Condition(AGENT_CONNECTED, False, reason, message), now=now)


def _with(registration: Resource, status: Json, condition: Condition, *, now: datetime) -> Resource:
    status = with_condition(status, condition, now=now)
    return registration if status == registration.status else replace(registration, status=status)
