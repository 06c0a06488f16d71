"""The sixth step: the proxies of the other side, as far as new calls go to them."""

from collections.abc import Iterator, Sequence

from outrig.why.caller import Caller
from outrig.why.endpoints import SHOWN, Behind
from outrig.why.explanation import Part, Step, Verdict
from outrig.why.knowledge import Known
from outrig.why.near_miss import near_misses
from outrig.why.question import Call
from outrig.why.reception import Reception, Talk
from outrig.why.stages import Ended, Passed, Stage


def look_at_receivers(behind: Behind, call: Call, caller: Caller, *, known: Known) -> Stage[tuple[Reception, ...]]:
    """How the endpoints that would be chosen receive the call. It ends if none of them takes it."""
    talk = Talk(caller.workload, call, behind.upstream, known)
    receptions = tuple(talk.receive(target) for target in behind.chosen)
    taking = tuple(one for one in receptions if one.verdict is not Verdict.STOPS)
    worst = min(receptions, key=lambda one: _WORST_FIRST.index(one.verdict))
    verdict = worst.verdict if len(taking) in (0, len(receptions)) else Verdict.DOUBTFUL
    near = near_misses(worst.refused, known) if worst.refused else ()
    envoy, notes = worst.inbound.listener if worst.inbound else "", (*worst.notes, *near, *_others(worst, receptions))
    step = Step(Part.RECEIVER, verdict, worst.says, envoy, worst.resource, notes, worst.do)
    return Passed(step, taking) if taking else Ended(step, worst.ending)


_WORST_FIRST = (Verdict.STOPS, Verdict.DOUBTFUL, Verdict.OK)


def _others(told: Reception, receptions: Sequence[Reception]) -> Iterator[str]:
    """Those that are not told of: how many do the same, and what the rest do."""
    others = [one for one in receptions if one is not told]
    different = [one for one in others if one.verdict is not told.verdict]
    if alike := len(others) - len(different):
        yield f"and {alike} more like it"
    yield from (f"{one.verdict}: {one.says}" for one in different[:SHOWN])
    if len(different) > SHOWN:
        yield f"… and {len(different) - SHOWN} more"
