"""A user's document of Kuma's form, judged: what it says it is, its labels, its content, what its kind finds.

In: a document as decoded, its kind, and the mesh and name in the URL. Out: the resource it asks for, with warnings.
Refuses, with every problem at once: what disagrees with the URL, unknown fields, wrong values. Nothing is converted.
What the control plane sets (times, `kri`) is ignored when a user sends it back.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from outrig.api.fields import labels as read_labels
from outrig.api.fields import shown
from outrig.api.judging import judged
from outrig.api.kuma.catalog import MESH, id_of, is_name, key_of
from outrig.api.kuma.documents import computed_labels
from outrig.api.kuma.refusals import not_valid
from outrig.api.projection import NAME_LABEL
from outrig.api.refusals import Cause
from outrig.api.schemas import check_body
from outrig.dialects.kind import Kind
from outrig.resources import Resource

_META: Final = frozenset({"type", "mesh", "name", "labels", "creationTime", "modificationTime", "kri", "snis"})


@dataclass(frozen=True, slots=True)
class Draft:
    """A resource as its author wants it, and what the author should hear."""

    resource: Resource
    warnings: tuple[str, ...]


def read_draft(written: Mapping[str, Any], kind: Kind, *, mesh: str, name: str) -> Draft:
    """Take a document apart. Raises Refusal (400)."""
    causes = [*_disagreements(written, kind, mesh=mesh, name=name), *_misnamed(kind, name)]
    labels = _own_labels(written, kind, mesh, causes)
    left_out = _META | {"status"} if kind.has_status else _META
    sent = {field: value for field, value in written.items() if field not in left_out}
    body, unknown, wrong = check_body(sent, kind)
    strange = [Cause(f.path, f"unknown field ({f.hint})" if f.hint else "unknown field") for f in unknown]
    if problems := [*causes, *strange, *wrong]:
        raise not_valid(problems)
    resource = Resource(key_of(kind, mesh, name), body=kind.default(body), labels=labels)
    errors, warnings = judged(resource, kind)
    if errors:
        raise not_valid(errors)
    return Draft(resource, warnings)


def merged(current: Resource, wanted: Resource, *, modified: Mapping[str, str]) -> Resource:
    """The stored resource with what its author decides; the very same object where that is so already.

    `modified`: the annotations of one that was changed. Raises Refusal (400) for another display name.
    """
    if current.body == wanted.body and current.labels == wanted.labels:
        return current
    if NAME_LABEL in current.labels and wanted.labels.get(NAME_LABEL) != current.labels[NAME_LABEL]:
        change = f'from "{current.labels[NAME_LABEL]}" to "{wanted.labels.get(NAME_LABEL, "")}"'
        raise not_valid([Cause(f'labels["{NAME_LABEL}"]', f"is immutable, cannot be changed {change}")])
    annotations = {**current.annotations, **modified}
    return replace(current, body=wanted.body, labels=wanted.labels, annotations=annotations)


def _disagreements(written: Mapping[str, Any], kind: Kind, *, mesh: str, name: str) -> Iterator[Cause]:
    expected = {"type": kind.name, "name": name}
    if kind.mesh_scoped and id_of(kind) != MESH and "mesh" in written:
        expected["mesh"] = mesh
    for field, value in expected.items():
        if written.get(field) != value:
            yield Cause(field, f"{field} from the URL has to be the same as in body: {shown(written.get(field))}")
    if not kind.mesh_scoped and "mesh" in written:
        yield Cause("mesh", f"unknown field: a {kind.name} is in no mesh")


def _misnamed(kind: Kind, name: str) -> Iterator[Cause]:
    rule = "must consist of lower-case letters, digits, '-' and '.', and begin and end with a letter or digit"
    if not is_name(kind, name):
        yield Cause("name", rule)


def _own_labels(written: Mapping[str, Any], kind: Kind, mesh: str, causes: list[Cause]) -> dict[str, str]:
    """The labels without those that the control plane computes, which may be there if they are right."""
    labels = read_labels(written.get("labels"), "labels", causes)
    computed = computed_labels(kind, mesh, written)
    for key in sorted(computed.keys() & labels.keys()):
        if labels[key] != computed[key]:
            why = f'is managed by the control plane: got "{labels[key]}", expected "{computed[key]}"'
            causes.append(Cause(f'labels["{key}"]', f'label "{key}" {why}'))
    return {key: value for key, value in labels.items() if key not in computed}
