"""All resources at once: the plain way, which `Index` must agree with."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

from outrig.compile.directory import Directory, is_wide
from outrig.compile.offers import merged
from outrig.dialects.kind import Kind
from outrig.model import Access, Fact, Group, Mesh, Offer, PeerTls, Policy, ProxyShape, Service, Workload
from outrig.resources import Resource

F = TypeVar("F")


def compile_meshes(resources: Iterable[Resource], kinds: Sequence[Kind]) -> dict[str, Mesh]:
    """The meshes that these resources describe, by name. The order of resources means nothing."""
    known = {(kind.group, kind.name): kind for kind in kinds}
    ordered = sorted((r for r in resources if (r.key.group, r.key.kind) in known), key=lambda resource: resource.key)
    directory = Directory()
    for resource in ordered:
        if is_wide(resource.key):
            directory.replace(
                resource.key, known[resource.key.group, resource.key.kind].compile(resource, directory.scope)
            )
    facts = [
        fact
        for resource in ordered
        for fact in known[resource.key.group, resource.key.kind].compile(resource, directory.scope)
    ]
    meshes = {*directory.meshes(), *(fact.origin.mesh for fact in facts if fact.origin.mesh)}
    return {name: _mesh(name, facts, directory) for name in sorted(meshes)}


def _mesh(name: str, facts: Sequence[Fact], directory: Directory) -> Mesh:
    own = [fact for fact in facts if directory.mesh_of_origin(fact.origin) == name]
    policies = _those(own, Policy)
    return Mesh(
        name=name,
        domain=directory.trust_domain(name),
        authorities=directory.authorities(name),
        services=(*_those(own, Service), *merged(_those(own, Offer))),
        groups=tuple(_those(own, Group)),
        workloads=tuple(_those(own, Workload)),
        shapes=tuple(policy for policy in policies if isinstance(policy.settings, ProxyShape)),
        peer_tls=tuple(policy for policy in policies if isinstance(policy.settings, PeerTls)),
        access=tuple(policy for policy in policies if isinstance(policy.settings, Access)),
    )


def _those(facts: Sequence[Fact], kind: type[F]) -> list[F]:
    return [fact for fact in facts if isinstance(fact, kind)]
