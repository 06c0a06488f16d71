"""What a proxy calls: one port of one service, by the name that its cluster and its load assignment have."""

from dataclasses import dataclass
from enum import StrEnum

from outrig.model import Labels
from outrig.resources import Key


class Hop(StrEnum):
    """How a listener treats a service port: as what it is, or, if the user said so, as something else."""

    AS_IS = ""
    AS_REQUESTS = "http"
    AS_BYTES = "tcp"


@dataclass(frozen=True, slots=True, order=True)
class Destination:
    """One port of one service, as a proxy calls it. Two services may claim the same host.

    `near`: its load assignment depends on the zone of the caller. `subset`: labels of the workloads that are called.
    """

    service: Key
    host: str
    port: int
    hop: Hop = Hop.AS_IS
    near: bool = False
    subset: Labels = ()

    @property
    def name(self) -> str:
        """The name of its cluster and of its load assignment, which delta xDS wants to be the same."""
        labels = (f"{key}={value}" for key, value in self.subset)
        return f"outbound|{self.port}|{'&'.join(part for part in (self.hop, *labels) if part)}|{self.host}"
