"""The steps of a call, in order, until one stops it."""

from outrig.view import HttpOutbound, Outbound
from outrig.view.binds import spoken
from outrig.why.application import look_at_applications
from outrig.why.caller import look_at_caller
from outrig.why.endpoints import look_at_endpoints
from outrig.why.explanation import Ending, Explanation, Part, Step, Verdict
from outrig.why.knowledge import Known
from outrig.why.listening import look_at_listener
from outrig.why.question import Question
from outrig.why.receiver import look_at_receivers
from outrig.why.routing import look_at_cluster, look_at_route
from outrig.why.stages import Ended


def explain(question: Question, known: Known) -> Explanation:
    """What would become of the call, as far as the control plane can know."""
    steps: list[Step] = []
    ending = _follow(question, known, steps)
    via = f" via {spoken(question.via)}" if question.via else ""
    target, caller = f"{question.call}{via}", known.name(question.source)
    return Explanation(question.source.id, caller, target, tuple(steps), ending, _summary(steps, ending))


def _follow(question: Question, known: Known, steps: list[Step]) -> Ending:
    """Take the steps; gives how the call ends."""
    caller = look_at_caller(question, known)
    steps.append(caller.step)
    if isinstance(caller, Ended):
        return caller.ending
    listener = look_at_listener(question, caller.found, known)
    steps.append(listener.step)
    if isinstance(listener, Ended):
        return listener.ending
    route = look_at_route(question.call, listener.found, caller.found, known=known)
    steps.append(route.step)
    if isinstance(route, Ended):
        return route.ending
    steps.append(look_at_cluster(route.found, caller.found, known))
    endpoints = look_at_endpoints(route.found, caller.found, known)
    steps.append(endpoints.step)
    if isinstance(endpoints, Ended):
        return _as_seen(endpoints.ending, listener.found)
    receivers = look_at_receivers(endpoints.found, question.call, caller.found, known=known)
    steps.append(receivers.step)
    if isinstance(receivers, Ended):
        return _as_seen(receivers.ending, listener.found)
    steps.append(look_at_applications(receivers.found, known))
    return Ending.ANSWERED


def _as_seen(ending: Ending, listener: Outbound) -> Ending:
    """A caller of bytes sees no status: its connection is accepted, and closed."""
    return ending if isinstance(listener, HttpOutbound) else Ending.CUT


def _summary(steps: list[Step], ending: Ending) -> str:
    number, last = len(steps), steps[-1]
    if ending is Ending.NOT_KNOWN:
        return f"not known from step {number}, {last.part}, on"
    if ending is not Ending.ANSWERED:
        return f"stops at step {number}, {last.part}: {_sees(ending)}"
    doubts = [str(n) for n, step in enumerate(steps, 1) if step.verdict is Verdict.DOUBTFUL]
    but = f", but see step {', '.join(doubts)}" if doubts else ""
    return f"would be answered{' by' if last.part is Part.APPLICATION else ':'} {last.says}{but}"


def _sees(ending: Ending) -> str:
    status, _, flag = ending.partition(" ")
    if flag and status.isdigit():
        return f"the caller gets {status} (response flag {flag})"
    return {
        Ending.REFUSED: "the connection is refused",
        Ending.CUT: "the connection is closed",
        Ending.NOT_HTTP: "the caller gets 400, or an answer it cannot read",
    }.get(ending, f"the caller gets {ending}")
