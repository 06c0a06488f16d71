"""Answers questions about calls (`outrig.why`) from what this control plane has at the moment.

In: a question as it was typed. Out: an explanation. The mesh is the one whose state the proxies were last given; what
is known of each workload is what its entry's status says, and what its proxy refuses.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from typing import Final, Protocol

from outrig.compile import MeshIndex
from outrig.control.proxies import ENTRIES, REGISTRATION, entry_of, is_dataplane, kind_of, proxy_of, registration_of
from outrig.dialects.conditions import AGENT_CONNECTED, PROGRAMMED, READY, condition_of
from outrig.dialects.istio.registered_entry import GROUP_ANNOTATION
from outrig.dialects.istio.workload_entry import is_registered
from outrig.dialects.kuma.dataplane import fails_probe, health_of_inbound, networking_of
from outrig.dialects.onboarding.registration import task_arn_of
from outrig.model import Health, Import, WorkloadId
from outrig.resources import Key, Resource
from outrig.snapshot import ProxyId
from outrig.store.protocol import Query, Store
from outrig.why import (
    NOT_CALLED,
    Asked,
    BadQuestion,
    Candidate,
    Explanation,
    Known,
    Observation,
    Observed,
    Question,
    Refusal,
    choose,
    explain,
    parse_call,
    parse_via,
)
from outrig.xds.subscription import Rejection

_ASKED_FOR: Final = Query(kinds=(*ENTRIES, REGISTRATION))
Refusals = Callable[[ProxyId], tuple[Rejection, ...]]


class World(Protocol):
    """The meshes, as their proxies are given them."""

    def mesh_of(self, origin: Key) -> MeshIndex:
        """The mesh that a resource belongs to."""
        ...


class Witness:
    """`refusals`: what a proxy refuses now."""

    def __init__(self, store: Store, world: World, refusals: Refusals) -> None:
        self._store, self._world, self._refusals = store, world, refusals

    async def explain(self, asked: Asked) -> Explanation:
        """What would become of the call. Raises BadQuestion, Unavailable."""
        call, via = parse_call(asked.target), parse_via(asked.via)
        found = _Observations((await self._store.list(_ASKED_FOR)).items, self._refusals)
        name = asked.source.rpartition("/")[2]
        candidates = found.candidates(name, self._behind(name, found))
        chosen = choose(asked.source, candidates, namespace=asked.namespace)
        mesh = self._world.mesh_of(entry_of(registration_of(ProxyId(chosen.id))))
        if chosen.id not in mesh.workloads:
            hint = "an entry needs an IP address; one that was made just now takes a moment"
            raise BadQuestion(f"source {asked.source!r}", f"{chosen.id} is no member of the mesh", hint)
        known = Known(mesh, mesh.workloads, found)
        return explain(Question(mesh.workloads[chosen.id], call, via, chosen.among), known)

    def _behind(self, name: str, of: Iterable[WorkloadId]) -> set[WorkloadId]:
        """The workloads behind the services of a name, in the namespaces that have workloads."""
        found: set[WorkloadId] = set()
        for entry in {replace(entry_of(registration_of(ProxyId(id_))), name="") for id_ in of}:
            mesh, namespace = self._world.mesh_of(entry), entry.namespace or f"kuma-{entry.mesh}"
            for service in mesh.services_for(Import(namespace, "*")):
                if service.origin.name == name:
                    found |= {workload.whole for workload in mesh.workloads_of(service)}
        return found


class _Observations(Mapping[WorkloadId, Observed]):
    """What entries, registrations and proxies say of workloads; read only where somebody looks."""

    def __init__(self, items: Sequence[Resource], refusals: Refusals) -> None:
        self._entries = {_id(one): one for one in items if kind_of(one.key) in ENTRIES}
        self._registrations = {_id(one): one for one in items if kind_of(one.key) == REGISTRATION}
        self._refusals = refusals

    def __getitem__(self, id_: WorkloadId) -> Observed:
        if id_.count("/") > 2:  # an inbound of a Dataplane
            return self._inbound(id_)
        entry = self._entries[id_]
        if not (is_dataplane(entry.key) or is_registered(entry)):
            return Observed()
        ready, agent, programmed = (_observation(entry, one) for one in (READY, AGENT_CONNECTED, PROGRAMMED))
        refused = tuple(Refusal(one.type_url, one.name, one.reason) for one in self._refusals(ProxyId(id_)))
        return Observed(ready, agent, programmed, refused, _group(entry), self._task(id_))

    def _inbound(self, id_: WorkloadId) -> Observed:
        whole, _, port = id_.rpartition("/")
        observed, dataplane = self[WorkloadId(whole)], self._entries[WorkloadId(whole)]
        inbound = next((one for one in networking_of(dataplane).inbound if one.port == int(port)), None)
        if inbound is None or (observed.ready is not None and not observed.ready.true):
            return observed
        if fails_probe(dataplane, inbound):
            return replace(observed, ready=Observation(False, "Unhealthy", f"the serviceProbe of port {port} fails"))
        if health_of_inbound(dataplane, inbound) is Health.UNREADY:
            return replace(
                observed, ready=Observation(False, NOT_CALLED, f"that is the state of inbound {port} in its Dataplane")
            )
        return observed

    def __iter__(self) -> Iterator[WorkloadId]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def candidates(self, name: str, behind: Set[WorkloadId]) -> Iterator[Candidate]:
        """All workloads, as a name could mean them; `behind`: those behind services of that name."""
        for id_, entry in self._entries.items():
            names = frozenset({_group(entry), name if id_ in behind else ""} - {""})
            ready = _observation(entry, READY) if name in names else None
            yield Candidate(id_, ready is not None and ready.true is True, names, self._task(id_))

    def _task(self, id_: WorkloadId) -> str:
        """The id of the workload's ECS task; empty without one."""
        registration = self._registrations.get(id_)
        return task_arn_of(registration).rpartition("/")[2] if registration else ""


def _group(entry: Resource) -> str:
    return entry.annotations.get(GROUP_ANNOTATION, "")


def _observation(entry: Resource, type_: str) -> Observation | None:
    condition = condition_of(entry.status, type_)
    return Observation(condition.status, condition.reason, condition.message) if condition else None


def _id(resource: Resource) -> WorkloadId:
    return WorkloadId(proxy_of(resource.key))
