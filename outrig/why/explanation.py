"""An explanation as data: what would happen to a call, step by step, and how it would end."""

from dataclasses import dataclass
from enum import StrEnum


class Part(StrEnum):
    """What a step is about, in the order in which a call meets them."""

    CALLER = "caller"
    LISTENER = "listener"
    ROUTE = "route"
    CLUSTER = "cluster"
    ENDPOINTS = "endpoints"
    RECEIVER = "receiver"
    APPLICATION = "application"


class Verdict(StrEnum):
    """OK: the call passes. DOUBTFUL: it may fail, or it is not known here. STOPS: it ends here."""

    OK = "ok"
    DOUBTFUL = "doubtful"
    STOPS = "stops"


class Ending(StrEnum):
    """What the calling application sees. The letters are Envoy's response flags, as its access log has them."""

    ANSWERED = "answered"
    REFUSED = "connection refused"
    CUT = "connection closed"
    NOT_HTTP = "400"
    FORBIDDEN = "403"
    NO_HOST = "502"
    NO_ENDPOINT = "503 UH"
    NOT_REACHED = "503 UF"
    BROKEN_OFF = "503 UC"
    GARBLED = "502 UPE"
    NOT_KNOWN = "not known"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a call.

    `says`: what is there, in a sentence. `envoy`: the name Envoy has for it; `resource`: that of the resource that
    decides it. `notes`: more about it, a line each. `do`: what to do about it.
    """

    part: Part
    verdict: Verdict
    says: str
    envoy: str = ""
    resource: str = ""
    notes: tuple[str, ...] = ()
    do: str = ""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What would become of a call: the steps as far as it comes, and how it ends.

    `source` is the workload that calls, `caller` how people speak of it, `target` what it calls.
    """

    source: str
    caller: str
    target: str
    steps: tuple[Step, ...]
    ending: Ending
    summary: str

    @property
    def answered(self) -> bool:
        """Whether the call would be answered by an application."""
        return self.ending is Ending.ANSWERED
