"""What Kuma's API shows: the resources that are stored and, among the Dataplanes, the tasks of WorkloadGroups.

In: the store, a kind, perhaps a mesh and a name. Out: resources. A Dataplane that is stored comes before a task that
would be called the same.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from outrig.api.kuma.catalog import DATAPLANE, id_of, is_name, key_of, mesh_key
from outrig.api.kuma.refusals import named, not_found
from outrig.api.projection import Choice, as_dataplane, choices
from outrig.dialects.causes import shown
from outrig.dialects.core.namespace import NAMESPACE, mesh_of
from outrig.dialects.core.service import SERVICE
from outrig.dialects.istio.workload_entry import WORKLOAD_ENTRY, is_registered
from outrig.dialects.kind import Kind
from outrig.dialects.kuma.names import is_mesh_name
from outrig.resources import Key, Resource
from outrig.store.protocol import Query, Store

_TASKS: Final = Query(kinds=tuple((kind.group, kind.name) for kind in (NAMESPACE, SERVICE, WORKLOAD_ENTRY)))


@dataclass(frozen=True, slots=True)
class Reading:
    """Reads for one request."""

    store: Store

    async def get(self, kind: Kind, mesh: str, name: str) -> Resource:
        """The resource of that name. Raises Refusal (404), for an unknown mesh too."""
        if not is_name(kind, name) or (mesh and not is_mesh_name(mesh)):
            raise not_found(what=named(kind, mesh, name))
        found = await self.store.get(key_of(kind, mesh, name))
        if found is None and id_of(kind) == DATAPLANE:
            found = next((task for task in await self._tasks(mesh) if task.key.name == name), None)
        if found is None and mesh:
            await self.require_mesh(mesh)
        if found is None:
            raise not_found(what=named(kind, mesh, name))
        return found

    async def find(self, kind: Kind, mesh: str) -> list[Resource]:
        """All of a kind, in a mesh or, where that is empty, in all. Raises Refusal (404) for an unknown mesh."""
        if mesh:
            await self.require_mesh(mesh)
        of_mesh = mesh or None
        stored = list((await self.store.list(Query(kinds=(id_of(kind),), mesh=of_mesh))).items)
        if id_of(kind) != DATAPLANE:
            return stored
        taken = {resource.key for resource in stored}
        return [*stored, *(task for task in await self._tasks(mesh) if task.key not in taken)]

    async def require_mesh(self, mesh: str) -> None:
        """Raises Refusal (404) where there is no such Mesh."""
        if not is_mesh_name(mesh) or await self.store.get(mesh_key(mesh)) is None:
            raise not_found("Failed to retrieve Mesh", f"Mesh {shown(mesh)}")

    async def is_task(self, key: Key) -> bool:
        """Whether the name of a Dataplane is that of a WorkloadGroup's task."""
        return any(task.key == key for task in await self._tasks(key.mesh))

    async def _tasks(self, mesh: str) -> list[Resource]:
        """The tasks of WorkloadGroups as Dataplanes, of a mesh or of all."""
        found = (await self.store.list(_TASKS)).items
        meshes = {one.key.name: mesh_of(one) for one in found if one.key.kind == NAMESPACE.name}
        chosen = _by_namespace(choices(one for one in found if one.key.kind == SERVICE.name))
        return list(_shown(found, meshes, chosen, mesh=mesh))


def _shown(
    found: Iterable[Resource], meshes: dict[str, str], chosen: dict[str, list[Choice]], *, mesh: str
) -> Iterator[Resource]:
    for entry in found:
        where = entry.key.namespace
        if entry.key.kind == WORKLOAD_ENTRY.name and is_registered(entry) and mesh in ("", meshes.get(where)):
            yield as_dataplane(entry, chosen.get(where, ()), mesh=meshes.get(where, ""))


def _by_namespace(choices: Iterable[Choice]) -> dict[str, list[Choice]]:
    found: dict[str, list[Choice]] = {}
    for choice in choices:
        found.setdefault(choice.service.namespace, []).append(choice)
    return found
