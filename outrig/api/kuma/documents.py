"""Resources as Kuma's API writes them: type, mesh, name, times, labels, the KRI, then what the kind says.

In: a resource and its kind. Out: a document. Some labels are the control plane's own: they are computed for each
reader and never stored.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from outrig.api.kuma.catalog import DATAPLANE, id_of, is_policy, shown_mesh
from outrig.api.projection import NAME_LABEL, NAMESPACE_LABEL
from outrig.dialects.kind import Kind
from outrig.dialects.kuma.overview import probed_body
from outrig.dialects.kuma.tags import LOCAL_ZONE, ZONE
from outrig.resources import Resource

MODIFIED: Final = "outrig.dev/modified"
"""Annotation of a resource that was changed through the API: when. The others are as they were made."""

_NEVER: Final = "0001-01-01T00:00:00Z"


def document(resource: Resource, kind: Kind) -> dict[str, Any]:
    """The resource as a user reads it. What is known of a Dataplane's probed inbounds is shown where Kuma keeps it."""
    return {**meta(resource, kind), **(probed_body(resource) if id_of(kind) == DATAPLANE else resource.body)}


def meta(resource: Resource, kind: Kind, *, type_: str = "") -> dict[str, Any]:
    """What stands before the content. `type_`: in place of the kind's name."""
    mesh, labels = shown_mesh(resource), all_labels(resource, kind)
    return {
        "type": type_ or kind.name,
        **({"mesh": mesh} if mesh else {}),
        "name": resource.key.name,
        "creationTime": timestamp(resource.created),
        "modificationTime": resource.annotations.get(MODIFIED) or timestamp(resource.created),
        **({"labels": labels} if labels else {}),
        "kri": kri(resource, kind),
    }


def reference(resource: Resource, kind: Kind) -> dict[str, Any]:
    """The resource named, without its content."""
    return {
        "type": kind.name,
        "mesh": shown_mesh(resource),
        "name": resource.key.name,
        "labels": all_labels(resource, kind),
        "kri": kri(resource, kind),
    }


def all_labels(resource: Resource, kind: Kind) -> dict[str, str]:
    """Its own labels and those that are computed."""
    return {**resource.labels, **computed_labels(kind, resource.key.mesh, resource.body)}


def computed_labels(kind: Kind, mesh: str, body: Mapping[str, Any]) -> dict[str, str]:
    """The labels that the control plane gives a resource, whatever its author says."""
    if not kind.mesh_scoped:
        return {}
    labels = {"kuma.io/mesh": mesh}
    if id_of(kind) != DATAPLANE and not is_policy(kind):
        return labels
    labels |= {ZONE: LOCAL_ZONE, "kuma.io/origin": "zone", "kuma.io/env": "universal"}
    if id_of(kind) == DATAPLANE:
        labels["kuma.io/proxy-type"] = "gateway" if _networking(body).get("gateway") else "sidecar"
    return labels


def kri(resource: Resource, kind: Kind) -> str:
    """The Kuma Resource Identifier: `kri_<kind>_<mesh>_<zone>_<namespace>_<name>_`; the section is the whole."""
    short = kind.short_names[0] if kind.short_names else kind.name.lower()
    labels = all_labels(resource, kind)
    return "_".join(
        (
            "kri",
            short,
            shown_mesh(resource),
            labels.get(ZONE, ""),
            labels.get(NAMESPACE_LABEL, ""),
            labels.get(NAME_LABEL, resource.key.name),
            "",
        )
    )


def timestamp(moment: datetime | None) -> str:
    """RFC 3339 in UTC with whole seconds."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ") if moment else _NEVER


def _networking(body: Mapping[str, Any]) -> Mapping[str, Any]:
    found = body.get("networking")
    return found if isinstance(found, Mapping) else {}
