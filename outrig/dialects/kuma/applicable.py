"""Which permissions are for which inbounds of a Dataplane: what the control plane decides, told to people.

In: a Dataplane and the MeshTrafficPermissions of its mesh. Out: for each inbound those that are for it, in the order of
their precedence, the last to speak last.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from outrig.dialects.kind import Scope
from outrig.dialects.kuma.dataplane import NAME_LABEL, networking_of
from outrig.dialects.kuma.dataplane_spec import Inbound
from outrig.dialects.kuma.mesh_traffic_permission import MESH_TRAFFIC_PERMISSION
from outrig.dialects.kuma.tags import namespace_of
from outrig.model import Access, Labels, Policy, labels_of
from outrig.resources import Resource

_ANYWHERE: Final = Scope(mesh_of=lambda _: "", trust_domain=lambda _: "")  # a permission asks for neither


@dataclass(frozen=True, slots=True)
class Guarded:
    """An inbound and the permissions that are for it."""

    inbound: Inbound
    permissions: tuple[Resource, ...]


def guarded_inbounds(dataplane: Resource, permissions: Iterable[Resource]) -> list[Guarded]:
    """The inbounds of a Dataplane, each with the permissions that are for it."""
    ranked = sorted(_compiled(permissions), key=lambda pair: pair[1].rank)
    labels = labels_of({**dataplane.labels, NAME_LABEL: dataplane.key.name})
    namespace = namespace_of(dataplane.key.mesh)
    return [
        Guarded(one, tuple(resource for resource, policy in ranked if _is_for(policy, one, namespace, labels)))
        for one in networking_of(dataplane).inbound
        if one.listens
    ]


def _compiled(permissions: Iterable[Resource]) -> Iterator[tuple[Resource, Policy[Access]]]:
    for resource in permissions:
        for policy in MESH_TRAFFIC_PERMISSION.compile(resource, _ANYWHERE):
            if isinstance(policy, Policy) and isinstance(policy.settings, Access):
                yield resource, policy


def _is_for(policy: Policy[Access], inbound: Inbound, namespace: str, labels: Labels) -> bool:
    access = policy.settings
    chosen = policy.applies_to.matches(namespace, inbound.labels if access.of_ports else labels)
    return chosen and access.section in ("", inbound.name or str(inbound.port))
