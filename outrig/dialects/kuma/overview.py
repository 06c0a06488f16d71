"""What Kuma's tools show of a Dataplane beside what was written: its connection, what became of what it was sent, its
certificate; and the one word that sums it up.

In: a Dataplane, or what is shown in place of one; what was counted on the connection that is open. Out: `dataplane` and
`dataplaneInsight` of a DataplaneOverview. Source: Kuma's DataplaneOverview, as kumactl judges it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

from outrig.dialects.conditions import AGENT_CONNECTED, condition_of
from outrig.dialects.kuma.dataplane import health_of_inbound, networking_of
from outrig.dialects.kuma.insight import Counts, insight_of, status_of
from outrig.model import Health
from outrig.resources import Json, Resource

_UNREADY: Final = {"state": "NotReady", "health": {"ready": False}}


class Standing(StrEnum):
    """Whether a Dataplane serves. Offline: nobody is connected, or no inbound is ready."""

    ONLINE = "Online"
    OFFLINE = "Offline"
    DEGRADED = "Partially degraded"


def overview_body(dataplane: Resource, counts: Mapping[str, Counts] | None) -> dict[str, Any]:
    """The content of its overview. `counts`: of the open connection, None where that is not known here.

    Inbounds that are not ready have the state NotReady, whatever was written.
    """
    shown = {"subscriptions": subscriptions_of(dataplane, counts), "mTLS": insight_of(dataplane).get("mTLS")}
    return {"dataplane": _as_it_is(dataplane), "dataplaneInsight": {name: part for name, part in shown.items() if part}}


def subscriptions_of(proxy: Resource, counts: Mapping[str, Counts] | None = None) -> list[dict[str, Any]]:
    """Its connection, if it has one or had one; `counts` as for `overview_body`."""
    insight = insight_of(proxy)
    return [_counted(one, insight, counts) for one in _subscriptions(proxy, insight)]


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


def _counted(subscription: Json, insight: Json, counts: Mapping[str, Counts] | None) -> dict[str, Any]:
    known: dict[str, Any] = {"version": insight["version"]} if "version" in insight else {}
    if counts is not None and "disconnectTime" not in subscription:
        known["status"] = status_of(counts)
    return {**subscription, **known}


def _as_it_is(dataplane: Resource) -> dict[str, Any]:
    networking = dict(dataplane.body.get("networking") or {})
    judged = [health_of_inbound(dataplane, inbound) for inbound in networking_of(dataplane).inbound]
    written = networking.get("inbound") or []
    if written:
        networking["inbound"] = [
            one if health is Health.READY or one.get("state") == "Ignored" else {**one, **_UNREADY}
            for one, health in zip(written, judged, strict=True)
        ]
    return {**dataplane.body, "networking": networking}
