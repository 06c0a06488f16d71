"""Offer: what was spoken by a service of Dataplanes. The control plane keeps it for itself; no API serves it.

It stands for the service as long as no Dataplane offers that: what callers listen on stays as it is, with nobody behind
it. It is written with each Dataplane that offers something new, and goes some time after the last one.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from pydantic import Field

from outrig.dialects.kind import Kind, Scope
from outrig.dialects.kuma.dataplane import networking_of, offer_of, protocol_of, service_key
from outrig.dialects.kuma.group import VERSION
from outrig.dialects.kuma.tags import host_of
from outrig.dialects.schema import Form, parse
from outrig.model import Offer, Protocol, Service
from outrig.resources import Key, Resource

GRACE: Final = timedelta(hours=1)  # that of Kuma's MeshServices
_ID: Final = ("outrig.internal", "Offer")
_SINCE: Final = "unofferedSince"
Ports = frozenset[tuple[int, Protocol]]


class OfferedPort(Form):
    """A port, and what was spoken there."""

    port: int = Field(description="Its number.")
    protocol: str = Field(description="What was spoken.")


class OfferBody(Form):
    """All ports of a service."""

    ports: list[OfferedPort] = Field(description="Its ports; a number stands there once for each thing spoken.")


def offers_of(dataplane: Resource) -> dict[Key, Ports]:
    """What a Dataplane offers, by the Offer that keeps it."""
    found: dict[Key, Ports] = {}
    for inbound in networking_of(dataplane).inbound:
        if inbound.listens:
            key = Key(*_ID, dataplane.key.mesh, "", inbound.service)
            found[key] = found.get(key, Ports()) | {(inbound.port, protocol_of(inbound))}
    return found


def service_of(offer: Key) -> tuple[Key, str]:
    """The service that an Offer keeps: origin and host."""
    return service_key(offer.mesh, offer.name), host_of(offer.name)


def ports_of(parts: Iterable[Service]) -> Ports:
    """The ports that the parts of a service have."""
    return frozenset((port.number, port.protocol) for part in parts for port in part.ports)


def offer_resource(key: Key, ports: Ports) -> Resource:
    """The Offer of a service that has these ports."""
    listed = [{"port": number, "protocol": str(protocol)} for number, protocol in sorted(ports)]
    return Resource(key, body={"ports": listed})


def joined_by(stored: Resource, ports: Ports) -> Resource:
    """An Offer once somebody offers these ports; the very same object if they were known and it was offered."""
    known = ports <= _ports(stored)
    if known and _SINCE not in stored.status:
        return stored
    return replace(stored, body=stored.body if known else offer_resource(stored.key, ports).body, status={})


def reviewed(stored: Resource, ports: Ports, now: datetime) -> Resource | None:
    """An Offer given all that is offered of its service now; the same object if all is as it was. None: its time is
    over."""
    if ports:
        is_so = ports == _ports(stored) and _SINCE not in stored.status
        return stored if is_so else replace(stored, body=offer_resource(stored.key, ports).body, status={})
    since = stored.status.get(_SINCE)
    if since is None:
        return replace(stored, status={_SINCE: now.isoformat()})
    return None if datetime.fromisoformat(str(since)) <= now - GRACE else stored


def _ports(stored: Resource) -> Ports:
    return frozenset((one.port, Protocol(one.protocol)) for one in parse(OfferBody, stored).ports)


def _compile(resource: Resource, scope: Scope) -> tuple[Offer, ...]:  # noqa: ARG001 - its mesh stands in its key
    return tuple(offer_of(resource.key, resource.key.name, port, kept=True) for port in sorted(_ports(resource)))


OFFER: Final = Kind(
    group=_ID[0],
    name=_ID[1],
    plural="offers",
    versions=(VERSION,),
    schema=OfferBody,
    namespaced=False,
    mesh_scoped=True,
    system=True,
    compile=_compile,
)
