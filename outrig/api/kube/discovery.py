"""Discovery: what kubectl asks before anything else, to turn `wg` into a URL.

In: the catalog. Out: the documents of /api and /apis, plain and aggregated. The aggregated form
(apidiscovery.k8s.io, v2 and v2beta1) answers all in two requests; other clients than kubectl take the plain one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from outrig.api.kube.catalog import NAMESPACE, Catalog, api_version
from outrig.api.kube.foreign import ELSEWHERE, ForeignKind, foreign_to
from outrig.api.kube.review_kinds import REVIEWS
from outrig.dialects.kind import Kind

READ_VERBS = ("get", "list", "watch")
WRITE_VERBS = ("create", "patch", "update")
DELETE_VERBS = ("delete", "deletecollection")
STATUS_VERBS = ("get", "patch", "update")


@dataclass(frozen=True, slots=True)
class Entry:
    """One resource type as discovery describes it."""

    group: str
    versions: tuple[str, ...]
    kind: str
    plural: str
    singular: str
    short_names: tuple[str, ...]
    categories: tuple[str, ...]
    namespaced: bool
    verbs: tuple[str, ...]
    status_verbs: tuple[str, ...]
    deprecated: tuple[str, ...] = ()

    @property
    def is_only_asked(self) -> bool:
        """Whether it is a review: answered, and never kept, so there is nothing to list."""
        return self.verbs == ("create",)


def entries(catalog: Catalog) -> tuple[Entry, ...]:
    """All types that OpenAPI describes: those served, the reviews, then the foreign ones, without verbs."""
    reviews = (replace(_entry(kind), verbs=("create",)) for kind in REVIEWS)
    return (*map(_entry, catalog.kinds), *reviews, *map(_foreign_entry, foreign_to(catalog)))


def entries_elsewhere() -> tuple[Entry, ...]:
    """Types that are named for the rights to them alone."""
    return tuple(map(_foreign_entry, ELSEWHERE))


def _foreign_entry(kind: ForeignKind) -> Entry:
    return Entry(
        group=kind.group,
        versions=kind.versions,
        kind=kind.name,
        plural=kind.plural,
        singular=kind.name.lower(),
        short_names=kind.short_names,
        categories=(),
        namespaced=kind.namespaced,
        verbs=(),
        status_verbs=(),
    )


def _entry(kind: Kind) -> Entry:
    deletable = DELETE_VERBS if (kind.group, kind.name) != NAMESPACE else DELETE_VERBS[:1]
    verbs = (*READ_VERBS, *deletable, *(() if kind.system else WRITE_VERBS))
    status = STATUS_VERBS if not kind.system else STATUS_VERBS[:1]
    return Entry(
        group=kind.group,
        versions=kind.versions,
        kind=kind.name,
        plural=kind.plural,
        singular=kind.singular or kind.name.lower(),
        short_names=kind.short_names,
        categories=kind.categories,
        namespaced=kind.namespaced,
        verbs=tuple(sorted(verbs)),
        status_verbs=status if kind.has_status else (),
        deprecated=kind.deprecated,
    )


def group_versions(types: Sequence[Entry]) -> dict[str, tuple[str, ...]]:
    """Each group's versions, preferred first. The core group is ""."""
    groups: dict[str, dict[str, None]] = {}
    for entry in types:
        groups.setdefault(entry.group, {})
    for group, versions in groups.items():
        of_group = [entry for entry in types if entry.group == group]
        versions.update(dict.fromkeys(entry.versions[0] for entry in of_group if entry.verbs))
        versions.update(dict.fromkeys(version for entry in of_group for version in entry.versions))
    return {group: tuple(versions) for group, versions in groups.items()}


def aggregated(types: Sequence[Entry], *, core: bool, version: str) -> dict[str, Any]:
    """APIGroupDiscoveryList of /api (`core`) or /apis, in apidiscovery.k8s.io/`version`."""
    groups = {group: versions for group, versions in group_versions(types).items() if (group == "") is core}
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": f"apidiscovery.k8s.io/{version}",
        "metadata": {},
        "items": [_aggregated_group(types, group, versions) for group, versions in groups.items()],
    }


def _aggregated_group(types: Sequence[Entry], group: str, versions: Iterable[str]) -> dict[str, Any]:
    described = [
        {
            "version": version,
            "freshness": "Current",
            "resources": [_aggregated_type(e, version) for e in _in(types, group, version)],
        }
        for version in versions
    ]
    return {
        "metadata": {"name": group, "creationTimestamp": None} if group else {"creationTimestamp": None},
        "versions": described,
    }


def _aggregated_type(entry: Entry, version: str) -> dict[str, Any]:
    kind = {"group": entry.group, "version": version, "kind": entry.kind}
    described: dict[str, Any] = {
        "resource": entry.plural,
        "responseKind": kind,
        "scope": "Namespaced" if entry.namespaced else "Cluster",
        "singularResource": entry.singular,
        "verbs": list(entry.verbs),
    }
    if entry.short_names:
        described["shortNames"] = list(entry.short_names)
    if entry.categories:
        described["categories"] = list(entry.categories)
    if entry.status_verbs:
        described["subresources"] = [{"subresource": "status", "responseKind": kind, "verbs": list(entry.status_verbs)}]
    return described


def core_versions() -> dict[str, Any]:
    """APIVersions of /api."""
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}


def group_list(types: Sequence[Entry]) -> dict[str, Any]:
    """APIGroupList of /apis."""
    groups = [_group(group, versions) for group, versions in group_versions(types).items() if group]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def group_document(types: Sequence[Entry], group: str) -> dict[str, Any] | None:
    """APIGroup of /apis/<group>."""
    versions = group_versions(types).get(group)
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(group, versions)} if group and versions else None


def resource_list(types: Sequence[Entry], group: str, version: str) -> dict[str, Any] | None:
    """APIResourceList of /api/v1 or /apis/<group>/<version>."""
    found = _in(types, group, version)
    resources = [described for entry in found for described in _resources(entry)]
    listed = {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": api_version(group, version),
        "resources": resources,
    }
    return listed if found else None


def _group(group: str, versions: Sequence[str]) -> dict[str, Any]:
    described = [{"groupVersion": api_version(group, version), "version": version} for version in versions]
    return {"name": group, "versions": described, "preferredVersion": described[0]}


def _resources(entry: Entry) -> list[dict[str, Any]]:
    shared = {"namespaced": entry.namespaced, "kind": entry.kind}
    whole = {"name": entry.plural, "singularName": entry.singular, **shared, "verbs": list(entry.verbs)}
    if entry.short_names:
        whole["shortNames"] = list(entry.short_names)
    if entry.categories:
        whole["categories"] = list(entry.categories)
    status = {"name": f"{entry.plural}/status", "singularName": "", **shared, "verbs": list(entry.status_verbs)}
    return [whole, status] if entry.status_verbs else [whole]


def _in(types: Sequence[Entry], group: str, version: str) -> list[Entry]:
    return [entry for entry in types if entry.group == group and version in entry.versions]
