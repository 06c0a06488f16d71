"""What Kuma's tools show of a Dataplane beside what was written: its connection, what became of what it was sent, its
certificate; and the one word that sums it up.

In: a Dataplane, or what is shown in place of one; what was counted on the connection that is open. Out: `dataplane` and
`dataplaneInsight` of a DataplaneOverview. Source: Kuma's DataplaneOverview, as kumactl judges it.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum
from typing import Any, Final

from outrig.dialects.conditions import (
    AGENT_CONNECTED,
    PARTIALLY_INVALID,
    PROGRAMMED,
    READY,
    Condition,
    condition_of,
)
from outrig.dialects.kuma.dataplane import fails_probe, health_of_inbound, networking_of
from outrig.dialects.kuma.dataplane_spec import Inbound
from outrig.dialects.kuma.insight import certificate_of, insight_of
from outrig.dialects.kuma.probed import IGNORED, NOT_READY, inbounds_of, with_inbounds
from outrig.dialects.readiness import ReadyReason, health_of
from outrig.model import Health
from outrig.resources import Json, Resource

DEGRADED: Final = "Degraded"
"""Reason of a `Ready` that is true though some inbound is not called."""

_ONE_BY_ONE: Final = re.compile(r"; (?=OUT\d{3} )")  # findings begin with their code


class Standing(StrEnum):
    """Whether a Dataplane serves. Offline: nobody is connected, or no inbound is ready."""

    ONLINE = "Online"
    OFFLINE = "Offline"
    DEGRADED = "Partially degraded"


def overview_body(dataplane: Resource, *, backend: str = "", mesh_warnings: Sequence[str] = ()) -> dict[str, Any]:
    """The content of its overview. `backend`: the one that is enabled in its mesh, if one is.

    Inbounds that are not ready have the state NotReady, whatever was written. `warnings` is not Kuma's: there only if
    there are any.
    """
    shown = {"subscriptions": subscriptions_of(dataplane), "mTLS": certificate_of(dataplane, backend)}
    body = _marked(dataplane, lambda inbound: health_of_inbound(dataplane, inbound) is not Health.READY)
    warnings = [*warnings_of(dataplane), *mesh_warnings]
    return {
        "dataplane": body,
        "dataplaneInsight": {name: part for name, part in shown.items() if part},
        **({"warnings": warnings} if warnings else {}),
    }


def probed_body(dataplane: Resource) -> Json:
    """The body as a reader of the Dataplane itself sees it: inbounds whose probe fails are NotReady."""
    return _marked(dataplane, lambda inbound: fails_probe(dataplane, inbound))


def warnings_of(dataplane: Resource) -> list[str]:
    """What stands against its proxy's configuration, and what the proxy itself refuses."""
    doubts, programmed = (condition_of(dataplane.status, one) for one in (PARTIALLY_INVALID, PROGRAMMED))
    found = _ONE_BY_ONE.split(doubts.message) if doubts and doubts.status else []
    refused = programmed is not None and programmed.status is False
    return [*found, *([f"its proxy refuses {programmed.message}"] if programmed and refused else [])]


def subscriptions_of(proxy: Resource) -> list[dict[str, Any]]:
    """Its connection, if it has one or had one, and what was counted on it last."""
    insight = insight_of(proxy)
    known = {part: insight[part] for part in ("version", "status") if part in insight}
    return [{**one, **known} for one in _subscriptions(proxy, insight)]


def standing(overview: Json) -> Standing:
    """What an overview amounts to."""
    insight, networking = overview.get("dataplaneInsight", {}), overview["dataplane"]["networking"]
    listening = [one for one in networking.get("inbound") or () if one.get("state") != "Ignored"]
    ready = [one.get("state") != "NotReady" for one in listening]
    return _standing(insight.get("subscriptions", ()), ready)


def standing_of(dataplane: Resource) -> Standing:
    """What its overview would amount to."""
    listening = [inbound for inbound in networking_of(dataplane).inbound if inbound.listens]
    ready = [health_of_inbound(dataplane, inbound) is Health.READY for inbound in listening]
    return _standing(_subscriptions(dataplane, insight_of(dataplane)), ready)


def inbounds_condition(dataplane: Resource) -> Condition | None:
    """What `Ready` should say of inbounds that are not called while their proxy is ready; None: it says enough.

    It is false where none of them is called.
    """
    listening = [inbound for inbound in networking_of(dataplane).inbound if inbound.listens]
    unready = [one for one in listening if health_of_inbound(dataplane, one) is Health.UNREADY]
    if not unready or health_of(dataplane, untold=Health.READY) is not Health.READY:
        return None
    named = ", ".join(f"{one.port} ({_why(dataplane, one)})" for one in unready)
    some = len(unready) < len(listening)
    reason = DEGRADED if some else ReadyReason.UNHEALTHY
    return Condition(READY, some, reason, f"inbounds that are not called: {named}")


def _why(dataplane: Resource, inbound: Inbound) -> str:
    return "its serviceProbe does not succeed" if fails_probe(dataplane, inbound) else "state NotReady"


def _standing(subscriptions: Iterable[Json], ready: Sequence[bool]) -> Standing:
    connected = any("disconnectTime" not in one for one in subscriptions)
    if not connected or (ready and not any(ready)):
        return Standing.OFFLINE
    return Standing.ONLINE if all(ready) else Standing.DEGRADED


def _subscriptions(dataplane: Resource, insight: Json) -> Iterator[Json]:
    """The one that is noted; for a task of a WorkloadGroup, what its condition says."""
    if noted := insight.get("subscription"):
        yield noted
    elif condition := condition_of(dataplane.status, AGENT_CONNECTED):
        since = _since(dataplane.status, AGENT_CONNECTED)
        end = {} if condition.status else {"disconnectTime": since}
        yield {"id": dataplane.uid, "controlPlaneInstanceId": "", "connectTime": since, **end}


def _since(status: Json, type_: str) -> str:
    entries = (one for one in status["conditions"] if one.get("type") == type_)
    return str(next(entries).get("lastTransitionTime", ""))


def _marked(dataplane: Resource, is_unready: Callable[[Inbound], bool]) -> Json:
    """The body in which such inbounds have the state NotReady, but for those that are not there at all."""
    judged = zip(inbounds_of(dataplane.body), networking_of(dataplane).inbound, strict=True)
    marked = [
        {**written, **NOT_READY} if inbound.state != IGNORED and is_unready(inbound) else written
        for written, inbound in judged
    ]
    return with_inbounds(dataplane.body, marked)
