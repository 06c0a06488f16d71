"""PUT and DELETE: a document becomes a stored resource, or nothing changes.

In: the store, a kind, a place, a document. Out: what was written. Raises Refusal, and the store's errors. Each write is
one transaction, in which a Mesh that comes, changes or goes takes its authority along.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

from outrig.admission.ending import ending_of
from outrig.admission.offers import keep_offers
from outrig.api.judging import warning
from outrig.api.kuma.catalog import DATAPLANE, MESH, SECRET, id_of, is_name, key_of, mesh_key
from outrig.api.kuma.documents import MODIFIED, timestamp
from outrig.api.kuma.drafts import Draft, merged, read_draft
from outrig.api.kuma.refusals import DELETE, PROCESS, Refusal, named, not_found, not_valid
from outrig.api.refusals import ApiError, Cause
from outrig.api.turns import aside
from outrig.api.writing import Written, run
from outrig.dialects.causes import cause_of, in_order, sentence, shown
from outrig.dialects.core.namespace import NAMESPACE, mesh_of
from outrig.dialects.kind import Kind
from outrig.dialects.kuma.constraints import allowed
from outrig.dialects.kuma.names import is_mesh_name
from outrig.dialects.kuma.overview import probed_body
from outrig.dialects.kuma.probed import overruled
from outrig.errors import OutrigError
from outrig.resources import Key, Resource
from outrig.store import protocol as stores
from outrig.store.cascade import delete_with_dependents
from outrig.store.protocol import Query, Store, Transaction

_OF_STORE: Final = (stores.NotFound, stores.AlreadyExists, stores.Conflict, stores.Gone, stores.Unavailable)


class KeepMesh(Protocol):
    """Takes care of what a Mesh has beside itself: its authority, its first signing key."""

    async def __call__(self, tx: Transaction, name: str, mesh: Resource | None) -> None:
        """The Mesh of that name is now this; None: it is gone.

        Raises OutrigError, or a group of them, where what it asks for cannot be.
        """
        ...

    async def check(self, written: Resource) -> None:
        """Whatever is written can be what its name says. Raises OutrigError."""
        ...


@dataclass(frozen=True, slots=True)
class Place:
    """Where a resource is: its kind, mesh and name as in the URL."""

    kind: Kind
    mesh: str
    name: str

    @property
    def key(self) -> Key:
        """The key of the resource."""
        return key_of(self.kind, self.mesh, self.name)

    @property
    def in_mesh(self) -> bool:
        """Whether there must be a Mesh for it to be in."""
        return self.kind.mesh_scoped and id_of(self.kind) != MESH

    @property
    def can_be(self) -> bool:
        """Whether anything can be called so. What cannot is not even looked up: no store holds every text."""
        return is_name(self.kind, self.name) and (not self.mesh or is_mesh_name(self.mesh))


@dataclass(frozen=True, slots=True)
class Writing:
    """Writes resources of all kinds."""

    store: Store
    keep_mesh: KeepMesh
    now: Callable[[], datetime]

    async def put(self, place: Place, sent: dict[str, Any]) -> Written:
        """Create or replace. Raises Refusal."""
        draft = await self._draft(sent, place)
        try:
            await self.keep_mesh.check(draft.resource)
        except OutrigError as error:
            raise not_valid([_cause(error)]) from error

        async def work(tx: Transaction) -> Written:
            await _check_mesh(tx, place, draft.resource)
            current = await tx.get(place.key)
            stored = await self._store(tx, current, draft.resource)
            await self._follow(tx, place, stored)
            if id_of(place.kind) == DATAPLANE:
                await keep_offers(tx, stored)
            warnings = (*draft.warnings, *_overruled(sent, stored), *await _rivals(tx, stored, place.kind))
            if id_of(place.kind) == MESH:
                warnings = (*warnings, *map(warning, await ending_of(tx, place.name, self.now())))
            before = current.revision if current else 0
            return Written(stored, warnings, created=current is None, before=before)

        try:
            return await run(self.store, work, dry_run=False)
        except stores.AlreadyExists:  # somebody else created it at the same moment: this one replaces it
            return await run(self.store, work, dry_run=False)

    async def delete(self, place: Place) -> None:
        """Delete; a Mesh with all that is in it but Dataplanes and Namespaces, which keep it. Raises Refusal."""
        if not place.can_be:
            raise not_found(DELETE, named(place.kind, place.mesh, place.name))

        async def work(tx: Transaction) -> Written:
            if await tx.get(place.key) is None:
                raise not_found(DELETE, named(place.kind, place.mesh, place.name))
            if id_of(place.kind) == MESH:
                await _empty_mesh(tx, place.name)
            gone = (await delete_with_dependents(tx, place.key))[0]
            await self._follow(tx, place, None)
            return Written(gone)

        await run(self.store, work, dry_run=False)

    async def _draft(self, sent: dict[str, Any], place: Place) -> Draft:
        """Taken apart. Raises Refusal for all that is wrong, its mesh included where that is not there."""
        try:
            return await aside(read_draft, sent, place.kind, mesh=place.mesh, name=place.name)
        except Refusal as refused:
            if not place.in_mesh or (is_mesh_name(place.mesh) and await self.store.get(mesh_key(place.mesh))):
                raise
            raise not_valid(in_order((*refused.causes, _no_mesh(place)), sent)) from None

    async def _store(self, tx: Transaction, current: Resource | None, wanted: Resource) -> Resource:
        if current is None:
            return await tx.create(wanted)
        changed = merged(current, wanted, modified={MODIFIED: timestamp(self.now())})
        return current if changed is current else await tx.update(changed)

    async def _follow(self, tx: Transaction, place: Place, stored: Resource | None) -> None:
        """What a Mesh has beside itself follows it, and the Secrets that it names."""
        kind = id_of(place.kind)
        mesh = stored if kind == MESH else await tx.get(mesh_key(place.mesh)) if kind == SECRET else None
        if kind != MESH and mesh is None:
            return
        name = place.name if kind == MESH else place.mesh
        try:
            await self.keep_mesh(tx, name, mesh)
        except (ApiError, *_OF_STORE):
            raise
        except OutrigError as error:
            raise not_valid([_cause(error)]) from error
        except ExceptionGroup as group:
            refused = [error for error in group.exceptions if isinstance(error, OutrigError)]
            if len(refused) < len(group.exceptions):
                raise
            raise not_valid(map(_cause, refused)) from group


def _cause(error: OutrigError) -> Cause:
    return Cause(error.place, sentence(error))


def _no_mesh(place: Place) -> Cause:
    return Cause("mesh", f"mesh of name {shown(place.mesh)} is not found [{stores.NotFound.code}]")


async def _check_mesh(tx: Transaction, place: Place, wanted: Resource) -> None:
    """Raises Refusal (400): there is no such mesh, or it does not take the Dataplane."""
    if not place.in_mesh:
        return
    mesh = await tx.get(mesh_key(place.mesh)) if is_mesh_name(place.mesh) else None
    if mesh is None:
        raise Refusal("BadRequest", PROCESS, "Mesh is not found", [_no_mesh(place)])
    refused = allowed(mesh, wanted) if id_of(place.kind) == DATAPLANE else None
    if refused:
        raise not_valid([cause_of(refused)])


def _overruled(sent: Mapping[str, Any], stored: Resource) -> tuple[str, ...]:
    """What its author said of a Dataplane's inbounds, and their probes say otherwise."""
    if (stored.key.group, stored.key.kind) != DATAPLANE:
        return ()
    return tuple(map(warning, overruled(sent, probed_body(stored), origin=stored.key)))


async def _rivals(tx: Transaction, resource: Resource, kind: Kind) -> tuple[str, ...]:
    """What its author should hear of it beside the others of its kind in its mesh."""
    if kind.rivals is None:
        return ()
    there = await tx.list(Query(kinds=(id_of(kind),), mesh=resource.key.mesh))
    return tuple(map(warning, kind.rivals(resource, [one for one in there if one.key != resource.key])))


async def _empty_mesh(tx: Transaction, name: str) -> None:
    """Delete what is in a mesh. Raises Refusal (400) where Dataplanes or Namespaces are."""
    inside = [one for one in await tx.list(Query(mesh=name)) if one.key != mesh_key(name)]
    namespaces = await tx.list(Query(kinds=((NAMESPACE.group, NAMESPACE.name),)))
    attached = [one for one in inside if (one.key.group, one.key.kind) == DATAPLANE]
    _refuse_attached(attached, "dataplanes")
    _refuse_attached([one for one in namespaces if mesh_of(one) == name], "namespaces")
    for resource in inside:
        if await tx.get(resource.key) is not None:
            await delete_with_dependents(tx, resource.key)


def _refuse_attached(attached: Sequence[Resource], what: str) -> None:
    if attached:
        named = ", ".join(one.key.name for one in attached[:3])
        more = f" and {len(attached) - 3} more" if len(attached) > 3 else ""
        why = f"unable to delete mesh, there are still some {what} attached: {named}{more}"
        raise not_valid([Cause("mesh", why)], title=DELETE)
