"""What kubectl is shown: what is stored, the built-in roles and their bindings, and the Dataplanes of each mesh as
WorkloadEntries of namespace `kuma-<mesh>`.

In: a store, a query in Kubernetes' terms. Out: resources and changes, with the revisions of the store. What is shown
in another's place cannot be written here.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Final

from outrig.api.access.builtin import BUILT_IN
from outrig.api.kube.statuses import Subject, already_exists, forbidden
from outrig.api.projection import DATAPLANE, MESH, as_entry, as_namespace, mesh_in
from outrig.api.turns import in_turns
from outrig.dialects.core.namespace import NAMESPACE, with_name_label
from outrig.dialects.istio.workload_entry import WORKLOAD_ENTRY
from outrig.dialects.rbac import CLUSTER_ROLE
from outrig.dialects.rbac.aggregation import gathers, with_gathered
from outrig.resources import Key, Resource
from outrig.store.protocol import Change, Listing, Query, Store

_ENTRY: Final = (WORKLOAD_ENTRY.group, WORKLOAD_ENTRY.name)
_NAMESPACE: Final = (NAMESPACE.group, NAMESPACE.name)
_CLUSTER_ROLE: Final = (CLUSTER_ROLE.group, CLUSTER_ROLE.name)
_FIRST: Final = Key(*_NAMESPACE, "", "", "default")
"""It is made when the installation begins, and never deleted."""
_SOURCES: Final = {_ENTRY: DATAPLANE, _NAMESPACE: MESH}


class Shown:
    """Reads a store as kubectl is to see it. A query is about one kind."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def get(self, key: Key) -> Resource | None:
        """The resource of that key."""
        if key in BUILT_IN:
            return await self.whole(*await self._dated([BUILT_IN[key]]))
        found = await self._store.get(_source(key) or key)
        return await self.whole(_shown(found)) if found else None

    async def whole(self, resource: Resource) -> Resource:
        """A ClusterRole that gathers rules with those of now; everything else as it is."""
        if (resource.key.group, resource.key.kind) != _CLUSTER_ROLE or not gathers(resource):
            return resource
        query = Query(kinds=(_CLUSTER_ROLE,))
        roles = [*(await self._store.list(query)).items, *filter(query.fits, BUILT_IN.values())]
        return with_gathered(resource, roles)

    async def list(self, query: Query) -> Listing:
        """What the query finds."""
        return await self._listed(query, await self._store.list(_widened(query)))

    async def list_at(self, query: Query, revision: int, *, epoch: str = "") -> Listing:
        """What the query would have found at that revision. Raises Gone."""
        return await self._listed(query, await self._store.list_at(_widened(query), revision, epoch=epoch))

    async def _listed(self, query: Query, found: Listing) -> Listing:
        built_in = await self._dated(list(filter(query.fits, BUILT_IN.values())))
        shown = [*await in_turns(_shown, found.items), *built_in]
        if _CLUSTER_ROLE in query.kinds:
            roles = list(filter(query.fits, shown))
            shown = [with_gathered(role, roles) for role in roles]
        return Listing(tuple(sorted(filter(query.fits, shown), key=lambda one: one.key)), found.revision)

    async def _dated(self, built_in: Sequence[Resource]) -> Sequence[Resource]:
        """What is built in, as old as the installation."""
        first = await self._store.get(_FIRST) if built_in else None
        return [replace(one, created=first.created) for one in built_in] if first else built_in

    async def epoch(self) -> str:
        """The name of the store's history."""
        return await self._store.epoch()

    async def watch(
        self, query: Query, after: int, *, bookmark_every: float | None = None
    ) -> AsyncGenerator[Sequence[Change], None]:
        """Every change after that revision of what the query finds, with bookmarks as of a store."""
        watched = self._store.watch(_widened(query), after, bookmark_every=bookmark_every)
        async with aclosing(watched) as batches:
            async for batch in batches:
                yield [await self._whole_change(_shown_change(change)) for change in batch]
                del batch  # an idle watch holds nothing

    async def _whole_change(self, change: Change) -> Change:
        whole = await self.whole(change.resource)
        return change if whole is change.resource else replace(change, resource=whole)


def is_shown(key: Key) -> bool:
    """Whether what has this key is built in, or something else that is shown under it."""
    return key in BUILT_IN or _source(key) is not None


def refuse_new(key: Key, subject: Subject) -> None:
    """Raises ApiError where nothing new can have this key: it is built in (409), or kept for what is shown (403)."""
    if key in BUILT_IN:
        raise already_exists(subject)
    refuse_shown(key, subject)


def refuse_shown(key: Key, subject: Subject) -> None:
    """Raises ApiError (403) for the key of what is built in, or would be shown in the place of something else."""
    if key in BUILT_IN:
        raise forbidden(subject, "it is built in, and cannot be changed: make another")
    namespace = key.name if (key.group, key.kind) == _NAMESPACE else key.namespace
    if mesh := mesh_in(namespace):
        why = f"namespace {namespace!r} shows the Dataplanes of mesh {mesh!r}, to be read only"
        raise forbidden(subject, f"{why}: they are written at /meshes/{mesh}/dataplanes, or by their agents")


def _shown_change(change: Change) -> Change:
    shown, before = _shown(change.resource), _shown(change.before) if change.before else None
    if shown is change.resource and before is change.before:
        return change
    return replace(change, resource=shown, before=before)


def _shown(resource: Resource) -> Resource:
    match (resource.key.group, resource.key.kind):
        case kind if kind == DATAPLANE:
            return as_entry(resource)
        case kind if kind == MESH:
            return with_name_label(as_namespace(resource))
        case kind if kind == _NAMESPACE:
            return with_name_label(resource)
    return resource


def _source(key: Key) -> Key | None:
    """The key of what is stored; None where that is this key."""
    kind = (key.group, key.kind)
    if kind == _ENTRY and (mesh := mesh_in(key.namespace)):
        return Key(*DATAPLANE, mesh, "", key.name)
    if kind == _NAMESPACE and (mesh := mesh_in(key.name)):
        return Key(*MESH, mesh, "", mesh)
    return None


def _widened(query: Query) -> Query:
    """The query of what is stored: also of what is shown as a kind, or of that alone."""
    sources = tuple(_SOURCES[kind] for kind in query.kinds if kind in _SOURCES)
    mesh = mesh_in(query.namespace or "")
    if sources and mesh:
        return Query(kinds=sources, mesh=mesh)
    return replace(query, kinds=(*query.kinds, *sources)) if query.namespace is None else query
