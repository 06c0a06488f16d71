"""Which mesh a Namespace may belong to: one that exists, and the same as long as anybody is in it.

In: the Namespace as it was and as it is to be. Out: nothing, or an ApiError (422). Other kinds pass.
"""

from typing import Final

from outrig.api.kube.statuses import Subject, invalid
from outrig.api.projection import MESH
from outrig.api.refusals import Cause
from outrig.dialects.core.namespace import DEFAULT_MESH, MESH_LABEL, NAMESPACE, mesh_of
from outrig.dialects.istio.workload_entry import WORKLOAD_ENTRY
from outrig.resources import Key, Resource
from outrig.store.protocol import Query, Transaction

_FIELD: Final = f"metadata.labels[{MESH_LABEL}]"


async def check_membership(tx: Transaction, before: Resource | None, now: Resource, subject: Subject) -> None:
    """Raises ApiError (422) for a mesh that there is not, or that may not be changed now."""
    if (now.key.group, now.key.kind) != (NAMESPACE.group, NAMESPACE.name):
        return
    mesh, was = mesh_of(now), mesh_of(before) if before else None
    if mesh != DEFAULT_MESH and await tx.get(Key(*MESH, mesh, "", mesh)) is None:
        raise _wrong(subject, f'there is no mesh "{mesh}": write it first, at /meshes/{mesh}')
    inside = Query(kinds=((WORKLOAD_ENTRY.group, WORKLOAD_ENTRY.name),), namespace=now.key.name)
    if was not in (None, mesh) and await tx.list(inside):
        raise _wrong(subject, f'the namespace has workloads in mesh "{was}", and cannot leave it before they have gone')


def _wrong(subject: Subject, why: str) -> Exception:
    return invalid(subject, [Cause(_FIELD, f"Invalid value: {why}")])
