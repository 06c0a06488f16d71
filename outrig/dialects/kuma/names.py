"""Which names resources may have. Source: Kuma's `ValidateMeta`: an RFC 1123 subdomain; a mesh's name is shorter."""

from collections.abc import Iterator
from typing import Final

from outrig.dialects import syntax
from outrig.dialects.findings import BAD_NAME, Place
from outrig.dialects.kuma.group import GROUP
from outrig.errors import Finding
from outrig.resources import Key

_MAX_MESH: Final = 63
_RULE: Final = "lower-case letters, digits, '-' and '.', beginning and ending with a letter or digit"
_OF_MESH: Final = "the label kuma.io/mesh has it as its value, which is no longer"


def name_findings(key: Key) -> Iterator[Finding]:
    """What is wrong with the name of a resource, and with that of the mesh that it says it is in."""
    if (key.group, key.kind) == (GROUP, "Mesh"):
        yield from _findings(Place(key, "name"), key.name, _MAX_MESH, why=_OF_MESH)
        return
    yield from _findings(Place(key, "name"), key.name, syntax.LONGEST_SUBDOMAIN, why="as names of DNS")
    if key.mesh:
        yield from _findings(Place(key, "mesh"), key.mesh, _MAX_MESH, why=_OF_MESH)


def _findings(place: Place, name: str, longest: int, *, why: str) -> Iterator[Finding]:
    if len(name) > longest:
        yield place.error(BAD_NAME, f"must have at most {longest} characters, and has {len(name)}", why)
    elif not syntax.is_dns_subdomain(name):
        yield place.error(BAD_NAME, "invalid characters", f"must consist of {_RULE}")


def is_mesh_name(name: str) -> bool:
    """Whether a mesh may be called that."""
    return len(name) <= _MAX_MESH and syntax.is_dns_subdomain(name)
