"""The documents about the installation itself: what it is, which kinds it has, how it is set.

In: what the server knows of itself. Out: documents.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from outrig import __version__
from outrig.api.kuma.catalog import Catalog, is_policy
from outrig.dialects.kind import Kind
from outrig.dialects.kuma import RefusedKind

PRODUCT: Final = "Outrig"
_WORD: Final = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z][a-z]+|[A-Z]+")


@dataclass(frozen=True, slots=True)
class Installation:
    """What the server knows of itself. `config`: its settings as they are shown, without secrets."""

    hostname: str = ""
    instance_id: str = ""
    cluster_id: str = ""
    config: Callable[[], Mapping[str, Any]] = field(default=dict)


def index(installation: Installation) -> dict[str, Any]:
    """The document at `/`."""
    return {
        "hostname": installation.hostname,
        "tagline": PRODUCT,
        "product": PRODUCT,
        "version": __version__,
        "instanceId": installation.instance_id,
        "clusterId": installation.cluster_id,
        "gui": "",
    }


def resources(catalog: Catalog) -> dict[str, Any]:
    """The document at `/_resources`: all kinds; those that are not supported are read-only, as nobody can make one."""
    described = [*map(_served, catalog.kinds), *map(_refused, catalog.refused)]
    return {"resources": sorted(described, key=lambda one: str(one["name"]))}


def policies(catalog: Catalog) -> dict[str, Any]:
    """The document at `/policies`."""
    served = [_policy(kind.name, kind.plural, read_only=False) for kind in catalog.kinds if is_policy(kind)]
    refused = [_policy(kind.name, kind.plural, read_only=True) for kind in catalog.refused if kind.policy]
    return {"policies": sorted((*served, *refused), key=lambda one: str(one["name"]))}


def _served(kind: Kind) -> dict[str, Any]:
    policy = {"policy": _directions(kind.name)} if is_policy(kind) else {}
    described = _described(kind.name, kind.plural, mesh_scoped=kind.mesh_scoped, read_only=kind.system)
    return {**described, "shortName": (*kind.short_names, "")[0], **policy}


def _refused(kind: RefusedKind) -> dict[str, Any]:
    described = _described(kind.name, kind.plural, mesh_scoped=kind.mesh_scoped, read_only=True)
    return {**described, "notSupported": kind.sentence, **({"policy": _directions(kind.name)} if kind.policy else {})}


def _described(name: str, plural: str, *, mesh_scoped: bool, read_only: bool) -> dict[str, Any]:
    return {
        "name": name,
        "path": plural,
        "scope": "Mesh" if mesh_scoped else "Global",
        "readOnly": read_only,
        "includeInFederation": False,
        **_names(name),
    }


def _policy(name: str, plural: str, *, read_only: bool) -> dict[str, Any]:
    directions = _directions(name)
    return {
        "name": name,
        "path": plural,
        "readOnly": read_only,
        **_names(name),
        "isExperimental": False,
        "isTargetRefBased": directions["isTargetRef"],
        "isInbound": directions["hasFromTargetRef"],
        "isOutbound": directions["hasToTargetRef"],
    }


def _directions(name: str) -> dict[str, bool]:
    inbound = name == "MeshTrafficPermission"
    return {
        "isTargetRef": name.startswith("Mesh"),
        "hasFromTargetRef": inbound,
        "hasToTargetRef": False,
        "hasRulesTargetRef": inbound,
    }


def _names(name: str) -> dict[str, str]:
    """`MeshHTTPRoute` is shown as `Mesh HTTP Route`."""
    shown = " ".join(_WORD.findall(name))
    if shown.endswith(("h", "s", "S")):
        return {"singularDisplayName": shown, "pluralDisplayName": f"{shown}es"}
    many = f"{shown[:-1]}ies" if shown.endswith("y") else f"{shown}s"
    return {"singularDisplayName": shown, "pluralDisplayName": many}
