"""The fifth step: who is behind the service, as callers are told, and why the others are not."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from outrig.model import Address, Health, Import, Service, ServicePort, Workload
from outrig.view import Endpoint, Upstream, assignment_of, called
from outrig.view.binds import spoken
from outrig.why.caller import Caller
from outrig.why.explanation import Ending, Part, Step, Verdict
from outrig.why.knowledge import Known
from outrig.why.nobody import why_nobody
from outrig.why.stages import Ended, Passed, Stage

SHOWN: Final = 10  # how many endpoints, and how many that are none, are listed


@dataclass(frozen=True, slots=True)
class Target:
    """An endpoint, and the workload it is of."""

    endpoint: Endpoint
    workload: Workload

    @property
    def text(self) -> str:
        """Its address and port, or its socket."""
        return spoken(Address(self.endpoint.address, self.endpoint.port))


@dataclass(frozen=True, slots=True)
class Behind:
    """What is behind a cluster. `chosen`: the targets that new calls go to."""

    upstream: Upstream
    chosen: tuple[Target, ...]


def look_at_endpoints(upstream: Upstream, caller: Caller, known: Known) -> Stage[Behind]:
    """The endpoints that the caller's proxy is told, or looks up. Without any the call gets 503."""
    service, port = service_of(upstream, known)
    workloads = sorted(called(upstream.destination, service, known.mesh), key=lambda one: one.id)
    gather = _Gathering(upstream, port, caller.workload.zone if upstream.destination.near else "", known)
    targets = gather.targets(workloads)
    missing = list(gather.missing(workloads))
    if not targets:
        subset = upstream.destination.subset
        says, notes, do = why_nobody(service, port, missing, subset=subset, known=known)
        step = Step(Part.ENDPOINTS, Verdict.STOPS, says, upstream.name, str(service.origin), notes, do)
        return Ended(step, Ending.NO_ENDPOINT)
    listed = (*_first(_line(one, known) for one in targets), *_first(missing))
    return Passed(_step(upstream, service, targets, notes=listed), Behind(upstream, _chosen(targets)))


def service_of(upstream: Upstream, known: Known) -> tuple[Service, ServicePort]:
    """The service and its port that a destination is made of."""
    destination = upstream.destination
    named = known.mesh.services_for(Import("*", destination.host))
    service = next(one for one in named if (one.origin, one.host) == (destination.service, destination.host))
    return service, next(port for port in service.ports if port.number == destination.port)


@dataclass(frozen=True, slots=True)
class _Gathering:
    """Asks what callers in a zone are told of a service port."""

    upstream: Upstream
    port: ServicePort
    near: str
    known: Known

    def told(self, workloads: Iterable[Workload]) -> tuple[Endpoint, ...]:
        """The endpoints of these workloads."""
        mesh, name = self.known.mesh, self.upstream.name
        return assignment_of(name, self.port, workloads=workloads, mesh=mesh, near=self.near).endpoints

    def targets(self, workloads: Sequence[Workload]) -> tuple[Target, ...]:
        """The endpoints, each with its workload."""
        owners = {replace(one, priority=0): workload for workload in workloads for one in self.told([workload])}
        return tuple(Target(one, owners[replace(one, priority=0)]) for one in self.told(workloads))

    def missing(self, workloads: Iterable[Workload]) -> Iterator[str]:
        """Those of which callers are told nothing, and why."""
        for workload in workloads:
            name = self.known.name(workload)
            if workload.health is Health.UNREADY:
                observed = self.known.observation(workload).ready
                yield f"{name} ({workload.address}) is not ready: {observed or 'its agent has said nothing yet'}"
            elif not self.told([workload]):
                lacks = f"no port named {self.port.target!r}" if workload.address else "no address"
                yield f"{name} ({workload.address}) has {lacks}"


def _step(upstream: Upstream, service: Service, targets: Sequence[Target], *, notes: tuple[str, ...]) -> Step:
    origin, count = str(service.origin), f"{len(targets)} endpoint{'s' * (len(targets) > 1)}"
    ready = sum(not one.endpoint.draining for one in targets)
    if upstream.lookup is not None:
        says = f"{count}, which the caller's proxy looks up itself; whether it finds any is not known here"
        return Step(Part.ENDPOINTS, Verdict.DOUBTFUL, says, upstream.name, origin, notes)
    if not ready:
        do = "wait for the tasks that replace them; until then these still serve"
        return Step(Part.ENDPOINTS, Verdict.DOUBTFUL, f"{count}, all draining", upstream.name, origin, notes, do)
    says = count if ready == len(targets) else f"{count}, {ready} of them ready"
    return Step(Part.ENDPOINTS, Verdict.OK, says, upstream.name, origin, notes)


def _chosen(targets: Sequence[Target]) -> tuple[Target, ...]:
    """The ready ones of the lowest priority that has any; while all drain, all."""
    ready = [one for one in targets if not one.endpoint.draining]
    lowest = min((one.endpoint.priority for one in ready), default=0)
    return tuple(one for one in ready if one.endpoint.priority == lowest) or tuple(targets)


def _line(target: Target, known: Known) -> str:
    endpoint = target.endpoint
    state = "draining" if endpoint.draining else "ready"
    how = "plaintext" if endpoint.plain else "mTLS"
    later = f", only if none is left with priority {endpoint.priority - 1}" if endpoint.priority else ""
    zone = endpoint.locality.partition("/")[2] or endpoint.locality
    described = ", ".join(filter(None, (state, how, zone)))
    return f"{target.text} {described}: {known.name(target.workload)}{later}"


def _first(lines: Iterable[str]) -> list[str]:
    every = list(lines)
    return every if len(every) <= SHOWN else [*every[:SHOWN], f"… and {len(every) - SHOWN} more"]
