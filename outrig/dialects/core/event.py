"""Event (core/v1): what happened to a resource, for people. The control plane writes them; nothing reads them back."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from pydantic import Field

from outrig.dialects.core.service_account import ObjectReference
from outrig.dialects.findings import INVALID, Place
from outrig.dialects.kind import Column, Kind
from outrig.dialects.schema import ATOMIC, Count, Form, MicroTime, Time
from outrig.errors import Finding
from outrig.resources import Json, Key, Resource


class EventSource(Form):
    """Who reported the event."""

    component: str = Field(default="", description="Component that reported the event.")
    host: str = Field(default="", description="Host on which it ran.")


class EventSeries(Form):
    """A run of equal events."""

    count: Count = Field(default=0, description="How often it happened up to the last time seen.")
    last_observed_time: MicroTime | None = Field(
        default=None, description="When it was last seen (RFC 3339, microseconds)."
    )


class EventBody(Form):
    """One thing that happened, perhaps several times."""

    involved_object: ObjectReference = Field(
        description="The object that this event is about.", json_schema_extra=ATOMIC
    )
    reason: str = Field(default="", description="Why, as one CamelCase word.")
    message: str = Field(default="", description="What happened, for people.")
    type: str = Field(default="", description="Normal or Warning.")
    source: EventSource = Field(default=EventSource(), description="Who reported it.")
    count: Count = Field(default=0, description="How often it happened.")
    first_timestamp: Time | None = Field(default=None, description="When it was first seen (RFC 3339).")
    last_timestamp: Time | None = Field(default=None, description="When it was last seen (RFC 3339).")
    event_time: MicroTime | None = Field(default=None, description="When it was first seen (RFC 3339, microseconds).")
    series: EventSeries | None = Field(default=None, description="The run of events that this one stands for.")
    action: str = Field(default="", description="What was done or refused.")
    related: ObjectReference | None = Field(
        default=None, description="Another object that has to do with it.", json_schema_extra=ATOMIC
    )
    reporting_component: str = Field(default="", description="Controller that reported it.")
    reporting_instance: str = Field(default="", description="Instance of that controller.")


def _text(resource: Resource, field: str) -> str:
    value = resource.body.get(field)
    return value if isinstance(value, str) else ""


def _part(resource: Resource, field: str, part: str) -> str:
    value = resource.body.get(field)
    return str(value.get(part) or "") if isinstance(value, dict) else ""


def _last_seen(resource: Resource) -> str:
    return _part(resource, "series", "lastObservedTime") or _text(resource, "lastTimestamp") or _first_seen(resource)


def _first_seen(resource: Resource) -> str:
    return _text(resource, "firstTimestamp") or _text(resource, "eventTime")


def _object(resource: Resource) -> str:
    return f"{_part(resource, 'involvedObject', 'kind').lower()}/{_part(resource, 'involvedObject', 'name')}"


def _reporter(resource: Resource) -> str:
    names = (_part(resource, "source", "component"), _part(resource, "source", "host"))
    return ", ".join(name for name in names if name) or _text(resource, "reportingComponent")


def _count(resource: Resource) -> int:
    return resource.body.get("count") or 1


def _findings(resource: Resource) -> tuple[Finding, ...]:
    """An Event is in the namespace of what it is about, and in `default` if that is in none. As in Kubernetes."""
    about, here = _part(resource, "involvedObject", "namespace"), resource.key.namespace
    if about == here or (about, here) == ("", "default"):
        return ()
    return (Place(resource.key, "involvedObject.namespace").error(INVALID, "does not match event.namespace"),)


EVENT: Final = Kind(
    group="",
    name="Event",
    plural="events",
    singular="event",
    short_names=("ev",),
    versions=("v1",),
    schema=EventBody,
    has_status=False,
    strategic_merge=True,
    created_by_update=True,
    findings=_findings,
    columns=(
        Column("Last Seen", _last_seen, kind="date", description="Time since it was last seen"),
        Column("Type", lambda event: _text(event, "type"), description="Normal or Warning"),
        Column("Reason", lambda event: _text(event, "reason"), description="Why, in one word"),
        Column("Object", _object, description="The object it is about"),
        Column("Source", _reporter, description="Who reported it", priority=1),
        Column("Message", lambda event: _text(event, "message"), description="What happened"),
        Column("First Seen", _first_seen, kind="date", description="Time since it was first seen", priority=1),
        Column("Count", _count, kind="integer", description="How often it happened", priority=1),
    ),
)


def event_key(about: Key, *what: str) -> Key:
    """The key of the Event that says `what` about a resource: the same for the same, so that it is counted up."""
    digest = hashlib.sha256("\n".join((about.name, *what)).encode()).hexdigest()
    return Key("", "Event", "", about.namespace, f"{about.name[:200].rstrip('-.')}.{digest[:16]}")


def warning_event(about: Key, *, uid: str, reason: str, message: str, now: datetime) -> Json:
    """The body of a warning about a resource (of an API group whose version is v1), seen once."""
    return {**normal_event(about, uid=uid, reason=reason, message=message, now=now), "type": "Warning"}


def normal_event(about: Key, *, uid: str, reason: str, message: str, now: datetime) -> Json:
    """The body of an Event that is no warning."""
    return {
        "involvedObject": {
            "apiVersion": f"{about.group}/v1".removeprefix("/"),
            "kind": about.kind,
            "namespace": about.namespace,
            "name": about.name,
            "uid": uid,
        },
        "reason": reason,
        "message": message,
        "type": "Normal",
        "source": {"component": "outrig"},
        "reportingComponent": "outrig",
        "count": 1,
        "firstTimestamp": event_time(now),
        "lastTimestamp": event_time(now),
    }


def seen_again(before: Resource, body: Json) -> Resource:
    """The Event that was there, counted up, with what the new one says."""
    first, count = before.body.get("firstTimestamp"), before.body.get("count", 0)
    return replace(before, body={**body, "firstTimestamp": first, "count": count + 1})


def event_time(when: datetime) -> str:
    """A time as Events have it."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
