"""`outrig inspect`: how proxies, meshes and services are, as kumactl shows it.

In: overviews of the control plane's API. Out: tables, or its documents as JSON.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Final

import typer

from outrig.api.kube.ages import age_of
from outrig.cli.asking import Authority, Kubeconfig, Server, Token, access_of, asking
from outrig.cli.places import DEFAULT_MESH
from outrig.cli.tables import table
from outrig.dialects.kuma.overview import standing

DATAPLANES: Final = (
    "MESH", "NAME", "TAGS", "STATUS", "LAST CONNECTED AGO", "LAST UPDATED AGO", "TOTAL UPDATES", "TOTAL ERRORS",
    "CERT REGENERATED AGO", "CERT EXPIRATION", "CERT REGENERATIONS", "CERT BACKEND", "KUMA-DP VERSION", "ENVOY VERSION",
)  # fmt: skip
_NEVER: Final = "never"
_UNKNOWN: Final = "-"


class Subject(StrEnum):
    """What there is to look at."""

    DATAPLANES = "dataplanes"
    DATAPLANE = "dataplane"
    MESHES = "meshes"
    SERVICES = "services"
    ZONES = "zones"


class View(StrEnum):
    """What to show of one dataplane."""

    OVERVIEW = "overview"
    RULES = "rules"
    POLICIES = "policies"
    CONFIG = "config"


def inspect(
    subject: Annotated[Subject, typer.Argument(help="what to look at")],
    name: Annotated[str, typer.Argument(help="of the dataplane")] = "",
    *,
    mesh: Annotated[str, typer.Option("-m", "--mesh", help="of the dataplanes")] = DEFAULT_MESH,
    view: Annotated[
        View, typer.Option("--type", help="of one dataplane: overview, rules, policies, config")
    ] = View.OVERVIEW,
    kubeconfig: Kubeconfig = None,
    address: Server = "",
    token: Token = "",
    authority: Authority = None,
) -> None:
    """Show how dataplanes, meshes and services are."""
    with asking(access_of(address, token, authority, kubeconfig=kubeconfig)) as api:
        match subject:
            case Subject.DATAPLANES:
                shown = dataplanes(list(api.read_all(f"/meshes/{mesh}/dataplanes/_overview")), now=datetime.now(UTC))
            case Subject.DATAPLANE:
                shown = json.dumps(api.read(_path(mesh, name, view)), indent=2, ensure_ascii=False)
            case Subject.MESHES:
                shown = meshes(list(api.read_all("/mesh-insights")))
            case Subject.SERVICES:
                shown = services(list(api.read_all(f"/meshes/{mesh}/dataplanes/_overview")))
            case Subject.ZONES:
                shown = zones(list(api.read_all("/zones/_overview")))
    typer.echo(shown)


def _path(mesh: str, name: str, view: View) -> str:
    if not name:
        raise typer.BadParameter("which dataplane? give its name")
    return f"/meshes/{mesh}/dataplanes/{name}/_{view}"


def dataplanes(overviews: Sequence[Mapping[str, Any]], *, now: datetime) -> str:
    """A line for each dataplane."""
    return table(DATAPLANES, (_dataplane(one, now) for one in overviews)) if overviews else "No resources found"


def _dataplane(overview: Mapping[str, Any], now: datetime) -> Sequence[str]:
    insight = overview.get("dataplaneInsight") or {}
    certificate = insight.get("mTLS") or {}
    last = (insight.get("subscriptions") or [{}])[-1]
    status, version = last.get("status") or {}, last.get("version") or {}
    total = status.get("total") or {}
    return (
        str(overview.get("mesh", "")),
        str(overview.get("name", "")),
        " ".join(_tags(overview)),
        standing(overview),
        _ago(last.get("connectTime"), now),
        _ago(status["lastUpdateTime"], now) if "lastUpdateTime" in status else _UNKNOWN,  # counted, not timed
        str(total.get("responsesSent", 0)),
        str(total.get("responsesRejected", 0)),
        _ago(certificate.get("lastCertificateRegeneration"), now),
        str(certificate.get("certificateExpirationTime", "-")),
        str(certificate.get("certificateRegenerations", 0)),
        str(certificate.get("issuedBackend", "-")),
        str((version.get("kumaDp") or {}).get("version", "unknown")),
        str((version.get("envoy") or {}).get("version", "unknown")),
    )


def _tags(overview: Mapping[str, Any]) -> Iterator[str]:
    """The tags of all its inbounds, or of its gateway, each once."""
    networking = (overview.get("dataplane") or {}).get("networking") or {}
    parts = [*(networking.get("inbound") or ()), networking.get("gateway") or {}]
    pairs = {(tag, value) for part in parts for tag, value in (part.get("tags") or {}).items()}
    return (f"{tag}={value}" for tag, value in sorted(pairs))


def _ago(moment: object, now: datetime) -> str:
    return age_of(str(moment), now) if moment else _NEVER


def services(overviews: Sequence[Mapping[str, Any]]) -> str:
    """A line for each service: how many of its dataplanes are online."""
    counted: dict[str, list[bool]] = {}
    for overview in overviews:
        online = standing(overview) != "Offline"
        named = {tag.partition("=")[2] for tag in _tags(overview) if tag.startswith("kuma.io/service=")}
        for service in named:
            counted.setdefault(service, []).append(online)
    rows = [(service, _health(found), f"{sum(found)}/{len(found)}") for service, found in sorted(counted.items())]
    return table(("SERVICE", "STATUS", "DATAPLANES"), rows) if rows else "No resources found"


def _health(found: Sequence[bool]) -> str:
    return "Online" if all(found) else "Partially degraded" if any(found) else "Offline"


def meshes(insights: Sequence[Mapping[str, Any]]) -> str:
    """A line for each mesh."""
    rows = [
        (
            str(one["name"]),
            *(str((one.get("dataplanes") or {}).get(part, 0)) for part in ("total", "online", "offline")),
        )
        for one in insights
    ]
    return table(("NAME", "DATAPLANES", "ONLINE", "OFFLINE"), rows) if rows else "No resources found"


def zones(overviews: Sequence[Mapping[str, Any]]) -> str:
    """A line for each zone."""
    rows = [(str(one["name"]), str((one.get("zone") or {}).get("enabled", True)).lower()) for one in overviews]
    return table(("NAME", "ENABLED"), rows) if rows else "No resources found"
