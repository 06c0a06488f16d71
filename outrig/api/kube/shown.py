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
from outrig.api.kube.statuses import Subject, forbidden
from outrig.api.projection import DATAPLANE, MESH, as_entry, as_namespace, mesh_in
from outrig.api.turns import in_turns
from outrig.dialects.core.namespace import NAMESPACE
from outrig.dialects.istio.workload_entry import WORKLOAD_ENTRY
from outrig.resources import Key, Resource
from outrig.store.protocol import Change, Listing, Query, Store

_ENTRY: Final = (WORKLOAD_ENTRY.group, WORKLOAD_ENTRY.name)
_NAMESPACE: Final = (NAMESPACE.group, NAMESPACE.name)
_SOURCES: Final = {_ENTRY: DATAPLANE, _NAMESPACE: MESH}


class Shown:
    """Reads a store as kubectl is to see it. A query is about one kind."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def get(self, key: Key) -> Resource | None:
        """The resource of that key."""
        if key in BUILT_IN:
            return BUILT_IN[key]
        source = _source(key)
        found = await self._store.get(source or key)
        return _shown(found) if found else None

    async def list(self, query: Query) -> Listing:
        """What the query finds."""
        found = await self._store.list(_widened(query))
        shown = [*await in_turns(_shown, found.items), *BUILT_IN.values()]
        return Listing(tuple(sorted(filter(query.fits, shown), key=lambda one: one.key)), found.revision)

    async def epoch(self) -> str:
        """The name of the store's history."""
        return await self._store.epoch()

    async def watch(self, query: Query, after: int) -> AsyncGenerator[Sequence[Change], None]:
        """Every change after that revision of what the query finds."""
        async with aclosing(self._store.watch(_widened(query), after)) as batches:
            async for batch in batches:
                yield [_shown_change(change) for change in batch]


def is_shown(key: Key) -> bool:
    """Whether what has this key is built in, or something else that is shown under it."""
    return key in BUILT_IN or _source(key) is not None


def refuse_shown(key: Key, subject: Subject) -> None:
    """Raises ApiError (403) for the key of what is built in, or would be shown in the place of something else."""
    if key in BUILT_IN:
        raise forbidden(subject, "it is built in, and cannot be changed: make another")
    namespace = key.name if (key.group, key.kind) == _NAMESPACE else key.namespace
    if mesh := mesh_in(namespace):
        why = f"namespace {namespace!r} shows the Dataplanes of mesh {mesh!r}, to be read only"
        raise forbidden(subject, f"{why}: they are written at /meshes/{mesh}/dataplanes, or by their agents")


def _shown_change(change: Change) -> Change:
    """A Dataplane's tags show as labels too, so what these were before is not known."""
    shown = _shown(change.resource)
    return change if shown is change.resource else replace(change, resource=shown, labels_before=None)


def _shown(resource: Resource) -> Resource:
    match (resource.key.group, resource.key.kind):
        case kind if kind == DATAPLANE:
            return as_entry(resource)
        case kind if kind == MESH:
            return as_namespace(resource)
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
