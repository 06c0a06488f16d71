"""Who is connected where: the `AgentConnected` condition of a registration and of its entry, and two notes beside it.

The notes are of the registration only (a Dataplane is its own): which instance of the control plane has its agent, and
which one has, or had last, its proxy. They are what the instances know of each other's connections.
"""

from dataclasses import replace
from datetime import datetime
from typing import Final

from outrig.dialects.conditions import AGENT_CONNECTED, Condition, with_condition
from outrig.resources import Json, Resource

_ESTABLISHED: Final = "AgentEstablishedConnection"
_LOST: Final = "AgentLostConnection"
_CLOSED: Final = "AgentClosedConnection"
_AGENT: Final = "activeAgentConnection"
_PROXY: Final = "activeProxyConnection"
_INSTANCE: Final = "connectedTo"
_REGISTRATIONS: Final = ("WorkloadAutoRegistration", "Dataplane")


def with_agent(resource: Resource, *, control_plane: str, now: datetime) -> Resource:
    """The registration or entry whose agent is connected to that control plane instance."""
    status = _noted(resource, _AGENT, control_plane)
    return _with(resource, status, Condition(AGENT_CONNECTED, True, _ESTABLISHED), now=now)


def without_agent(resource: Resource, *, closed: bool, now: datetime, message: str = "") -> Resource:
    """The registration or entry whose agent is away. `closed`: it said goodbye; otherwise the connection was lost."""
    reason = _CLOSED if closed else _LOST
    return _with(resource, _noted(resource, _AGENT, ""), Condition(AGENT_CONNECTED, False, reason, message), now=now)


def with_proxy(resource: Resource, control_plane: str) -> Resource:
    """The registration whose proxy has accepted its configuration from that instance; an entry stays as it is."""
    status = _noted(resource, _PROXY, control_plane)
    return resource if status == resource.status else replace(resource, status=status)


def agent_at(registration: Resource) -> str:
    """The control plane instance that has its agent; empty if none has."""
    return _instance(registration, _AGENT)


def proxy_at(registration: Resource) -> str:
    """The control plane instance that has its proxy, or had it last; empty if none is known."""
    return _instance(registration, _PROXY)


def _noted(resource: Resource, note: str, control_plane: str) -> Json:
    if resource.key.kind not in _REGISTRATIONS or _instance(resource, note) == control_plane:
        return resource.status
    rest = {field: value for field, value in resource.status.items() if field != note}
    return {**rest, note: {_INSTANCE: control_plane}} if control_plane else rest


def _instance(resource: Resource, note: str) -> str:
    held = resource.status.get(note)
    return str(held.get(_INSTANCE, "")) if isinstance(held, dict) else ""


def _with(resource: Resource, status: Json, condition: Condition, *, now: datetime) -> Resource:
    status = with_condition(status, condition, now=now)
    return resource if status == resource.status else replace(resource, status=status)
