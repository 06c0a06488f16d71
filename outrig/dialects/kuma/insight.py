"""What is known of a Dataplane's proxy: `status.insight` of the Dataplane, from which `_overview` is made.

In: a Dataplane, and what happened. Out: the Dataplane with that noted; the very same object if it was known. It holds
what changes rarely: the connection its agent has, or had last; versions; the certificate. What is counted every few
seconds is not stored (`status_of` writes it for a reader). Names and forms are those of Kuma's DataplaneInsight.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from outrig.resources import Json, Resource

INSIGHT: Final = "insight"
_SUBSCRIPTION, _VERSION, _CERTIFICATE = "subscription", "version", "mTLS"


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of the responses of one xDS type."""

    sent: int = 0
    acknowledged: int = 0
    rejected: int = 0


def insight_of(dataplane: Resource) -> Json:
    """What is noted: `subscription`, `version`, `mTLS`, each where it is known."""
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
    """It was issued a certificate of that backend of its mesh."""
    held = insight_of(dataplane).get(_CERTIFICATE, {})
    issued = {
        "certificateExpirationTime": instant(expires),
        "lastCertificateRegeneration": instant(now),
        "certificateRegenerations": int(held.get("certificateRegenerations", 0)) + 1,
        "issuedBackend": backend,
        "supportedBackends": [backend],
    }
    return _with(dataplane, _CERTIFICATE, issued)


def status_of(counts: Mapping[str, Counts]) -> Json:
    """A subscription's `status`, from counts by short type (`cds`, …). Numbers are texts: that is JSON of 64 bits."""
    total = Counts(*(sum(column) for column in zip(*map(_row, counts.values()), strict=True))) if counts else Counts()
    shown = {"total": total, **{name: counts.get(name, Counts()) for name in ("cds", "eds", "lds", "rds")}}
    return {name: _written(count) for name, count in shown.items()}


def instant(when: datetime) -> str:
    """A time as Kuma writes it."""
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


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
