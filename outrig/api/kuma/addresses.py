"""What a path of Kuma's API names: a kind by its plural, perhaps a mesh and a name, perhaps a view of it.

In: a path. Out: an `Address`; None for a path that can name nothing.
"""

from dataclasses import dataclass
from typing import Final

OVERVIEW: Final = "_overview"
_INSIGHTS: Final = "+insights"  # how overviews were asked for before


@dataclass(frozen=True, slots=True)
class Address:
    """`mesh` is empty for global kinds and for a list across meshes, `name` for a list, `view` for the thing itself."""

    plural: str
    mesh: str = ""
    name: str = ""
    view: str = ""


def first_word(path: str) -> str:
    """The first word of a path, by which it is known whose it is; empty for `/`."""
    return path.lstrip("/").partition("/")[0].removesuffix(_INSIGHTS)


def parse_path(path: str) -> Address | None:
    """`/meshes/{mesh}/{plural}/{name}/{view}`, of which all but the plural may be missing. A Mesh is in no mesh."""
    parts = path.strip("/").split("/")
    if not all(parts):
        return None
    inside = parts[0] == "meshes" and len(parts) > 2 and not parts[2].startswith("_")
    mesh, (plural, *rest) = (parts[1], parts[2:]) if inside else ("", parts)
    name = rest.pop(0) if rest and not rest[0].startswith("_") else ""
    view = "/".join(rest)
    if plural.endswith(_INSIGHTS):
        plural, view = plural.removesuffix(_INSIGHTS), view or OVERVIEW
    return Address(plural, mesh, name, view)
