"""The second step: the address that the application connects to, and which listener of its proxy is there."""

from collections.abc import Sequence

from outrig.model import Address
from outrig.snapshot import LISTENER
from outrig.view import HttpOutbound, Outbound
from outrig.view.binds import WILDCARDS, spoken
from outrig.why.absence import why_not_on_port
from outrig.why.bypass import past_the_proxy
from outrig.why.caller import Caller
from outrig.why.explanation import Ending, Part, Step, Verdict
from outrig.why.knowledge import Known
from outrig.why.outbounds import door_at
from outrig.why.question import Call, Question, Scheme
from outrig.why.routing import leads_to
from outrig.why.stages import Ended, Passed, Stage

_BY_NAME = "give its URL, http://HOST:PORT, or give the service an egress with protocol TCP"
_PLAIN_URL = "call it by http://; the proxies encrypt what is between them"


def look_at_listener(question: Question, caller: Caller, known: Known) -> Stage[Outbound]:
    """The listener that takes the call. Without one the connection is refused, or goes past the proxy."""
    call, address = question.call, question.via or question.call.address
    there = _listeners(question, caller, known)
    if not there and address is not None:
        return past_the_proxy(address, call, caller, known=known)
    if not there:
        return _nothing_listens(call, caller, known)
    chosen = _preferred(there, call, caller, known)
    if refused := caller.observed.refusal(LISTENER, chosen.listener):
        return _refused(chosen, caller, refused.reason)
    return _misread(chosen, call, caller) or Passed(_taken(chosen, there, question, caller, known=known), chosen)


def _listeners(question: Question, caller: Caller, known: Known) -> list[Outbound]:
    """Those on the address that is connected to; if only a name is known, those on its port, or that are proxies."""
    listeners, address = caller.view.outward.listeners, question.via or question.call.address
    if address is not None:
        hosts = {address.host} | (WILDCARDS if address.port else set())
        return [one for one in listeners if one.port == address.port and one.bind in hosts]
    on_port = [one for one in listeners if one.port == question.call.port and not _any_port(one)]
    return on_port or [one for one in listeners if _any_port(one) and leads_to(question.call, one, caller, known)]


def _any_port(listener: Outbound) -> bool:
    """Whether it takes calls to all ports: an application connects to it knowingly, as to an HTTP proxy."""
    return isinstance(listener, HttpOutbound) and listener.any_port


def _preferred(there: Sequence[Outbound], call: Call, caller: Caller, known: Known) -> Outbound:
    """Of several the first one that leads where the call wants to go."""
    return next((one for one in there if leads_to(call, one, caller, known)), there[0])


def _nothing_listens(call: Call, caller: Caller, known: Known) -> Ended:
    absence = why_not_on_port(call, caller, known)
    says = f"nothing of the proxy listens on port {call.port}"
    step = Step(Part.LISTENER, Verdict.STOPS, says, "", caller.sidecar, absence.notes, absence.do)
    return Ended(step, Ending.REFUSED)


def _refused(chosen: Outbound, caller: Caller, reason: str) -> Stage[Outbound]:
    """A listener that cannot bind is not there; of one refused for another reason an older form may serve."""
    verdict = Verdict.STOPS if "cannot bind" in reason else Verdict.DOUBTFUL
    says = f"{chosen.listener} was refused by the proxy"
    do = "free that address, or give the egress another bind" if verdict is Verdict.STOPS else "report this"
    step = Step(Part.LISTENER, verdict, says, chosen.listener, caller.sidecar, (reason,), do)
    return Ended(step, Ending.REFUSED) if verdict is Verdict.STOPS else Passed(step, chosen)


def _misread(chosen: Outbound, call: Call, caller: Caller) -> Ended | None:
    """Whether the listener understands what the application speaks."""
    if not isinstance(chosen, HttpOutbound) or call.scheme in (Scheme.HTTP, Scheme.ANY):
        return None
    if call.scheme is Scheme.HTTPS:
        says, do = f"{chosen.listener} takes plain HTTP, not TLS: it could not route what it cannot read", _PLAIN_URL
    else:
        says, do = f"{chosen.listener} takes HTTP requests, not bytes", _BY_NAME
    step = Step(Part.LISTENER, Verdict.STOPS, says, chosen.listener, caller.sidecar, (), do)
    return Ended(step, Ending.NOT_HTTP)


def _what(chosen: Outbound, caller: Caller, known: Known) -> str:
    requests = isinstance(chosen, HttpOutbound)
    if door := door_at(chosen, caller, known):
        return f"{'requests' if requests else 'connections'}, all for {door.service}"
    return "requests, and routes them by Host" if requests else "connections"


def _taken(chosen: Outbound, there: Sequence[Outbound], question: Question, caller: Caller, *, known: Known) -> Step:
    says = f"{chosen.listener} takes {_what(chosen, caller, known)}"
    if question.via is not None or question.call.address is not None:
        return Step(Part.LISTENER, Verdict.OK, says, chosen.listener, caller.sidecar)
    at = spoken(Address(chosen.bind, chosen.port))
    if _any_port(chosen):
        note, do = f"nothing else listens on port {question.call.port}", f"--via {at} says that the application does so"
        says = f"{says}, if the application connects to {at}"
        return Step(Part.LISTENER, Verdict.DOUBTFUL, says, chosen.listener, caller.sidecar, (note,), do)
    notes = [f"{question.call.host} must lead to {chosen.bind} where the application runs"]
    if len(there) > 1:
        names = ", ".join(one.listener for one in there)
        notes.append(f"{len(there)} listeners have port {chosen.port}: {names}; --via ADDRESS:PORT says which is meant")
    return Step(Part.LISTENER, Verdict.OK, says, chosen.listener, caller.sidecar, tuple(notes))
