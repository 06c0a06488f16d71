"""Which names resources may have. Source: Kuma's `ValidateMeta`: an RFC 1123 subdomain; a mesh's name is shorter."""

from collections.abc import Iterator
from typing import Final

from outrig.dialects import syntax
from outrig.dialects.findings import BAD_NAME, Place
from outrig.errors import Finding
from outrig.resources import Key

_MAX_MESH: Final = 63
_RULE: Final = "lower-case letters, digits, '-' and '.', beginning and ending with a letter or digit"


def dataplane_name_findings(key: Key) -> Iterator[Finding]:
    """What is wrong with the name of a Dataplane, and of the mesh that it says it is in."""
    if not syntax.is_dns_subdomain(key.name):
        yield Place(key, "name").error(BAD_NAME, "invalid characters", f"at most 253 {_RULE}")
    if not is_mesh_name(key.mesh):
        yield Place(key, "mesh").error(BAD_NAME, "is no name of a mesh", f"at most {_MAX_MESH} {_RULE}")


def mesh_name_findings(key: Key) -> Iterator[Finding]:
    """What is wrong with the name of a Mesh."""
    if not is_mesh_name(key.name):
        yield Place(key, "name").error(BAD_NAME, "invalid characters", f"at most {_MAX_MESH} {_RULE}")


def is_mesh_name(name: str) -> bool:
    """Whether a mesh may be called that."""
    return len(name) <= _MAX_MESH and syntax.is_dns_subdomain(name)
