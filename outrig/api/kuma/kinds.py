"""Requests about the resources of a kind: one, a list, an overview, an inspection; PUT and DELETE.

In: a request, the caller, what it names. Out: a response. Raises Refusal. Kinds that are not supported yet can be asked
for, and are nowhere; whoever writes one is told so.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from itertools import compress
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from outrig.api.access.gate import Gate
from outrig.api.callers import Caller
from outrig.api.edge import READS
from outrig.api.kuma.access import require
from outrig.api.kuma.addresses import OVERVIEW, Address
from outrig.api.kuma.catalog import DATAPLANE, MESH, ZONES, Catalog, id_of, is_policy
from outrig.api.kuma.documents import document
from outrig.api.kuma.insights import dataplane_overview, mesh_overview, zone_overview
from outrig.api.kuma.inspection import LATER, LIVE, VIEWS, Inspector, inspected, policy_dataplanes
from outrig.api.kuma.lists import in_order, listed, on_page, read_filter, read_page
from outrig.api.kuma.reading import Reading
from outrig.api.kuma.refusals import RETRIEVE, not_allowed, not_found, not_valid
from outrig.api.kuma.sending import sent_object
from outrig.api.kuma.surroundings import surroundings
from outrig.api.kuma.totals import Totals
from outrig.api.kuma.writes import KeepMesh, Place, Writing
from outrig.api.refusals import Cause
from outrig.api.turns import in_turns
from outrig.dialects.kind import Kind
from outrig.dialects.kuma import RefusedKind
from outrig.resources import Resource
from outrig.store.protocol import Store

_WRITES: Final = ("PUT", "DELETE")
_MATCHING: Final = "_resources/dataplanes"

Show = Callable[[Resource], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Kinds:
    """Serves the resources of all kinds."""

    store: Store
    gate: Gate
    catalog: Catalog
    keep_mesh: KeepMesh
    inspector: Inspector
    now: Callable[[], datetime]

    async def respond(self, request: Request, caller: Caller, address: Address) -> Response:
        """Carry out a request."""
        kind = self.catalog.find(address.plural)
        if kind is None:
            raise not_found()
        if request.method not in (*READS, *_WRITES):
            raise not_allowed("Method not allowed", _methods(kind, address))
        writing = request.method in _WRITES
        require(self.gate, caller, kind, address=address, method=request.method)
        if isinstance(kind, RefusedKind):
            return _refused(kind, address, writing=writing)
        if address.mesh and not kind.mesh_scoped:
            raise not_found()
        if writing:
            return await self._write(request, kind, address)
        _check_format(request)
        return JSONResponse(await self._read(request, kind, address))

    async def _write(self, request: Request, kind: Kind, address: Address) -> Response:
        if request.method not in (allowed := _methods(kind, address)):
            raise not_allowed(_why_not(kind, address), allowed)
        place = Place(kind, address.mesh, address.name)
        await self._refuse_task(place)
        writing = Writing(self.store, self.keep_mesh, self.now)
        if request.method == "DELETE":
            await writing.delete(place)
            return JSONResponse({})
        written = await writing.put(place, await sent_object(request))
        said = {"warnings": list(written.warnings)} if written.warnings else {}
        return JSONResponse(said, status_code=201 if written.created else 200)

    async def _refuse_task(self, place: Place) -> None:
        """Raises Refusal (405) for the name of what is shown here and belongs to the other dialect."""
        if id_of(place.kind) != DATAPLANE or not place.can_be or await self.store.get(place.key) is not None:
            return
        if await Reading(self.store).is_task(place.key):
            raise not_allowed(f"{place.name} is a task of a WorkloadGroup, shown here: kubectl can change it", READS)

    async def _read(self, request: Request, kind: Kind, address: Address) -> dict[str, Any]:
        reading = Reading(self.store)
        if not address.name:
            return await self._list(request, kind, address)
        if kind.mesh_scoped and not address.mesh:
            raise not_found()
        found = await reading.get(kind, address.mesh, address.name)
        if address.view in ("", OVERVIEW):
            return (await self._shows(kind, [found], address.view))(found)
        if address.view == _MATCHING and is_policy(kind):
            return await policy_dataplanes(request, self.store, found)
        if id_of(kind) == DATAPLANE and address.view.partition("/")[0] in (*VIEWS, *LIVE, *LATER):
            return await inspected(address.view, found, self.store, self.inspector)
        raise not_found()

    async def _list(self, request: Request, kind: Kind, address: Address) -> dict[str, Any]:
        page, fits = read_page(request.query_params), read_filter(request.query_params, kind)
        there = await Reading(self.store).find(kind, address.mesh)
        found = in_order(compress(there, await in_turns(fits, there)))
        return listed(request, found, page, await self._shows(kind, on_page(found, page), address.view))

    async def _shows(self, kind: Kind, found: list[Resource], view: str) -> Show:
        """How resources of a kind are written in a view. Raises Refusal (404) for a view that it does not have."""
        if not view:
            return lambda resource: document(resource, kind)
        if view != OVERVIEW:
            raise not_found(RETRIEVE)
        match id_of(kind):
            case kind_id if kind_id == DATAPLANE:
                meshes = await surroundings(self.store, (one.key.mesh for one in found), self.now())
                return lambda resource: dataplane_overview(resource, kind, meshes[resource.key.mesh])
            case kind_id if kind_id in ZONES:
                return lambda resource: zone_overview(resource, kind)
            case kind_id if kind_id == MESH:
                totals = Totals(self.store, self.catalog)
                insights = {mesh.key: await totals.of_mesh(mesh) for mesh in found}
                return lambda mesh: mesh_overview(mesh, kind, insights[mesh.key])
        raise not_found(RETRIEVE)


def _methods(kind: Kind | RefusedKind, address: Address) -> tuple[str, ...]:
    """What there is to do at an address."""
    if kind.mesh_scoped and address.name and not address.mesh:
        return ()  # its mesh is not named, so there is no such place
    if isinstance(kind, RefusedKind) or not address.name or address.view:
        return READS
    return (*READS, "DELETE") if kind.system else (*READS, *_WRITES)


def _why_not(kind: Kind, address: Address) -> str:
    """Why there is nothing to write at an address, or nothing to put there."""
    if not address.name or address.view:
        return "only a resource can be written, by its name"
    if kind.mesh_scoped and not address.mesh:
        return f"a {kind.name} is written at /meshes/MESH/{kind.plural}/NAME"
    return f"a {kind.name} is made when its proxy joins; it can be read and deleted"


def _refused(kind: RefusedKind, address: Address, *, writing: bool) -> Response:
    """The answer to any request about a kind that is not supported. There is none, so every list is empty."""
    if writing:
        raise not_allowed(kind.sentence, _methods(kind, address))
    if address.name:
        raise not_found()
    return JSONResponse({"total": 0, "items": [], "next": None})


def _check_format(request: Request) -> None:
    asked = request.query_params.get("format", "")
    if asked not in ("", "universal"):
        why = "must be universal: documents of Kubernetes' form are not supported"
        raise not_valid([Cause("format", why)], title="invalid format")
