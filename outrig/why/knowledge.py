"""What is known when a question is asked: the mesh as proxies are told it, and what was observed of workloads."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from outrig.model import Surroundings, Workload, WorkloadId
from outrig.snapshot import TypeUrl

_SHORT: Final = 8  # of a task's id: enough to tell tasks apart, and to name them to other commands
NOT_CALLED: Final = "NotReady"
"""The reason of a `ready` that is false because the author of the workload wants no calls there."""


@dataclass(frozen=True, slots=True)
class Observation:
    """A condition of a resource: whether it is so (None: unknown), the reason in a word, what was said about it."""

    true: bool | None
    reason: str = ""
    message: str = ""

    def __str__(self) -> str:
        """`Unhealthy: connection refused`."""
        return f"{self.reason}: {self.message}" if self.message else self.reason


@dataclass(frozen=True, slots=True)
class Refusal:
    """A resource that a proxy does not take, and what it says."""

    type_url: TypeUrl
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Observed:
    """What was observed of one workload; None where nobody reported.

    `ready`: whether it takes calls; `agent`: whether its agent is connected; `programmed`: whether its proxy has taken
    its configuration, and `refused` what it has not. `group`, `task`: the WorkloadGroup and ECS task it is of.
    """

    ready: Observation | None = None
    agent: Observation | None = None
    programmed: Observation | None = None
    refused: tuple[Refusal, ...] = ()
    group: str = ""
    task: str = ""

    def refusal(self, type_url: TypeUrl, name: str) -> Refusal | None:
        """What the proxy says against a resource, if it refuses it."""
        return next((one for one in self.refused if (one.type_url, one.name) == (type_url, name)), None)


@dataclass(frozen=True, slots=True)
class Known:
    """All that is known. `workloads`: those of the mesh; one without an observation was made by a user."""

    mesh: Surroundings
    workloads: Mapping[WorkloadId, Workload]
    observed: Mapping[WorkloadId, Observed] = field(default_factory=dict)

    def observation(self, workload: Workload) -> Observed:
        """What was observed of a workload."""
        return self.observed.get(workload.id, Observed())

    def name(self, workload: Workload) -> str:
        """How to speak of a workload: names of registrations are too long for it."""
        observed = self.observation(workload)
        if not (observed.group and observed.task):
            return str(workload.origin) if workload.id.count("/") > 1 else workload.id  # an inbound is not told apart
        return f"{workload.namespace}/{observed.group} task {observed.task[:_SHORT]}"

    def whole(self, workload: Workload) -> Workload:
        """The workload whose proxy receives for this one: itself, unless it is a part of another."""
        return self.workloads.get(workload.whole, workload)

    def at(self, address: str) -> Workload | None:
        """The workload that has an address: one with a proxy before one without."""
        there = [workload for workload in self.workloads.values() if workload.address == address]
        return min(there, key=lambda workload: (not workload.proxied, workload.id), default=None)
