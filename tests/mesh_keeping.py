"""A mesh's authority in a store, without all that comes with a Mesh."""

from datetime import UTC, datetime

from outrig.ca.meshes import MeshAuthority, Wanted, authority_body, authority_key, read_mesh_authority
from outrig.ca.settings import CaSettings
from outrig.resources import Resource
from outrig.store.protocol import Store


async def make_authority(
    store: Store, mesh: str = "default", *, settings: CaSettings | None = None, now: datetime | None = None
) -> MeshAuthority:
    """Make it where there is none."""
    key = authority_key(mesh)
    async with store.transaction() as tx:
        stored = await tx.get(key)
        if stored is None:
            moment = now or datetime.now(UTC)
            body = authority_body(None, Wanted(), mesh=mesh, settings=settings or CaSettings(), now=moment)
            stored = await tx.create(Resource(key, body=body))
    return read_mesh_authority(stored)
