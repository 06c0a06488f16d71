"""Calls to an address that no listener for calls has: nothing redirects them, so they go past the proxy."""

import ipaddress

from outrig.envoy.handshake import Opening, chain_taking
from outrig.model import Address, Workload
from outrig.view import Inbound, Traffic
from outrig.view.binds import WILDCARDS, spoken
from outrig.why.caller import Caller
from outrig.why.explanation import Ending, Part, Step, Verdict
from outrig.why.knowledge import Known
from outrig.why.near_miss import Refused, near_misses
from outrig.why.outbounds import directions, doors_of
from outrig.why.permission import Arrival, look_at_permission
from outrig.why.question import Call
from outrig.why.reception import demanded_by, listening_at
from outrig.why.stages import Ended

_PLAINTEXT = Opening((), http2=False)
_BY_NAME = "call its service by name, through the proxy"
_BY_OUTBOUND = "call its service at the address of an outbound, through the proxy"


def past_the_proxy(address: Address, call: Call, caller: Caller, *, known: Known) -> Ended:
    """What becomes of a connection to such an address: it is plaintext, and carries no identity."""
    if address.port == 0:
        return _nothing_there(address, caller, known)
    if found := listening_at(address.host, address.port, known):
        return _to_inbound(call, caller, known, receiver=found[0], inbound=found[1])
    if any(_holds(one.target, address) for one in caller.view.inward.inbound):
        return _application_itself(address, caller)
    if ipaddress.ip_address(address.host).is_loopback:
        return _nothing_there(address, caller, known)
    there = known.at(address.host)
    if there and there.proxied:
        return _no_inbound(address, there, caller, known=known)
    return _not_ours(address, there, caller, known=known)


def _holds(target: object, address: Address) -> bool:
    return isinstance(target, Address) and target.port == address.port and target.host in {address.host} | WILDCARDS


def _application_itself(address: Address, caller: Caller) -> Ended:
    says = f"{spoken(address)} is the application itself: the call never leaves the task"
    return Ended(Step(Part.LISTENER, Verdict.OK, says, resource=caller.sidecar), Ending.ANSWERED)


def _nothing_there(address: Address, caller: Caller, known: Known) -> Ended:
    others = [one.listener for one in caller.view.outward.listeners]
    at = directions(doors_of(caller, known)) or ", ".join(others)
    notes = (f"it listens at {at}" if at else "it listens nowhere for calls",)
    says = f"nothing of the proxy listens at {spoken(address)}"
    do = "connect to that" if len(others) == 1 else "connect to one of these"
    return Ended(
        Step(Part.LISTENER, Verdict.STOPS, says, "", caller.sidecar, notes, do if others else ""), Ending.REFUSED
    )


def _instead(caller: Caller) -> str:
    return _BY_OUTBOUND if caller.speaks_for_itself else _BY_NAME


def _not_ours(address: Address, receiver: Workload | None, caller: Caller, *, known: Known) -> Ended:
    whose = f"that of {known.name(receiver)}, which has no proxy" if receiver else "no workload's of the mesh"
    says = f"{spoken(address)} is {whose}: the call goes past the proxy, and what it meets is not known here"
    return Ended(Step(Part.LISTENER, Verdict.DOUBTFUL, says, do=_instead(caller)), Ending.NOT_KNOWN)


def _no_inbound(address: Address, receiver: Workload, caller: Caller, *, known: Known) -> Ended:
    whose = f"{spoken(address)} is that of {known.name(receiver)}"
    says = f"{whose}, whose proxy does not listen there: the call goes past the mesh"
    return Ended(
        Step(Part.LISTENER, Verdict.DOUBTFUL, says, "", str(receiver.origin), do=_instead(caller)), Ending.NOT_KNOWN
    )


def _to_inbound(call: Call, caller: Caller, known: Known, *, receiver: Workload, inbound: Inbound) -> Ended:
    """A program that connects to a receiving proxy directly, in plaintext."""
    says = f"{inbound.listener} of {known.name(receiver)} is called past the own proxy, in plaintext"
    demand = demanded_by(receiver, inbound.port, known)
    mesh = known.mesh
    chain = chain_taking(_PLAINTEXT, mesh.name, mesh.domain, inbound=inbound)
    if chain is None:
        step = Step(
            Part.LISTENER, Verdict.STOPS, says, inbound.listener, demand.resource, (demand.says,), _instead(caller)
        )
        return Ended(step, Ending.CUT)
    traffic = Traffic.REQUESTS if chain.requests else Traffic.BYTES
    arrival = Arrival((), caller.workload.host, traffic, call)
    permission = look_at_permission(arrival, receiver, inbound, known)
    near = near_misses(Refused(arrival, receiver, inbound.port), known) if permission.unallowed else ()
    notes = (demand.says, *([permission.says] if permission.says else []), *near)
    resource = permission.resource or demand.resource
    if permission.verdict is Verdict.STOPS:
        step = Step(Part.LISTENER, Verdict.STOPS, says, inbound.listener, resource, notes, _instead(caller))
        return Ended(step, Ending.FORBIDDEN if chain.requests else Ending.CUT)
    step = Step(Part.LISTENER, Verdict.DOUBTFUL, says, inbound.listener, resource, notes, _instead(caller))
    return Ended(step, Ending.ANSWERED)
