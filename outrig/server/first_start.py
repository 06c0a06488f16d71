"""What an installation has from its first start on: the namespace and the mesh `default`, keys that sign tokens.

In: settings of what is wanted. Out: what is missing, written. Replicas may start at once: who comes second finds it.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from outrig.admission.meshes import Meshes
from outrig.dialects.core import NAMESPACE
from outrig.dialects.kuma.mesh import DEFAULT_MESH, mesh_key
from outrig.resources import Key, Resource
from outrig.store.protocol import AlreadyExists, Conflict, Store, Transaction
from outrig.tokens.keys import USER, ZONE
from outrig.tokens.tokens import Tokens, ensure_admin_token, ensure_signing_key

DEFAULT_NAMESPACE: Final = Key(NAMESPACE.group, NAMESPACE.name, "", "", "default")
_TRIES: Final = 5


@dataclass(frozen=True, slots=True)
class Defaults:
    """What there is to be. `mesh`: the mesh `default`; `admin_token`: the GlobalSecret that Kuma has."""

    meshes: Meshes
    tokens: Tokens
    mesh: bool = True
    admin_token: bool = True


async def write_defaults(store: Store, defaults: Defaults, now: datetime) -> None:
    """Create what is missing; safe to run again. Raises TrustDomainChanged, Unavailable."""
    for _ in range(_TRIES - 1):
        try:
            return await _write(store, defaults, now)
        except (AlreadyExists, Conflict):  # another replica was faster
            continue
    return await _write(store, defaults, now)


async def _write(store: Store, defaults: Defaults, now: datetime) -> None:
    async with store.transaction() as tx:
        if await tx.get(DEFAULT_NAMESPACE) is None:
            await tx.create(Resource(DEFAULT_NAMESPACE, body={"spec": {}}))
        await _keep_mesh(tx, defaults)
        for ring in (ZONE, USER):
            await ensure_signing_key(tx, ring)
        if defaults.admin_token:
            await ensure_admin_token(tx, defaults.tokens, now=now)


async def _keep_mesh(tx: Transaction, defaults: Defaults) -> None:
    """Also of one that is there: its authority may be missing, or be of another trust domain than is set."""
    mesh = await tx.get(mesh_key(DEFAULT_MESH))
    if mesh is None and defaults.mesh:
        mesh = await tx.create(Resource(mesh_key(DEFAULT_MESH)))
    if mesh is not None:
        await defaults.meshes(tx, DEFAULT_MESH, mesh)
