"""Label and field selectors, as `-l` and `--field-selector` send them.

In: their text. Out: a predicate on resources. Refuses (400) what is no selector, and fields a kind cannot be
selected by. https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from outrig.api.fields import key_problem, value_problem
from outrig.api.refusals import ApiError, bad_request
from outrig.dialects.kind import Kind
from outrig.resources import Resource

REQUIREMENT = re.compile(
    r"\s*(?:"
    r"!\s*(?P<absent>[^\s,()=!<>]+)"
    r"|(?P<key>[^\s,()=!<>]+)(?:"
    r"\s+(?P<set>in|notin)\s*\((?P<members>[^()]*)\)"
    r"|\s*(?P<sign>==|=|!=|[<>])\s*(?P<value>[^\s,()=!<>]*)"
    r")?)\s*(?:,|$)"
)
NUMBER = re.compile(r"[+-]?[0-9]{1,18}")
EVENT_FIELDS = frozenset({f"involvedObject.{part}" for part in (
    "apiVersion", "fieldPath", "kind", "name", "namespace", "resourceVersion", "uid")} | {
    "reason", "reportingComponent", "source", "type"})  # fmt: skip
MOST_TERMS = 100  # each is asked of each object, and a URL has room for 20,000
NAME_FIELDS = frozenset({"metadata.name", "metadata.namespace"})
FIELDS = {
    ("", "Event"): NAME_FIELDS | EVENT_FIELDS,
    ("", "Namespace"): NAME_FIELDS | {"status.phase"},
    ("", "Service"): NAME_FIELDS | {"spec.clusterIP", "spec.type"},
}


@dataclass(frozen=True, slots=True)
class Requirement:
    """One term: the label has one of `values`, or, where that is None, exists; or, negated, not. With `above` or
    `below` it is a number, and greater or less than that.
    """

    key: str
    values: frozenset[str] | None
    negated: bool = False
    above: int | None = None
    below: int | None = None

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Whether labels meet it. A label that is absent meets every negated term."""
        if self.above is not None or self.below is not None:
            said = labels.get(self.key, "")
            return bool(NUMBER.fullmatch(said)) and self._bounds(int(said))
        found = self.key in labels if self.values is None else labels.get(self.key) in self.values
        return found != self.negated

    def _bounds(self, number: int) -> bool:
        return (self.above is None or number > self.above) and (self.below is None or number < self.below)


@dataclass(frozen=True, slots=True)
class Selection:
    """What a list or watch asks for."""

    labels: tuple[Requirement, ...] = ()
    fields: tuple[tuple[str, str, bool], ...] = ()

    @property
    def is_lasting(self) -> bool:
        """Whether no object can enter or leave it as long as it is there."""
        return not self.labels and all(path in NAME_FIELDS for path, _, _ in self.fields)

    def __call__(self, resource: Resource) -> bool:
        return all(term.holds(resource.labels) for term in self.labels) and all(
            (_field(resource, path) == value) != negated for path, value, negated in self.fields
        )


def parse_selection(*, labels: str, fields: str, kind: Kind) -> Selection:
    """Both selectors of a request. Raises ApiError (400)."""
    found = Selection(tuple(_label_terms(labels)), tuple(_field_terms(fields, kind)))
    if len(found.labels) + len(found.fields) > MOST_TERMS:
        raise bad_request(f"selectors may have at most {MOST_TERMS} terms")
    return found


def _label_terms(text: str) -> Iterator[Requirement]:
    position = 0
    while position < len(text):
        found = REQUIREMENT.match(text, position)
        if not found or (found.end() == len(text) and text.rstrip().endswith(",")):
            raise _unparsable(text)
        yield _requirement(found, text)
        position = found.end()


def _requirement(found: re.Match[str], text: str) -> Requirement:
    key = found["absent"] or found["key"]
    if (sign := found["sign"]) in ("<", ">"):
        if key_problem(key) or not NUMBER.fullmatch(found["value"]):
            raise _unparsable(text)
        number = int(found["value"])
        return Requirement(key, None, above=number if sign == ">" else None, below=number if sign == "<" else None)
    if found["set"]:
        values: frozenset[str] | None = frozenset(member.strip() for member in found["members"].split(","))
    else:
        values = frozenset({found["value"]}) if found["sign"] else None
    if key_problem(key) or any(value_problem(value) for value in values or ()):
        raise _unparsable(text)
    return Requirement(key, values, negated=bool(found["absent"]) or found["set"] == "notin" or found["sign"] == "!=")


def _unparsable(text: str) -> ApiError:
    return bad_request(
        f"unable to parse label selector {text!r}: write key=value, key!=value, key in (a,b), key or !key, with commas"
    )


def _field_terms(text: str, kind: Kind) -> Iterator[tuple[str, str, bool]]:
    known = FIELDS.get((kind.group, kind.name), NAME_FIELDS)
    for term in filter(None, text.split(",")):
        path, sign, value = re.split(r"(!=|==|=)", term, maxsplit=1) if "=" in term else (term, "", "")
        if not sign:
            raise bad_request(f"invalid field selector {term!r}: write field=value or field!=value")
        if path not in known:
            raise bad_request(f"field label not supported: {path}; supported: {', '.join(sorted(known))}")
        yield path, value, sign == "!="


def _field(resource: Resource, path: str) -> str:
    if path.startswith("metadata."):
        return resource.key.name if path == "metadata.name" else resource.key.namespace
    if path == "status.phase":
        return "Terminating" if resource.deleting else "Active"
    found: Any = resource.body
    for step in ("source.component" if path == "source" else path).split("."):
        found = found.get(step, "") if isinstance(found, Mapping) else ""
    return str(found)
