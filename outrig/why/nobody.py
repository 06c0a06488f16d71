"""Why nobody is behind a service: nothing is chosen, or nothing that is chosen takes calls."""

from collections.abc import Iterator, Sequence

from outrig.model import Selector, Service, ServicePort
from outrig.why.knowledge import Known

_LOGS = "see the log of its task; `kubectl describe workloadentry` has its conditions"
_START = "start a task whose WorkloadGroup has these labels, or correct the selector"
_SHOWN = 3  # workloads that come near


def why_nobody(
    service: Service, port: ServicePort, missing: Sequence[str], *, known: Known
) -> tuple[str, tuple[str, ...], str]:
    """What to say, more about it line by line, and what to do. `missing`: those behind it that take no calls."""
    if missing:
        says = f"no endpoint: none of the {len(missing)} behind {service.host} takes calls"
        unready = any("is not ready" in line for line in missing)
        do = _LOGS if unready else f"name a port {port.target!r} in the WorkloadGroup, or give a number as targetPort"
        return says, tuple(missing), do
    if service.selector is None:
        says = f"no endpoint: {service.origin} chooses no workload"
        if service.origin.kind == "Service":
            return says, ("it is headless, or has no selector",), "give it a selector, and no `clusterIP: None`"
        return says, ("it has no endpoints of its own, and no workloadSelector",), "give it either"
    wanted = _as_text(service.selector.labels)
    says = f"no endpoint: no workload of namespace {service.selector.namespace} has the labels {wanted}"
    return says, tuple(_nearest(service.selector, known)), _START


def _nearest(selector: Selector, known: Known) -> Iterator[str]:
    """The workloads of the namespace that have some of the labels; if there are none, what the labels could be."""
    wanted = set(selector.labels)
    here = [one for one in known.workloads.values() if one.namespace == selector.namespace]
    near = sorted(here, key=lambda one: (-len(wanted & set(one.labels)), one.id))
    for one in near[:_SHOWN]:
        if lacking := dict(wanted - set(one.labels)) if wanted & set(one.labels) else {}:
            has = dict(one.labels)
            yield f"nearest: {known.name(one)}, which has {', '.join(_instead(key, has) for key in sorted(lacking))}"
    if not any(wanted & set(one.labels) for one in here):
        for key in sorted(dict(wanted)):
            if values := sorted({dict(one.labels)[key] for one in here if key in dict(one.labels)}):
                yield f"there {key} is {', '.join(values)}"


def _instead(key: str, has: dict[str, str]) -> str:
    return f"{key}={has[key]}" if key in has else f"no {key}"


def _as_text(labels: Sequence[tuple[str, str]]) -> str:
    return ",".join(f"{key}={value}" for key, value in labels)
