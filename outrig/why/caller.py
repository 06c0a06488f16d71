"""The first step: the workload that calls, its proxy, and the Sidecar that shapes it."""

from collections.abc import Iterator
from dataclasses import dataclass

from outrig.errors import Finding
from outrig.model import Policy, ProxyShape, Workload
from outrig.view import ProxyView, view_of
from outrig.why.explanation import Ending, Part, Step, Verdict
from outrig.why.knowledge import Known, Observed
from outrig.why.question import Question
from outrig.why.stages import Ended, Passed, Stage


@dataclass(frozen=True, slots=True)
class Caller:
    """A workload that can call, and what its proxy is to do."""

    workload: Workload
    view: ProxyView
    followed: Policy[ProxyShape]
    observed: Observed

    @property
    def home(self) -> str:
        """Its namespace."""
        return self.workload.namespace

    @property
    def shape(self) -> ProxyShape:
        """Its listeners as the user wrote them."""
        return self.followed.settings

    @property
    def speaks_for_itself(self) -> bool:
        """Whether it says itself where its proxy listens, as a Dataplane does."""
        return self.followed.origin == self.workload.origin

    @property
    def sidecar(self) -> str:
        """The resource that shapes its proxy."""
        return str(self.followed.origin)


def look_at_caller(question: Question, known: Known) -> Stage[Caller]:
    """Whether a proxy of ours takes the workload's calls, and by which Sidecar."""
    workload = question.source
    name, observed = f"{known.name(workload)} ({workload.address})", known.observation(workload)
    if not workload.proxied:
        return _stops(workload, f"{name} has no proxy of ours: where its calls go is not known here", _JOIN)
    view = view_of(workload, known.mesh)
    if view.inward.shape is None:
        return _stops_by_finding(workload, name, view.inward.findings[0])
    caller = Caller(workload, view, view.inward.shape, observed)
    doubt, do = _doubt(caller)
    verdict = Verdict.DOUBTFUL if doubt else Verdict.OK
    notes = (*_choice(question, known), *_state(observed), _chosen_by(caller.followed, workload), *doubt)
    return Passed(Step(Part.CALLER, verdict, name, workload.id, str(workload.origin), notes, do), caller)


_JOIN = "a workload gets a proxy by joining: `outrig agent` beside it, and an OnboardingPolicy that lets it in"
_START = "start one beside its application: `outrig dp run`"
_AGENT = "see the task's log; its proxy keeps what it was last given"


def _stops(workload: Workload, says: str, do: str) -> Ended:
    step = Step(Part.CALLER, Verdict.STOPS, says, workload.id, str(workload.origin), do=do)
    return Ended(step, Ending.NOT_KNOWN)


def _stops_by_finding(workload: Workload, name: str, finding: Finding) -> Ended:
    says = f"{name}: {finding.problem}"
    step = Step(Part.CALLER, Verdict.STOPS, says, workload.id, str(finding.origin), do=finding.hint)
    return Ended(step, Ending.REFUSED)


def _chosen_by(shape: Policy[ProxyShape], workload: Workload) -> str:
    selector = shape.applies_to
    if shape.origin == workload.origin:
        return f"{shape.origin} itself says where its proxy listens"
    if selector.labels:
        labels = ",".join(f"{key}={value}" for key, value in selector.labels)
        return f"{shape.origin} shapes its proxy: it chooses {labels}"
    if selector.namespace is None:
        return f"{shape.origin} shapes its proxy: the default of the whole mesh, as {workload.namespace} has none"
    return f"{shape.origin} shapes its proxy: the default of namespace {selector.namespace}"


def _choice(question: Question, known: Known) -> Iterator[str]:
    if known.name(question.source) not in (question.source.id, str(question.source.origin)):
        yield question.source.id
    if question.among > 1:
        yield f"one of {question.among} that are meant"


def _state(observed: Observed) -> Iterator[str]:
    if not _against(observed) and observed.agent is not None:
        yield "its agent is connected, its proxy has taken what it was given"
    if observed.ready is not None and not observed.ready.true:
        yield f"not ready itself ({observed.ready}), which does not keep it from calling"


def _doubt(caller: Caller) -> tuple[tuple[str, ...], str]:
    """What may keep its proxy from doing what is said below, and what to do about it."""
    if caller.speaks_for_itself and caller.observed.agent is None:
        return ("no agent has joined as it yet, as far as is known here",), _START
    against = _against(caller.observed)
    return against, _AGENT if against else ""


def _against(observed: Observed) -> tuple[str, ...]:
    refused = tuple(f"its proxy refuses {one.name}: {one.reason}" for one in observed.refused)
    if observed.agent is not None and not observed.agent.true:
        return (f"its agent is away ({observed.agent})", *refused)
    if observed.programmed is not None and not observed.programmed.true and not refused:
        return (f"its proxy does not have all it was given ({observed.programmed})",)
    return refused
