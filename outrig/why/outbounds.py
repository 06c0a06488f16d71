"""Listeners that lead to one service each, whatever it is called by, as those of a Dataplane: which is for what.

Who calls by such a listener has to know its address; no name leads there.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from outrig.errors import did_you_mean
from outrig.model import Address, Egress, Import, Service, Sole
from outrig.view import NOWHERE, HttpOutbound, Outbound, Upstream
from outrig.view.binds import spoken
from outrig.view.imports import visible
from outrig.view.outbound import DEFAULT_BIND
from outrig.why.caller import Caller
from outrig.why.endpoints import service_of
from outrig.why.hosts import names_of
from outrig.why.knowledge import Known
from outrig.why.question import Call, is_ip

_SHOWN: Final = 10


@dataclass(frozen=True, slots=True)
class Door:
    """Such a listener: what its author calls the service, with the labels of those in it that are called, and the
    names by which people may mean that."""

    listener: Outbound
    service: str
    names: frozenset[str]

    @property
    def address(self) -> str:
        """Where an application connects to."""
        return spoken(Address(self.listener.bind, self.listener.port))

    def called(self, call: Call) -> str:
        """The call, as an application makes it here."""
        return str(replace(call, host=self.listener.bind, port=self.listener.port))

    def leads(self, host: str) -> bool:
        """Whether who calls that host means what is behind it. An address is one of the machine's own."""
        return host in self.names or host == "localhost" or is_ip(host)


def doors_of(caller: Caller, known: Known) -> tuple[Door, ...]:
    """The listeners of that kind of a caller's proxy."""
    return tuple(_doors(caller, known))


def door_at(listener: Outbound, caller: Caller, known: Known) -> Door | None:
    """A listener as one of that kind; None if it is none."""
    return next((door for door in _doors(caller, known) if door.listener == listener), None)


def directions(doors: Sequence[Door]) -> str:
    """Where what is called: `127.0.0.1:15050 for kv, …`."""
    more = f", … and {len(doors) - _SHOWN} more" if len(doors) > _SHOWN else ""
    return ", ".join(f"{door.address} for {door.service}" for door in doors[:_SHOWN]) + more


def likely_names(egress: Egress, caller: Caller, known: Known) -> str:
    """A hint at the services that an egress which finds none could have meant."""
    if egress.sole is None:
        return ""
    own, *elsewhere = egress.imports
    if not elsewhere:
        return did_you_mean(egress.sole.name, _names_in(own.namespace, caller, known))
    name, namespace = elsewhere[0].host.lstrip("@"), elsewhere[0].namespace
    there = did_you_mean(name, _names_in(namespace, caller, known))
    return f"is there a Service {name} in namespace {namespace}? ({there or 'that has none'})"


def _names_in(namespace: str, caller: Caller, known: Known) -> set[str]:
    here = known.mesh.services_for(Import(namespace, "*"))
    return {service.origin.name for service in here if visible(service, caller.home)}


def _doors(caller: Caller, known: Known) -> Iterator[Door]:
    upstreams = {one.name: one for one in caller.view.outward.upstreams}
    listening = {(one.bind, one.port): one for one in caller.view.outward.listeners}
    for egress in caller.shape.egress:
        listener = listening.get((egress.bind or DEFAULT_BIND, egress.port or 0))
        if egress.sole is None or listener is None:
            continue
        service = _led_to(listener, upstreams, known)
        names = (*names_of(service, service.namespace), service.origin.name) if service else (egress.imports[0].host,)
        yield Door(listener, _described(egress.sole), frozenset({egress.sole.name.lower(), *names}))


def _described(sole: Sole) -> str:
    labels = ",".join(f"{key}={value}" for key, value in sole.subset)
    return f"{sole.name} with {labels}" if labels else sole.name


def _led_to(listener: Outbound, upstreams: Mapping[str, Upstream], known: Known) -> Service | None:
    cluster = listener.hosts[0].cluster if isinstance(listener, HttpOutbound) else listener.cluster
    return None if cluster == NOWHERE else service_of(upstreams[cluster], known)[0]
