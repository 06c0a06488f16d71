"""The last step: the application, as its agent reported it."""

from collections.abc import Sequence

from outrig.model import Address
from outrig.view.binds import spoken
from outrig.why.endpoints import SHOWN, Target
from outrig.why.explanation import Part, Step, Verdict
from outrig.why.knowledge import Known
from outrig.why.reception import Reception

_NAMED = 3  # of several that could answer


def look_at_applications(receptions: Sequence[Reception], known: Known) -> Step:
    """Who answers, and what is known of each."""
    names = [_where(one.target, known) for one in receptions]
    more = ", …" if len(names) > _NAMED else ""
    says = names[0] if len(names) == 1 else f"one of {len(names)}: {', '.join(names[:_NAMED])}{more}"
    notes = tuple(_reported(one, known) for one in receptions[:SHOWN])
    inbound = receptions[0].inbound
    verdict = Verdict.OK if all(one.inbound is not None for one in receptions) else Verdict.DOUBTFUL
    origin = str(receptions[0].by.origin)
    return Step(Part.APPLICATION, verdict, says, inbound.cluster if inbound else "", origin, notes)


def _where(target: Target, known: Known) -> str:
    """Its name, and address and port."""
    return f"{known.name(target.workload)} ({target.text})"


def _reported(reception: Reception, known: Known) -> str:
    if reception.inbound is None:
        return f"nobody reports whether {reception.target.text} answers"
    target = reception.inbound.target
    at = spoken(target) if isinstance(target, Address) else target.path
    ready = known.observation(reception.by).ready
    return f"{known.name(reception.by)} has it at {at}, reported {ready or 'by nobody'}"
