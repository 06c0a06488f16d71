"""What is known of a Dataplane's proxy: `status.insight` of the Dataplane, from which `_overview` is made.

In: a Dataplane, and what happened. Out: the Dataplane with that noted; the very same object if it was known. It holds:
the connection its agent has, or had last; versions; the certificate; and what was counted of its proxy's responses,
which whoever counts writes down now and then. A WorkloadEntry has the last alone. Names and forms are those of Kuma's
DataplaneInsight.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from outrig.resources import Json, Resource

INSIGHT: Final = "insight"
_SUBSCRIPTION, _VERSION, _CERTIFICATE, _STATUS = "subscription", "version", "mTLS", "status"
_UPDATED: Final = "lastUpdateTime"


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of the responses of one xDS type."""

    sent: int = 0
    acknowledged: int = 0
    rejected: int = 0


def insight_of(dataplane: Resource) -> Json:
    """What is noted: `subscription`, `version`, `mTLS`, `status`, each where it is known."""
    insight = dataplane.status.get(INSIGHT)
    return insight if isinstance(insight, Mapping) else {}


def with_subscription(dataplane: Resource, *, control_plane: str, now: datetime) -> Resource:
    """Its agent is connected to that instance of the control plane, since now if it was not before."""
    held = insight_of(dataplane).get(_SUBSCRIPTION, {})
    if held.get("controlPlaneInstanceId") == control_plane and "disconnectTime" not in held:
        return dataplane
    generation = int(held.get("generation", 0)) + 1
    said = {"controlPlaneInstanceId": control_plane, "connectTime": instant(now), "generation": generation}
    return _with(dataplane, _SUBSCRIPTION, {"id": f"{dataplane.uid}-{generation}", **said})


def without_subscription(dataplane: Resource, *, now: datetime) -> Resource:
    """Its agent is connected no more."""
    held = insight_of(dataplane).get(_SUBSCRIPTION)
    if held is None or "disconnectTime" in held:
        return dataplane
    return _with(dataplane, _SUBSCRIPTION, {**held, "disconnectTime": instant(now)})


def with_versions(dataplane: Resource, *, agent: str, envoy: str) -> Resource:
    """The versions its agent told when it joined."""
    return _with(dataplane, _VERSION, {"kumaDp": {"version": agent}, "envoy": {"version": envoy}})


def with_certificate(dataplane: Resource, *, expires: datetime, backend: str, now: datetime) -> Resource:
    """It was issued a certificate of that backend of its mesh; empty: none is enabled."""
    held = insight_of(dataplane).get(_CERTIFICATE, {})
    issued = {
        "certificateExpirationTime": instant(expires),
        "lastCertificateRegeneration": instant(now),
        "certificateRegenerations": int(held.get("certificateRegenerations", 0)) + 1,
        "issuedBackend": backend,
        "supportedBackends": [backend],
    }
    return _with(dataplane, _CERTIFICATE, issued)


def certificate_of(dataplane: Resource, backend: str) -> Json:
    """What is shown of its certificate while that backend of its mesh is enabled; empty: nothing, as none is.

    One that was issued before there was a backend is of the first that is enabled.
    """
    held = insight_of(dataplane).get(_CERTIFICATE)
    if not held or not backend:
        return {}
    issuer = held["issuedBackend"] or backend
    return {**held, "issuedBackend": issuer, "supportedBackends": [issuer]}


def with_counts(proxy: Resource, counts: Mapping[str, Counts], *, now: datetime) -> Resource:
    """So many responses its proxy has had by now, by short type (`cds`, …); the very same object if that is known."""
    held, counted = insight_of(proxy).get(_STATUS, {}), _status_of(counts)
    if {name: part for name, part in held.items() if name != _UPDATED} == counted:
        return proxy
    return _with(proxy, _STATUS, {_UPDATED: instant(now), **counted})


def instant(when: datetime) -> str:
    """A time as Kuma writes it."""
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def _status_of(counts: Mapping[str, Counts]) -> dict[str, Any]:
    """A subscription's `status`. Numbers are texts: that is JSON of 64 bits."""
    total = Counts(*(sum(column) for column in zip(*map(_row, counts.values()), strict=True))) if counts else Counts()
    shown = {"total": total, **{name: counts.get(name, Counts()) for name in ("cds", "eds", "lds", "rds")}}
    return {name: _written(count) for name, count in shown.items()}


def _row(count: Counts) -> tuple[int, int, int]:
    return count.sent, count.acknowledged, count.rejected


def _written(count: Counts) -> dict[str, str]:
    names = ("responsesSent", "responsesAcknowledged", "responsesRejected")
    return {name: str(number) for name, number in zip(names, _row(count), strict=True) if number}


def _with(dataplane: Resource, part: str, content: Mapping[str, Any]) -> Resource:
    insight = insight_of(dataplane)
    if insight.get(part) == content:
        return dataplane
    return replace(dataplane, status={**dataplane.status, INSIGHT: {**insight, part: content}})
