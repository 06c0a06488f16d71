"""The kinds of Kuma's API: those served, those refused, and how their resources are named.

In: kinds. Out: `Catalog`. Plurals are found with or without their dashes, as Kuma's own clients write both.
"""

from dataclasses import dataclass
from typing import Final

from outrig.dialects import syntax
from outrig.dialects.kind import Kind
from outrig.dialects.kuma import RefusedKind
from outrig.dialects.kuma.group import GROUP
from outrig.dialects.kuma.names import is_mesh_name
from outrig.resources import Key, Resource

MESH: Final = (GROUP, "Mesh")
DATAPLANE: Final = (GROUP, "Dataplane")
SECRET: Final = (GROUP, "Secret")
GLOBAL_SECRET: Final = (GROUP, "GlobalSecret")
ZONES: Final = ((GROUP, "Zone"), (GROUP, "ZoneIngress"), (GROUP, "ZoneEgress"))
SECRETS: Final = (SECRET, GLOBAL_SECRET)


@dataclass(frozen=True, slots=True)
class Catalog:
    """All kinds."""

    kinds: tuple[Kind, ...]
    refused: tuple[RefusedKind, ...]

    def find(self, plural: str) -> Kind | RefusedKind | None:
        """The kind that a path names."""
        asked = _plain(plural)
        known: tuple[Kind | RefusedKind, ...] = (*self.kinds, *self.refused)
        return next((kind for kind in known if _plain(kind.plural) == asked), None)

    @property
    def plurals(self) -> tuple[str, ...]:
        """Every plural, in each spelling."""
        known = [*(kind.plural for kind in self.kinds), *(kind.plural for kind in self.refused)]
        return tuple(dict.fromkeys((*known, *map(_plain, known))))


def id_of(kind: Kind) -> tuple[str, str]:
    """Group and name, as queries name kinds."""
    return kind.group, kind.name


def is_policy(kind: Kind) -> bool:
    """Whether the kind says something about other things, by a `targetRef`."""
    return kind.name.startswith("Mesh") and id_of(kind) != MESH


def key_of(kind: Kind, mesh: str, name: str) -> Key:
    """The key of a resource. A Mesh belongs to itself."""
    belongs = name if id_of(kind) == MESH else mesh if kind.mesh_scoped else ""
    return Key(kind.group, kind.name, belongs, "", name)


def mesh_key(name: str) -> Key:
    """The key of a Mesh."""
    return Key(*MESH, name, "", name)


def is_name(kind: Kind, name: str) -> bool:
    """Whether a resource of the kind can be called so."""
    return is_mesh_name(name) if id_of(kind) == MESH else syntax.is_dns_subdomain(name)


def shown_mesh(resource: Resource) -> str:
    """The mesh that a resource is shown in; empty for a global one, and for a Mesh."""
    key = resource.key
    return "" if (key.group, key.kind) == MESH else key.mesh


def _plain(plural: str) -> str:
    return plural.replace("-", "")
