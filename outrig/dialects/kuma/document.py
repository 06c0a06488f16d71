"""Documents of Kuma's form, as files hold them: `type`, `mesh`, `name`, `labels`, then what the kind says.

In: a document as decoded from YAML or JSON. Out: the resource it describes, valid for its schema, with defaults.
Refuses, with every problem at once: kinds nobody knows or that are not supported yet, unknown fields, wrong types. What
the kind finds beyond its schema is for the caller to ask (`Kind.findings`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from pydantic import ValidationError

from outrig.dialects import syntax
from outrig.dialects.kind import Kind
from outrig.dialects.kuma import KINDS, REFUSED
from outrig.dialects.kuma.group import GROUP
from outrig.dialects.kuma.mesh import DEFAULT_MESH, mesh_key
from outrig.errors import OutrigError, did_you_mean
from outrig.resources import Key, Resource

_META: Final = frozenset({"type", "mesh", "name", "labels"})
_SET_BY_US: Final = frozenset({"creationTime", "modificationTime", "kri"})  # ignored when a user sends them back
_KINDS: Final = MappingProxyType({kind.name: kind for kind in KINDS})
_REFUSED: Final = MappingProxyType({kind.name: kind for kind in REFUSED})


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing wrong with a document. `field` is a path such as `networking.inbound[0].port`."""

    field: str
    reason: str

    def __str__(self) -> str:
        return f"{self.field}: {self.reason}" if self.field else self.reason


class InvalidDocument(OutrigError):
    """A document that describes no resource. `violations` holds all that is wrong with it."""

    code = "OUT317"

    def __init__(self, name: str, violations: Sequence[Violation]) -> None:
        self.violations = tuple(violations)
        super().__init__(name or "document", "; ".join(map(str, self.violations)))


def read(document: object) -> Resource:
    """The resource that a document describes. Raises InvalidDocument."""
    if not isinstance(document, Mapping):
        raise InvalidDocument("", [Violation("", "must be an object with type, name and the content")])
    name = str(document.get("name") or "")
    kind = _kind_of(document.get("type"), name)
    body = {field: value for field, value in document.items() if field not in _META | _SET_BY_US}
    violations = [*_envelope(document, kind), *_content(body, kind)]
    if violations:
        raise InvalidDocument(f"{kind.name} {name}".rstrip(), violations)
    return Resource(_key(document, kind, name), body=kind.default(body), labels=document.get("labels") or {})


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
    raise InvalidDocument(name, [Violation("type", reason)])


def _key(document: Mapping[str, Any], kind: Kind, name: str) -> Key:
    if kind.name == "Mesh":
        return mesh_key(name)
    mesh = document.get("mesh") or DEFAULT_MESH
    return Key(GROUP, kind.name, mesh if kind.mesh_scoped else "", "", name)


def _envelope(document: Mapping[str, Any], kind: Kind) -> Iterator[Violation]:
    for field in ("name", "mesh"):
        if not isinstance(document.get(field) or "", str):
            yield Violation(field, "must be text: quote it")
    if not document.get("name"):
        yield Violation("name", "cannot be empty")
    mesh = document.get("mesh")
    if mesh and not (kind.mesh_scoped or mesh == document.get("name")):
        yield Violation("mesh", f"a {kind.name} is in no mesh")
    yield from _labels(document.get("labels"))


def _labels(labels: object) -> Iterator[Violation]:
    if not isinstance(labels or {}, Mapping):
        yield Violation("labels", "must be an object")
        return
    for key, value in (labels or {}).items():  # type: ignore[attr-defined]
        if not (isinstance(key, str) and syntax.is_label_key(key)):
            yield Violation("labels", f"{key!r} is no label key")
        if not (isinstance(value, str) and syntax.is_label_value(value)):
            yield Violation(f'labels["{key}"]', f"{value!r} is no label value")


def _content(body: dict[str, Any], kind: Kind) -> Iterator[Violation]:
    try:
        kind.schema.model_validate(body)
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_context=False):
            said = "unknown field" if problem["type"] == "extra_forbidden" else problem["msg"]
            yield Violation(_path(problem["loc"]), said)


def _path(steps: Sequence[str | int]) -> str:
    written = ""
    for step in steps:
        if isinstance(step, int):
            written += f"[{step}]"
        else:
            written += f'["{step}"]' if "/" in step else f".{step}"
    return written.removeprefix(".")
