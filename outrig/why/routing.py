"""The third and fourth step: the route by which a listener leads to a cluster, and what is spoken to that cluster."""

from typing import Final

from outrig.snapshot import CLUSTER, ROUTES
from outrig.view import NOWHERE, HttpOutbound, Outbound, TcpOutbound, Upstream
from outrig.why.absence import Absence, behind, why_not_on_listener, why_to_another
from outrig.why.caller import Caller
from outrig.why.endpoints import service_of
from outrig.why.explanation import Ending, Part, Step, Verdict
from outrig.why.hosts import match_domain, names_of, route_of
from outrig.why.knowledge import Known
from outrig.why.outbounds import door_at, likely_names
from outrig.why.question import Call, in_brackets, is_ip
from outrig.why.stages import Ended, Passed, Stage

_NO_SERVICE: Final = "OUT601"


def look_at_route(call: Call, listener: Outbound, caller: Caller, *, known: Known) -> Stage[Upstream]:
    """The cluster that the call is led to; by its Host, where the listener takes requests."""
    if listener.leads_nowhere:
        return _nowhere(listener, caller, known)
    if isinstance(listener, TcpOutbound):
        return _connection(call, listener, caller, known)
    found = route_of(call, listener)
    if found is None and not listener.fallback:
        return _blocked(call, listener, caller, known=known)
    name, cluster = (found.host.name, found.host.cluster) if found else ("allow_any", listener.fallback)
    says = f"{name} takes {found.domain!r}" if found else f"no service here has the host {call.host!r}: it is let out"
    upstream, envoy = _upstream(cluster, caller), f"{listener.routes} / {name}"
    notes = _others_of_that_name(found.domain, caller) if found else ()
    doubt = _doubt_about(call, listener, caller, known)
    verdict, told = Verdict.DOUBTFUL if doubt.notes else Verdict.OK, (*notes, *doubt.notes)
    return Passed(Step(Part.ROUTE, verdict, says, envoy, str(upstream.destination.service), told, doubt.do), upstream)


def _doubt_about(call: Call, listener: HttpOutbound, caller: Caller, known: Known) -> Absence:
    """Why the route may be none of those that the call wants, or the proxy has; without notes: it is."""
    door = door_at(listener, caller, known)
    if door and not door.leads(call.host):
        return why_to_another(call, door, caller, known=known)
    if refused := caller.observed.refusal(ROUTES, listener.routes):
        return Absence((f"the proxy refused its newest routes and keeps older ones: {refused.reason}",), "")
    return Absence((), "")


def _others_of_that_name(domain: str, caller: Caller) -> tuple[str, ...]:
    """Services that claim the name too, and are not reached by it, as the view found."""
    found = (one.problem for one in caller.view.outward.findings)
    return tuple(problem for problem in found if problem.startswith(f"{domain!r} leads to "))


def leads_to(call: Call, listener: Outbound, caller: Caller, known: Known) -> bool:
    """Whether a listener leads to the host that a call names, and no other."""
    if door := door_at(listener, caller, known):
        return door.leads(call.host)
    if isinstance(listener, HttpOutbound):
        return route_of(call, listener) is not None
    service, _ = service_of(_upstream(listener.cluster, caller), known)
    return match_domain(in_brackets(call.host), names_of(service, caller.home)) is not None


def look_at_cluster(upstream: Upstream, caller: Caller, known: Known) -> Step:
    """How the destination is called, and whom the caller accepts there."""
    service, _ = service_of(upstream, known)
    says = f"{upstream.name} is sent {_spoken(upstream)}"
    notes = _accepted(upstream)
    if refused := caller.observed.refusal(CLUSTER, upstream.name):
        notes = (*notes, f"the proxy refused its newest form: {refused.reason}")
        return Step(Part.CLUSTER, Verdict.DOUBTFUL, says, upstream.name, str(service.origin), notes, "report this")
    return Step(Part.CLUSTER, Verdict.OK, says, upstream.name, str(service.origin), notes)


def _connection(call: Call, listener: TcpOutbound, caller: Caller, known: Known) -> Stage[Upstream]:
    upstream = _upstream(listener.cluster, caller)
    host = upstream.destination.host
    says, origin = f"no routes: every connection goes to {host}", str(upstream.destination.service)
    if is_ip(call.host) or leads_to(call, listener, caller, known):
        return Passed(Step(Part.ROUTE, Verdict.OK, says, listener.listener, origin), upstream)
    door = door_at(listener, caller, known)
    other = why_to_another(call, door, caller, known=known) if door else _to_any_name(call)
    return Passed(Step(Part.ROUTE, Verdict.DOUBTFUL, says, listener.listener, origin, other.notes, other.do), upstream)


def _to_any_name(call: Call) -> Absence:
    note = f"which name was called, {call.host!r}, does not matter here"
    return Absence((note,), f"connect to the listener of {call.host}, or give it one of its own")


def _nowhere(listener: Outbound, caller: Caller, known: Known) -> Ended:
    """The listener is for one service, which is not there: the findings of the view say why."""
    egresses = {f"{caller.shape.words[1]}[{position}]": egress for position, egress in behind(listener, caller)}
    finding = next(one for one in caller.view.outward.findings if one.path in egresses)
    ending = Ending.NO_ENDPOINT if isinstance(listener, HttpOutbound) else Ending.CUT
    says = f"{finding.path}: {finding.problem} [{finding.code}]"
    do = likely_names(egresses[finding.path], caller, known) if finding.code == _NO_SERVICE else ""
    notes = (finding.hint,) if do else ()
    return Ended(Step(Part.ROUTE, Verdict.STOPS, says, NOWHERE, caller.sidecar, notes, do or finding.hint), ending)


def _blocked(call: Call, listener: HttpOutbound, caller: Caller, *, known: Known) -> Ended:
    absence = why_not_on_listener(call, listener, caller, known=known)
    says = f"no host of this listener is {call.host!r}, so it answers 502"
    step = Step(
        Part.ROUTE, Verdict.STOPS, says, f"{listener.routes} / block_all", caller.sidecar, absence.notes, absence.do
    )
    return Ended(step, Ending.NO_HOST)


def _upstream(cluster: str, caller: Caller) -> Upstream:
    return next(one for one in caller.view.outward.upstreams if one.name == cluster)


def _spoken(upstream: Upstream) -> str:
    said = upstream.protocol.value.upper() or "which the port does not say"
    return f"{'requests' if upstream.sends_requests else 'bytes'} ({said})"


def _accepted(upstream: Upstream) -> tuple[str, ...]:
    if not upstream.identities:
        return ("nobody behind it has a certificate, so it is called in plaintext",)
    return (f"accepts {', '.join(upstream.identities)}",)
