"""`/global-insight` and `/mesh-insights`: counts, made when they are asked for.

In: a request, what it names. Out: a document. Raises Refusal.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from outrig.api.kuma.addresses import Address
from outrig.api.kuma.catalog import DATAPLANE, MESH, Catalog, id_of
from outrig.api.kuma.insights import Tally, global_insight, mesh_insight, tally
from outrig.api.kuma.lists import in_order, listed, on_page, read_filter, read_page
from outrig.api.kuma.reading import Reading
from outrig.api.kuma.refusals import not_found
from outrig.api.turns import in_turns
from outrig.dialects.kind import Kind
from outrig.resources import Resource
from outrig.store.protocol import Query, Store


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts resources."""

    store: Store
    catalog: Catalog

    async def respond(self, request: Request, address: Address) -> dict[str, Any]:
        """The document that a path names."""
        if address.view or (address.name and address.plural == "global-insight"):
            raise not_found()
        if address.plural == "global-insight":
            return await self._global()
        kind, reading = self._kind(MESH), Reading(self.store)
        if address.name:
            return await self.of_mesh(await reading.get(kind, "", address.name))
        page, fits = read_page(request.query_params), read_filter(request.query_params, kind)
        meshes = in_order(filter(fits, await reading.find(kind, "")))
        insights = {mesh.key.name: await self.of_mesh(mesh) for mesh in on_page(meshes, page)}
        return listed(request, meshes, page, lambda mesh: insights[mesh.key.name])

    async def of_mesh(self, mesh: Resource) -> dict[str, Any]:
        """The MeshInsight of a mesh."""
        found = await self._of_kinds(mesh.key.name)
        totals = [(kind, len(resources)) for kind, resources in found if kind.mesh_scoped]
        return mesh_insight(mesh, await _tallies(found), totals)

    async def _global(self) -> dict[str, Any]:
        found = await self._of_kinds("")
        return global_insight([(kind, len(resources)) for kind, resources in found], await _tallies(found))

    async def _of_kinds(self, mesh: str) -> list[tuple[Kind, Sequence[Resource]]]:
        """All resources by kind, of a mesh or of all; tasks of WorkloadGroups count as Dataplanes."""
        stored = (await self.store.list(Query(kinds=tuple(map(id_of, self.catalog.kinds)), mesh=mesh or None))).items
        by_kind: Mapping[tuple[str, str], list[Resource]] = {id_of(kind): [] for kind in self.catalog.kinds}
        for resource in stored:
            by_kind[resource.key.group, resource.key.kind].append(resource)
        dataplanes = await Reading(self.store).find(self._kind(DATAPLANE), mesh)
        return [(kind, dataplanes if id_of(kind) == DATAPLANE else by_kind[id_of(kind)]) for kind in self.catalog.kinds]

    def _kind(self, wanted: tuple[str, str]) -> Kind:
        return next(kind for kind in self.catalog.kinds if id_of(kind) == wanted)


async def _tallies(found: Sequence[tuple[Kind, Sequence[Resource]]]) -> list[Tally]:
    """What is counted of the Dataplanes."""
    return await in_turns(tally, next((resources for kind, resources in found if id_of(kind) == DATAPLANE), ()))
