"""Which workload a source means: its name, a beginning of it, the group or service it is a member of, or its task.

Refuses (OUT901) what means none, or several that are not members of one group or service.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from outrig.errors import did_you_mean
from outrig.model import WorkloadId
from outrig.why.question import BadQuestion

_SHOWN: Final = 5  # how many names a refusal lists


@dataclass(frozen=True, slots=True)
class Candidate:
    """A workload that may be meant. `member_of`: the names of its group and services; `task`: its ECS task's id."""

    id: WorkloadId
    ready: bool = True
    member_of: frozenset[str] = frozenset()
    task: str = ""

    @property
    def namespace(self) -> str:
        """Its namespace; that of a Dataplane is `kuma-<mesh>`."""
        return f"kuma-{self.mesh}" if self.mesh else self.id.partition("/")[0]

    @property
    def mesh(self) -> str:
        """The mesh of a Dataplane, which people write where others have a namespace; empty for what is none."""
        _, *rest = self.id.split("/")
        return rest[0] if len(rest) > 1 else ""

    @property
    def shown(self) -> str:
        """As people write it: `namespace/name`, or `mesh/name`."""
        return self.id.removeprefix(_DATAPLANE)

    @property
    def name(self) -> str:
        """The name of its WorkloadEntry or Dataplane."""
        return self.id.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Chosen:
    """The workload that is meant; `among`: how many the source names, all of them as good as this one."""

    id: WorkloadId
    among: int = 1


def choose(source: str, candidates: Iterable[Candidate], *, namespace: str = "") -> Chosen:
    """The workload that a source names. Without a namespace, in it or given, all are searched. Raises BadQuestion."""
    before, slash, after = source.removeprefix(_DATAPLANE).partition("/")
    wanted, name = (before, after) if slash else (namespace, source)
    everywhere = list(candidates)
    here = sorted(
        (one for one in everywhere if not wanted or wanted in (one.namespace, one.mesh)), key=lambda one: one.id
    )
    if not name:
        raise BadQuestion(f"source {source!r}", "names no workload", _FORMS)
    if wanted and not here:
        others = did_you_mean(wanted, {one.mesh or one.namespace for one in everywhere})
        raise BadQuestion(f"namespace or mesh {wanted[:80]!r}", "has no workload now", others)
    exact = [one for one in here if name in (one.name, one.task)]
    members = [one for one in here if name in one.member_of]
    beginning = [one for one in here if one.name.startswith(name) or one.task.startswith(name)]
    if len(exact) == 1:
        return Chosen(exact[0].id)
    if members and len({one.namespace for one in members}) == 1:
        return Chosen(min(members, key=lambda one: not one.ready).id, len(members))
    return _only(exact or members or beginning, source, here)


_DATAPLANE: Final = "dataplane/"  # as the ids of Dataplanes begin
_FORMS: Final = (
    "give a Dataplane (mesh/name or a beginning) or its service, a WorkloadEntry (namespace/name or a beginning), a "
    "WorkloadGroup, a Service or a task id"
)


def _only(found: Sequence[Candidate], source: str, here: Sequence[Candidate]) -> Chosen:
    place = f"source {source[:80]!r}"
    if len(found) == 1:
        return Chosen(found[0].id)
    if found:
        listed = ", ".join(one.shown for one in found[:_SHOWN])
        raise BadQuestion(place, f"could be {len(found)} workloads: {listed}{', …' * (len(found) > _SHOWN)}", _FORMS)
    known = {name for one in here for name in one.member_of or (one.shown,)}
    guess = did_you_mean(source.rpartition("/")[2], known) if known else "no workload is known"
    raise BadQuestion(place, "names no workload that is here now", guess)
