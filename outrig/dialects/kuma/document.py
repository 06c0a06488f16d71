"""Documents of Kuma's form: `type`, `mesh`, `name`, `labels`, then what the kind says. Files hold them, and requests.

In: a document as decoded from YAML or JSON. Out: the resource it describes, with defaults, and all that is wrong with
it at once: kinds nobody knows or that are not supported yet, names, labels, unknown fields, wrong types; and what the
kind finds beyond its schema, for whoever asks. What the control plane sets is ignored when somebody sends it back.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final

from outrig.dialects.causes import Cause, Checked, cause_of, check_body, in_order
from outrig.dialects.kind import Kind
from outrig.dialects.kuma import KINDS, REFUSED
from outrig.dialects.kuma.form import KumaForm
from outrig.dialects.kuma.group import GROUP
from outrig.dialects.kuma.mesh import DEFAULT_MESH, mesh_key
from outrig.dialects.kuma.names import name_findings
from outrig.dialects.schema import Labels
from outrig.errors import Finding, OutrigError, Severity, did_you_mean
from outrig.resources import Key, Resource

_META: Final = frozenset({"type", "mesh", "name", "labels"})
_SET_BY_US: Final = frozenset({"creationTime", "modificationTime", "kri", "snis"})
_KINDS: Final = MappingProxyType({kind.name: kind for kind in KINDS})
_REFUSED: Final = MappingProxyType({kind.name: kind for kind in REFUSED})


class InvalidDocument(OutrigError):
    """A document that describes no resource. `causes` holds all that is wrong with it."""

    code = "OUT317"

    def __init__(self, name: str, causes: Iterable[Cause]) -> None:
        self.causes = tuple(causes)
        super().__init__(name or "document", "; ".join(map(str, self.causes)))


class _Envelope(KumaForm):
    type: str = ""
    mesh: str = ""
    name: str = ""
    labels: Labels = {}


@dataclass(frozen=True, slots=True)
class Draft:
    """A document taken apart. `resource` has defaults, and fits its schema where `causes` are empty.

    `causes`: what is wrong, before anybody asks its kind. `content`: its fields beside name, mesh and labels, judged.
    """

    kind: Kind
    resource: Resource
    causes: tuple[Cause, ...]
    content: Checked

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What there is to say of its name, and of its content as far as that fits its schema."""
        named = tuple(name_findings(self.resource.key)) if self.resource.key.name else ()
        if self.content.sound is None:
            return named
        found = self.kind.findings(replace(self.resource, body=self.kind.default(self.content.sound)))
        return (*named, *self.content.own(found))

    def problems(self, written: object) -> tuple[Cause, ...]:
        """All that is wrong, as its author reads on."""
        errors = (cause_of(one) for one in self.findings if one.severity is Severity.ERROR)
        return in_order((*self.causes, *errors), written)


def read(document: object) -> Resource:
    """The resource that a document describes. Raises InvalidDocument.

    What its kind finds in one that is well-formed is not asked for.
    """
    draft = examine(document)
    if draft.causes:
        raise InvalidDocument(f"{draft.kind.name} {draft.resource.key.name}".rstrip(), draft.problems(document))
    return draft.resource


def examine(document: object) -> Draft:
    """A document that says itself what it is about. Raises InvalidDocument only where it has no kind of ours."""
    if not isinstance(document, Mapping):
        raise InvalidDocument("", [Cause("", "must be an object with type, name and the content")])
    name, mesh = (_text(document.get(field)) for field in ("name", "mesh"))
    kind = _kind_of(document.get("type"), name)
    if kind.name == "Mesh":
        return take_apart(document, kind, mesh_key(name))
    return take_apart(document, kind, Key(GROUP, kind.name, (mesh or DEFAULT_MESH) * kind.mesh_scoped, "", name))


def take_apart(document: Mapping[str, Any], kind: Kind, key: Key) -> Draft:
    """A document that is to be of that kind and key."""
    envelope = check_body({field: document[field] for field in _META & document.keys()}, _Envelope, quoted=True)
    apart = _META | _SET_BY_US | ({"status"} if kind.has_status else set())
    sent = {field: value for field, value in document.items() if field not in apart}
    content = check_body(sent, kind.schema, quoted=True)
    labels = {} if envelope.wrong else envelope.body.get("labels") or {}
    body = content.body if content.wrong else kind.default(content.body)
    causes = (*_misplaced(document, kind), *envelope.wrong, *content.causes)
    return Draft(kind, Resource(key, body=body, labels=labels), causes, content)


def _kind_of(word: object, name: str) -> Kind:
    kind = _KINDS.get(word) if isinstance(word, str) else None
    if kind is not None:
        return kind
    if isinstance(word, str) and word in _REFUSED:
        reason = _REFUSED[word].sentence
    elif word in (None, ""):
        reason = "cannot be empty"
    else:
        reason = f"invalid type {word!r} ({did_you_mean(str(word), _KINDS)})"
    raise InvalidDocument(name, [Cause("type", reason)])


def _misplaced(document: Mapping[str, Any], kind: Kind) -> Iterator[Cause]:
    if document.get("name") in (None, ""):
        yield Cause("name", "cannot be empty")
    mesh = document.get("mesh")
    if mesh and not kind.mesh_scoped and not (kind.name == "Mesh" and mesh == document.get("name")):
        yield Cause("mesh", f"a {kind.name} is in no mesh")


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
