"""Overviews of Dataplanes, and what is counted over a mesh and over the installation.

In: resources as they are shown. Out: documents. Kuma keeps these counts up to date in resources of their own; here they
are made when somebody asks.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from outrig.api.kuma.catalog import is_policy
from outrig.api.kuma.documents import meta, timestamp
from outrig.api.kuma.surroundings import Surroundings
from outrig.dialects.kind import Kind
from outrig.dialects.kuma.dataplane import networking_of
from outrig.dialects.kuma.overview import Standing, overview_body, standing_of, subscriptions_of
from outrig.dialects.kuma.tags import SERVICE
from outrig.resources import Resource

_WORDS = {Standing.ONLINE: "online", Standing.OFFLINE: "offline", Standing.DEGRADED: "partiallyDegraded"}


def dataplane_overview(dataplane: Resource, kind: Kind, mesh: Surroundings) -> dict[str, Any]:
    """The DataplaneOverview. `mesh`: what it says of its mesh."""
    body = overview_body(dataplane, backend=mesh.backend, mesh_warnings=mesh.warnings)
    return {**meta(dataplane, kind, type_=f"{kind.name}Overview"), **body}


def mesh_overview(mesh: Resource, kind: Kind, insight: Mapping[str, Any]) -> dict[str, Any]:
    """The MeshOverview; `insight`: the counts of the mesh."""
    shown = {name: insight[name] for name in ("dataplanes", "services", "policies", "resources")}
    return {**meta(mesh, kind, type_="MeshOverview"), "mesh": mesh.body, "meshInsight": shown}


def zone_overview(zone: Resource, kind: Kind) -> dict[str, Any]:
    """The overview of a Zone, or of a proxy of one: its connections, of which a Zone has none in one control plane."""
    word = kind.name[0].lower() + kind.name[1:]
    subscriptions = subscriptions_of(zone)
    insight = {"subscriptions": subscriptions} if subscriptions else {}
    return {**meta(zone, kind, type_=f"{kind.name}Overview"), word: zone.body, f"{word}Insight": insight}


@dataclass(frozen=True, slots=True)
class Tally:
    """What is counted of one Dataplane."""

    mesh: str
    gateway: bool
    standing: Standing
    services: frozenset[str]


def tally(dataplane: Resource) -> Tally:
    """What is counted of a Dataplane."""
    networking = networking_of(dataplane)
    services = (dict(labels).get(SERVICE) for labels in networking.identified)
    named = frozenset(service for service in services if service)
    return Tally(dataplane.key.mesh, networking.gateway is not None, standing_of(dataplane), named)


def mesh_insight(mesh: Resource, tallies: Sequence[Tally], others: Iterable[tuple[Kind, int]]) -> dict[str, Any]:
    """The MeshInsight: how many Dataplanes and services there are and how they stand, how many of each other kind."""
    services = len(_services(tallies))
    totals = [(kind, total) for kind, total in others if total]
    return {
        "type": "MeshInsight",
        "name": mesh.key.name,
        "creationTime": timestamp(mesh.created),
        "modificationTime": timestamp(mesh.created),
        "dataplanes": _counted(tallies),
        "dataplanesByType": {
            "standard": _counted([one for one in tallies if not one.gateway]),
            "gateway": _counted([one for one in tallies if one.gateway]),
        },
        "services": {"total": services, "internal": services},
        "policies": {kind.name: {"total": total} for kind, total in totals if is_policy(kind)},
        "resources": {kind.name: {"total": total} for kind, total in totals},
    }


def global_insight(totals: Iterable[tuple[Kind, int]], tallies: Sequence[Tally]) -> dict[str, Any]:
    """The GlobalInsight: how many of each kind there are in all meshes."""
    return {
        "type": "GlobalInsight",
        "resources": {kind.name: {"total": total} for kind, total in totals},
        "dataplanes": {
            "standard": _counted([one for one in tallies if not one.gateway]),
            "gateway": _counted([one for one in tallies if one.gateway]),
        },
        "services": {"total": len(_services(tallies))},
    }


def _services(tallies: Iterable[Tally]) -> set[tuple[str, str]]:
    return {(one.mesh, service) for one in tallies for service in one.services}


def _counted(tallies: Sequence[Tally]) -> dict[str, int]:
    standings = Counter(one.standing for one in tallies)
    return {"total": len(tallies), **{word: standings[one] for one, word in _WORDS.items() if standings[one]}}
