"""Which mesh a namespace is in, and what each mesh trusts: what must be known before other resources are compiled."""

from typing import Final

from outrig.dialects.kind import Scope
from outrig.model import Fact, Namespace, Trust
from outrig.resources import Key

DEFAULT_MESH: Final = "default"
DEFAULT_DOMAIN: Final = "cluster.local"


def is_wide(origin: Key) -> bool:
    """Whether a resource may say what others mean: it is in no namespace and in no mesh."""
    return not origin.namespace and not origin.mesh


class Directory:
    """Namespaces and trust, by the resources that said so. Of several with one name the first in order counts."""

    def __init__(self) -> None:
        self._facts: dict[Key, tuple[Namespace | Trust, ...]] = {}
        self._namespaces: dict[str, Namespace] = {}
        self._trusts: dict[str, Trust] = {}

    @property
    def scope(self) -> Scope:
        """What kinds may ask while they compile."""
        return Scope(self.mesh_of, self.trust_domain)

    def replace(self, origin: Key, facts: tuple[Fact, ...]) -> None:
        """What a resource says now, in place of what it said before; other facts are ignored."""
        self._facts.pop(origin, None)
        kept = tuple(fact for fact in facts if isinstance(fact, Namespace | Trust))
        if kept:
            self._facts[origin] = kept
        in_order = [fact for _, some in sorted(self._facts.items(), reverse=True) for fact in some]
        self._namespaces = {fact.name: fact for fact in in_order if isinstance(fact, Namespace)}
        self._trusts = {fact.mesh: fact for fact in in_order if isinstance(fact, Trust)}

    def mesh_of(self, namespace: str) -> str:
        """The mesh of a namespace; of one that nobody described, the default mesh."""
        found = self._namespaces.get(namespace)
        return found.mesh if found else DEFAULT_MESH

    def mesh_of_origin(self, origin: Key) -> str:
        """The mesh that a resource belongs to: its own, or that of its namespace."""
        return origin.mesh or self.mesh_of(origin.namespace)

    def trust_domain(self, mesh: str) -> str:
        """The trust domain of a mesh. Until it is told: `cluster.local` for the default mesh, its name for others."""
        found = self._trusts.get(mesh)
        return found.domain if found else DEFAULT_DOMAIN if mesh == DEFAULT_MESH else mesh

    def authorities(self, mesh: str) -> tuple[str, ...]:
        """The authorities of a mesh; none until they are told."""
        found = self._trusts.get(mesh)
        return found.authorities if found else ()

    def meshes(self) -> list[str]:
        """The meshes that somebody spoke of."""
        return sorted({DEFAULT_MESH, *self._trusts, *(fact.mesh for fact in self._namespaces.values())})
