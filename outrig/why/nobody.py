"""Why nobody is behind a service: nothing is chosen, or nothing that is chosen takes calls."""

from collections.abc import Iterator, Sequence

from outrig.model import Labels, Service, ServicePort, Workload
from outrig.why.knowledge import NOT_CALLED, Known

_LOGS = "see the log of its task; `kubectl describe workloadentry` has its conditions"
_CALLED = "take `state: NotReady` (or `health.ready: false`) out of the inbound"
_DATAPLANE_LOGS = "see the log of its task: does the application listen on servicePort?"
_START = "start a task whose WorkloadGroup has these labels, or correct the selector"
_TAGS = "correct the tags of the outbound, or start a task that has them"
_OFFER = "start a task that offers it"
_PROBE = "; was its probe wrong? correct the WorkloadGroup and `kubectl delete war {}`: who runs keeps the old one"
_BY_PROBE = ("Starting", "Unhealthy")  # the conditions that a probe can be the cause of
_SHOWN = 3  # workloads that come near


def why_nobody(
    service: Service, port: ServicePort, missing: Sequence[str], *, subset: Labels, known: Known
) -> tuple[str, tuple[str, ...], str]:
    """What to say, more about it line by line, and what to do. `missing`: those behind it that take no calls; they are
    those that have the labels of `subset`."""
    if missing:
        says = f"no endpoint: none of the {len(missing)} behind {service.host} takes calls"
        unready = any("is not ready" in line for line in missing)
        named = f"name a port {port.target!r} in the WorkloadGroup, or give a number as targetPort"
        return says, tuple(missing), _about_unready(service, known) if unready else named
    others = list(known.mesh.workloads_of(service)) if subset else []
    if others:
        says = f"no endpoint: none of the {len(others)} behind {service.host} has {_as_text(subset)}"
        return says, tuple(_nearest(subset, others, known)), _TAGS
    if service.selector is None:
        says = f"no endpoint: {service.origin} chooses no workload"
        if service.origin.kind == "Service":
            return says, ("it is headless, or has no selector",), "give it a selector, and no `clusterIP: None`"
        return says, ("it has no endpoints of its own, and no workloadSelector",), "give it either"
    if any(key.startswith("@") for key, _ in service.selector.labels):  # none that people write
        return f"no endpoint: nobody offers {service.host} now", ("it is known from when somebody did",), _OFFER
    wanted = _as_text(service.selector.labels)
    says = f"no endpoint: no workload of namespace {service.selector.namespace} has the labels {wanted}"
    here = [one for one in known.workloads.values() if one.namespace == service.selector.namespace]
    return says, tuple(_nearest(service.selector.labels, here, known)), _START


def _about_unready(service: Service, known: Known) -> str:
    """What to do where those behind a service take no calls; said of all if an author or a Dataplane's probe is why."""
    workloads = list(known.mesh.workloads_of(service))
    reasons = {ready.reason for one in workloads if (ready := known.observation(one).ready)}
    if reasons == {NOT_CALLED}:
        return _CALLED
    if all(one.whole != one.id for one in workloads):  # inbounds of Dataplanes
        return _DATAPLANE_LOGS
    return _LOGS + _wrong_probe(service, known)


def _wrong_probe(service: Service, known: Known) -> str:
    """What to do if it is the probe that fails the task: a registration remembers its group as it was."""
    for workload in known.mesh.workloads_of(service):
        observed = known.observation(workload)
        if observed.group and observed.ready and observed.ready.reason in _BY_PROBE:
            namespace, _, name = workload.id.partition("/")
            return _PROBE.format(f"-n {namespace} {name}")
    return ""


def _nearest(labels: Labels, here: Sequence[Workload], known: Known) -> Iterator[str]:
    """Those that have some of the labels; if there are none, what the labels could be."""
    wanted = set(labels)
    near = sorted(here, key=lambda one: (-len(wanted & set(one.labels)), one.id))
    for one in near[:_SHOWN]:
        if lacking := dict(wanted - set(one.labels)) if wanted & set(one.labels) else {}:
            has = dict(one.labels)
            yield f"nearest: {known.name(one)}, which has {', '.join(_instead(key, has) for key in sorted(lacking))}"
    if here and not any(wanted & set(one.labels) for one in here):
        for key in sorted(dict(wanted)):
            values = sorted({dict(one.labels)[key] for one in here if key in dict(one.labels)})
            yield f"there {key} is {', '.join(values)}" if values else f"nobody there has {key}"


def _instead(key: str, has: dict[str, str]) -> str:
    return f"{key}={has[key]}" if key in has else f"no {key}"


def _as_text(labels: Sequence[tuple[str, str]]) -> str:
    return ",".join(f"{key}={value}" for key, value in labels)
