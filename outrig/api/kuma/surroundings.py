"""What an overview of a Dataplane says of its mesh: which backend signs, and that its authority is about to end.

In: the store, meshes, the time. Out: that of each mesh.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from outrig.admission.ending import ending_of
from outrig.api.judging import warning
from outrig.dialects.kuma.mesh import enabled_backend, mesh_key
from outrig.store.protocol import Store


@dataclass(frozen=True, slots=True)
class Surroundings:
    """`backend`: the one that is enabled; empty: mutual TLS is off. `warnings`: what its owner should hear."""

    backend: str = ""
    warnings: tuple[str, ...] = ()


async def surroundings(store: Store, meshes: Iterable[str], now: datetime) -> Mapping[str, Surroundings]:
    """Those of each mesh. Raises Unavailable."""
    return {name: await _of(store, name, now) for name in set(meshes)}


async def _of(store: Store, name: str, now: datetime) -> Surroundings:
    mesh = await store.get(mesh_key(name))
    backend = enabled_backend(mesh) if mesh else None
    warnings = map(warning, await ending_of(store, name, now))
    return Surroundings(backend.name if backend else "", tuple(warnings))
