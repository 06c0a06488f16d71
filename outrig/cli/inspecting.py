"""`outrig inspect`: how proxies, meshes and services are, as kumactl shows it.

In: overviews of the control plane's API. Out: tables, or its documents as JSON.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Final
from urllib.parse import quote

import typer

from outrig.api.kube.ages import age_of
from outrig.cli.asking import Authority, Kubeconfig, Server, Token, access_of, asking, near
from outrig.cli.places import DEFAULT_MESH
from outrig.cli.tables import table
from outrig.dialects.kuma.overview import Standing, standing
from outrig.dialects.kuma.tags import SERVICE

DATAPLANES: Final = (
    "MESH", "NAME", "TAGS", "STATUS", "LAST CONNECTED AGO", "LAST UPDATED AGO", "TOTAL UPDATES", "TOTAL ERRORS",
    "CERT REGENERATED AGO", "CERT EXPIRATION", "CERT REGENERATIONS", "CERT BACKEND", "KUMA-DP VERSION", "ENVOY VERSION",
    "NOTES",
)  # fmt: skip
ZONE_PROXIES: Final = (
    "NAME", "STATUS", "LAST CONNECTED AGO", "LAST UPDATED AGO", "TOTAL UPDATES", "TOTAL ERRORS", "KUMA-DP VERSION",
    "ENVOY VERSION",
)  # fmt: skip
_NEVER: Final = "never"
_UNKNOWN: Final = "-"


class Subject(StrEnum):
    """What there is to look at."""

    DATAPLANES = "dataplanes"
    DATAPLANE = "dataplane"
    PERMISSION = "meshtrafficpermission"
    MESHES = "meshes"
    SERVICES = "services"
    ZONES = "zones"
    ZONE_INGRESSES = "zoneingresses"
    ZONE_EGRESSES = "zoneegresses"


class View(StrEnum):
    """What to show of one dataplane."""

    OVERVIEW = "overview"
    RULES = "rules"
    POLICIES = "policies"
    CONFIG = "config"
    CONFIG_DUMP = "config-dump"


_PATHS: Final = {View.CONFIG_DUMP: "xds"}


def inspect(
    subject: Annotated[Subject, typer.Argument(help="what to look at")],
    name: Annotated[str, typer.Argument(help="of the dataplane or permission")] = "",
    *,
    mesh: Annotated[str, typer.Option("-m", "--mesh", help="where they are")] = DEFAULT_MESH,
    view: Annotated[
        View, typer.Option("--type", help="of one dataplane: overview, rules, policies, config, config-dump")
    ] = View.OVERVIEW,
    kubeconfig: Kubeconfig = None,
    address: Server = "",
    token: Token = "",
    authority: Authority = None,
) -> None:
    """Show how dataplanes, meshes and services are."""
    _check_meant(subject, name, view)
    with asking(access_of(address, token, authority, kubeconfig=kubeconfig)) as api:
        overviews = f"/meshes/{quote(mesh)}/dataplanes/_overview"
        match subject:
            case Subject.DATAPLANES:
                with near(api, "/meshes", mesh):
                    shown = dataplanes(list(api.read_all(overviews)), now=datetime.now(UTC))
            case Subject.DATAPLANE:
                with near(api, f"/meshes/{quote(mesh)}/dataplanes", name):
                    shown = json.dumps(api.read(_path(mesh, name, view)), indent=2, ensure_ascii=False)
            case Subject.PERMISSION:
                shown = chosen(list(api.read_all(_chosen_by(mesh, name))))
            case Subject.MESHES:
                shown = meshes(list(api.read_all("/mesh-insights")))
            case Subject.SERVICES:
                with near(api, "/meshes", mesh):
                    shown = services(list(api.read_all(overviews)))
            case Subject.ZONES:
                shown = zones(list(api.read_all("/zones/_overview")))
            case Subject.ZONE_INGRESSES | Subject.ZONE_EGRESSES:
                shown = zone_proxies(list(api.read_all(f"/{subject}/_overview")), now=datetime.now(UTC))
    typer.echo(shown)


def _check_meant(subject: Subject, name: str, view: View) -> None:
    """What has no effect on this subject is not passed over."""
    if name and subject not in (Subject.DATAPLANE, Subject.PERMISSION):
        one = "; outrig inspect dataplane NAME shows one" if subject is Subject.DATAPLANES else ""
        raise typer.BadParameter(f"inspect {subject} shows all and takes no name{one}")
    if view is not View.OVERVIEW and subject is not Subject.DATAPLANE:
        raise typer.BadParameter(f"--type is of one dataplane, not of {subject}")


def _path(mesh: str, name: str, view: View) -> str:
    if not name:
        raise typer.BadParameter("which dataplane? give its name")
    return f"/meshes/{quote(mesh)}/dataplanes/{quote(name)}/{_PATHS.get(view, f'_{view}')}"


def _chosen_by(mesh: str, name: str) -> str:
    if not name:
        raise typer.BadParameter("which permission? give its name")
    return f"/meshes/{quote(mesh)}/meshtrafficpermissions/{quote(name)}/_resources/dataplanes"


def chosen(references: Sequence[Mapping[str, Any]]) -> str:
    """A line for each dataplane that a permission is for."""
    rows = [(str(one["mesh"]), str(one["name"])) for one in references]
    return table(("MESH", "NAME"), rows) if rows else "It is for no dataplane that is there now"


def dataplanes(overviews: Sequence[Mapping[str, Any]], *, now: datetime) -> str:
    """A line for each dataplane."""
    return table(DATAPLANES, (_dataplane(one, now) for one in overviews)) if overviews else "No resources found"


def _dataplane(overview: Mapping[str, Any], now: datetime) -> Sequence[str]:
    insight = overview.get("dataplaneInsight") or {}
    certificate, last = insight.get("mTLS") or {}, _last(insight)
    return (
        str(overview.get("mesh", "")),
        str(overview.get("name", "")),
        " ".join(_tags(overview)),
        standing(overview),
        *_connection(last, now),
        _ago(certificate.get("lastCertificateRegeneration"), now),
        str(certificate.get("certificateExpirationTime", "-")),
        str(certificate.get("certificateRegenerations", 0)),
        str(certificate.get("issuedBackend", "-")),
        *_versions(last),
        _notes(overview.get("warnings") or ()),
    )


def _notes(warnings: Sequence[str]) -> str:
    """How many there are; which, the overview of the dataplane says."""
    return f"{len(warnings)} warning{'s' * (len(warnings) > 1)}" if warnings else ""


def _last(insight: Mapping[str, Any]) -> Mapping[str, Any]:
    """The connection that is open, or was last."""
    found: Mapping[str, Any] = (insight.get("subscriptions") or [{}])[-1]
    return found


def _connection(last: Mapping[str, Any], now: datetime) -> Iterator[str]:
    """When it was made, when something was sent on it, how much, and how much of that was refused."""
    status = last.get("status") or {}
    total = status.get("total") or {}
    yield _ago(last.get("connectTime"), now)
    yield _ago(status["lastUpdateTime"], now) if "lastUpdateTime" in status else _UNKNOWN
    yield str(total.get("responsesSent", 0))
    yield str(total.get("responsesRejected", 0))


def _versions(last: Mapping[str, Any]) -> Iterator[str]:
    version = last.get("version") or {}
    yield str((version.get("kumaDp") or {}).get("version", "unknown"))
    yield str((version.get("envoy") or {}).get("version", "unknown"))


def _tags(overview: Mapping[str, Any]) -> Iterator[str]:
    """The tags of all its inbounds, or of its gateway, each once."""
    networking = (overview.get("dataplane") or {}).get("networking") or {}
    parts = [*(networking.get("inbound") or ()), networking.get("gateway") or {}]
    pairs = {(tag, value) for part in parts for tag, value in (part.get("tags") or {}).items()}
    return (f"{tag}={value}" for tag, value in sorted(pairs))


def _ago(moment: object, now: datetime) -> str:
    return age_of(str(moment), now) if moment else _NEVER


def services(overviews: Sequence[Mapping[str, Any]]) -> str:
    """A line for each service: on how many of its dataplanes it is online, which is to say connected and ready."""
    counted: dict[str, list[bool]] = {}
    for overview in overviews:
        for service, online in _services(overview).items():
            counted.setdefault(service, []).append(online)
    rows = [(service, _health(found), f"{sum(found)}/{len(found)}") for service, found in sorted(counted.items())]
    return table(("SERVICE", "STATUS", "DATAPLANES"), rows) if rows else "No resources found"


def _services(overview: Mapping[str, Any]) -> Mapping[str, bool]:
    """The services of a dataplane, each with whether one of its inbounds takes calls. A gateway takes none."""
    networking = overview["dataplane"]["networking"]
    gateway = networking.get("gateway")
    parts = [gateway] if gateway else networking.get("inbound") or ()
    connected, found = standing(overview) is not Standing.OFFLINE, dict[str, bool]()
    for part in parts:
        service = str((part.get("tags") or {}).get(SERVICE, ""))
        found[service] = found.get(service, False) or (connected and part.get("state") not in ("NotReady", "Ignored"))
    return found


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


def zone_proxies(overviews: Sequence[Mapping[str, Any]], *, now: datetime) -> str:
    """A line for each proxy of a zone."""
    return table(ZONE_PROXIES, (_zone_proxy(one, now) for one in overviews)) if overviews else "No resources found"


def _zone_proxy(overview: Mapping[str, Any], now: datetime) -> Sequence[str]:
    insight: Mapping[str, Any] = next((part for name, part in overview.items() if name.endswith("Insight")), {})
    last = _last(insight)
    is_open = bool(last) and "disconnectTime" not in last
    status = Standing.ONLINE if is_open else Standing.OFFLINE
    return (str(overview["name"]), status, *_connection(last, now), *_versions(last))
