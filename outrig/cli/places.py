"""Where resources are in the control plane's API, in either dialect.

In: a document, or the name that a user gives to a kind. Out: paths. Refuses kinds that nobody serves.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from outrig.cli.documents import BadDocument, Document
from outrig.dialects import kuma
from outrig.dialects.kind import Kind
from outrig.dialects.kuma.group import GROUP
from outrig.errors import OutrigError, did_you_mean
from outrig.server.kinds import KINDS

DEFAULT_MESH: Final = "default"
DEFAULT_NAMESPACE: Final = "default"


class UnknownKind(OutrigError):
    """No kind is called that."""

    code = "OUT906"


@dataclass(frozen=True, slots=True)
class Target:
    """A resource: how people name it, its path, and the path of the list it is in."""

    shown: str
    path: str
    collection: str


def is_kuma(kind: Kind) -> bool:
    """Whether the kind is of Kuma's dialect, so that Kuma's API serves it."""
    return kind in kuma.KINDS


def target_of(document: Document) -> Target:
    """What a document is about. Raises BadDocument, UnknownKind."""
    return _kuma_target(document) if document.type else _kube_target(document)


def kind_named(word: str) -> Kind:
    """The kind that a user means: its name, plural, singular or short name, in any case. Raises UnknownKind."""
    wanted = word.lower().replace("-", "")
    for kind in (*kuma.KINDS, *KINDS):
        names = (kind.name, kind.plural, kind.singular, *kind.short_names)
        if wanted in {name.lower().replace("-", "") for name in names}:
            return kind
    for refused in kuma.REFUSED:
        if wanted in (refused.name.lower(), refused.plural.replace("-", "")):
            raise UnknownKind(word, refused.sentence)
    known = {kind.plural for kind in (*kuma.KINDS, *KINDS)}
    raise UnknownKind(word, "is no kind", did_you_mean(word.lower(), known))


def collection_path(kind: Kind, mesh: str, namespace: str) -> str:
    """The path of all resources of a kind in a mesh or namespace; where that is empty, everywhere."""
    if not is_kuma(kind):
        return _kube_collection(kind, namespace if kind.namespaced else "")
    inside = f"/meshes/{quote(mesh)}" if mesh and kind.mesh_scoped and kind.name != "Mesh" else ""
    return f"{inside}/{kind.plural}"


def _kuma_target(document: Document) -> Target:
    kind = next((kind for kind in kuma.KINDS if kind.name == document.type), None)
    if kind is None:
        place, refused = f"{document.place} type", {one.name: one.sentence for one in kuma.REFUSED}
        if document.type in refused:
            raise UnknownKind(place, refused[document.type])
        raise UnknownKind(place, f"{document.type!r} is no type", _near(document.type))
    name = _text(document, document.content, "name")
    mesh = str(document.content.get("mesh") or DEFAULT_MESH)
    collection = collection_path(kind, mesh, "")
    in_mesh = kind.mesh_scoped and kind.name != "Mesh"
    return Target(f"{kind.name} {f'{mesh}/' if in_mesh else ''}{name}", f"{collection}/{quote(name)}", collection)


def _kube_target(document: Document) -> Target:
    version, name = _text(document, document.content, "apiVersion"), _text(document, document.content, "kind")
    group = version.rpartition("/")[0]
    kind = next((kind for kind in KINDS if (kind.group, kind.name) == (group, name)), None)
    if kind is None and group == GROUP:
        hint = "write type, mesh, name, and the content beside them"
        raise UnknownKind(f"{document.place} kind", f"{name} has Kubernetes' form, which Kuma's kinds do not", hint)
    if kind is None:
        raise UnknownKind(
            f"{document.place} kind",
            f"{version} {name} is not served",
            did_you_mean(name, {kind.name for kind in KINDS}),
        )
    metadata = document.content.get("metadata")
    if not isinstance(metadata, Mapping):
        raise BadDocument(document.place, "has no metadata", "it names the resource")
    called = _text(document, metadata, "name")
    namespace = str(metadata.get("namespace") or DEFAULT_NAMESPACE) if kind.namespaced else ""
    collection = _kube_collection(kind, namespace, version=version.rpartition("/")[2])
    shown = f"{kind.name} {f'{namespace}/' if namespace else ''}{called}"
    return Target(shown, f"{collection}/{quote(called)}", collection)


def _kube_collection(kind: Kind, namespace: str, *, version: str = "") -> str:
    version = version or kind.versions[0]
    root = f"/apis/{kind.group}/{version}" if kind.group else f"/api/{version}"
    return f"{root}/namespaces/{quote(namespace)}/{kind.plural}" if namespace else f"{root}/{kind.plural}"


def _text(document: Document, fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        raise BadDocument(document.place, f"has no {name}", "text is expected; put it in quotes if it is a number")
    return value


def _near(word: str) -> str:
    return did_you_mean(word, {kind.name for kind in kuma.KINDS})
