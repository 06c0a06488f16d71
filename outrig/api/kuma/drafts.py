"""A user's document of Kuma's form, judged beside the URL it was sent to.

In: a document as decoded, its kind, and the mesh and name in the URL. Out: the resource it asks for, with warnings.
Refuses, with every problem at once: what disagrees with the URL, labels that are the control plane's, and all that is
wrong with the document by itself. Nothing is converted.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from outrig.api.judging import warning
from outrig.api.kuma.catalog import MESH, id_of, key_of
from outrig.api.kuma.documents import computed_labels
from outrig.api.kuma.refusals import not_valid
from outrig.api.projection import NAME_LABEL
from outrig.dialects.causes import Cause, in_order, shown
from outrig.dialects.kind import Kind
from outrig.dialects.kuma.document import take_apart
from outrig.resources import Resource


@dataclass(frozen=True, slots=True)
class Draft:
    """A resource as its author wants it, and what the author should hear."""

    resource: Resource
    warnings: tuple[str, ...]


def read_draft(written: Mapping[str, Any], kind: Kind, *, mesh: str, name: str) -> Draft:
    """Take a document apart. Raises Refusal (400)."""
    draft = take_apart(written, kind, key_of(kind, mesh, name))
    labels, computed = draft.resource.labels, computed_labels(kind, mesh, written)
    disagreements = _disagreements(written, kind, mesh=mesh, name=name)
    if problems := [*disagreements, *_managed(labels, computed), *draft.problems(written)]:
        raise not_valid(in_order(problems, written))
    own = {key: value for key, value in labels.items() if key not in computed}
    return Draft(replace(draft.resource, labels=own), tuple(map(warning, draft.findings)))


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
        said = written.get(field)
        if said != value and (said not in (None, "") or field == "type"):
            yield Cause(field, f"{field} from the URL has to be the same as in body: {shown(said)}")


def _managed(labels: Mapping[str, str], computed: Mapping[str, str]) -> Iterator[Cause]:
    """Labels that the control plane computes, and that somebody wants to be otherwise."""
    for key in sorted(computed.keys() & labels.keys()):
        if labels[key] != computed[key]:
            why = f'is managed by the control plane: got "{labels[key]}", expected "{computed[key]}"'
            yield Cause(f'labels["{key}"]', f'label "{key}" {why}')
