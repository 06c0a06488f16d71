"""Why a call would be answered, or what would stop it: `explain`.

In: a question (a workload, a call) and what is known: the mesh as proxies are told it, and what was observed of
workloads. Out: an `Explanation`, frozen. It asks the very functions that make the configuration (`view`, `envoy`) and
has no rules of its own but for what Envoy does with a Host (`hosts`). It raises on nothing but a bad question.
"""

from outrig.why.explain import explain
from outrig.why.explanation import Ending, Explanation, Part, Step, Verdict
from outrig.why.knowledge import NOT_CALLED, Known, Observation, Observed, Refusal
from outrig.why.question import Asked, BadQuestion, Call, Question, parse_call, parse_via
from outrig.why.source import Candidate, choose

__all__ = [
    "NOT_CALLED",
    "Asked",
    "BadQuestion",
    "Candidate",
    "Call",
    "Ending",
    "Explanation",
    "Known",
    "Observation",
    "Observed",
    "Part",
    "Question",
    "Refusal",
    "Step",
    "Verdict",
    "choose",
    "explain",
    "parse_call",
    "parse_via",
]
