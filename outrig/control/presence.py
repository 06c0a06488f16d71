"""What a workload's resources say while its agent is connected, and once it is not.

In: a registration or an entry. Out: the same with that said; the very same object where it is said already. A
Dataplane also keeps what `_overview` shows of the connection.
"""

from datetime import datetime

from outrig.control.proxies import is_dataplane
from outrig.dialects.kuma.insight import with_subscription, without_subscription
from outrig.dialects.onboarding.connection import with_agent, without_agent
from outrig.resources import Resource


def arrived(resource: Resource, *, control_plane: str, now: datetime) -> Resource:
    """Its agent is connected to that instance of the control plane."""
    said = with_agent(resource, control_plane=control_plane, now=now)
    return with_subscription(said, control_plane=control_plane, now=now) if is_dataplane(resource.key) else said


def departed(resource: Resource, *, now: datetime, closed: bool = False) -> Resource:
    """Its agent is away. `closed`: it left well."""
    said = without_agent(resource, closed=closed, now=now)
    return without_subscription(said, now=now) if is_dataplane(resource.key) else said
