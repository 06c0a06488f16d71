"""Who claims which fields of an object, and what becomes of the claims when somebody writes.

In: claims, the object before and after or a configuration, its shape, the writer. Out: the merged object, new claims.
Raises `Conflicts` where a configuration contradicts what others have written. All versions of a kind have one form
here, so claims made through another version count as they are.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from outrig.api.kube.ownership.merging import merge, with_named, without
from outrig.api.kube.ownership.paths import EMPTY, FieldSet, Path, field
from outrig.api.kube.ownership.shapes import Shape
from outrig.api.kube.ownership.walks import Comparison, compare, fields_of

APPLY: Final = "Apply"
UPDATE: Final = "Update"
ANCIENT: Final = "ancient-changes"
MOST_UPDATERS: Final = 10
"""Kubernetes keeps that many who update; older ones become `ancient-changes`."""

_NAMES: Final = ("name", "namespace", "creationTimestamp", "selfLink", "uid", "clusterName", "generation",
                 "managedFields", "resourceVersion")  # fmt: skip
NOBODYS: Final[FieldSet] = frozenset(
    {(field("apiVersion"),), (field("kind"),), (field("metadata"),)}
    | {(field("metadata"), field(name)) for name in _NAMES}
)
"""What names an object or is the server's: never anybody's own."""


@dataclass(frozen=True, slots=True, order=True)
class Writer:
    """Who writes. `version`, the apiVersion that was written through, tells apart those who update."""

    operation: str
    name: str
    version: str = ""
    subresource: str = ""

    def __str__(self) -> str:
        """As Kubernetes' messages name it."""
        within = f' with subresource "{self.subresource}"' if self.subresource else ""
        return f'"{self.name}"{within}' + (f" using {self.version}" if self.operation == UPDATE else "")


@dataclass(frozen=True, slots=True)
class Claim:
    """What a writer has written, through which apiVersion, and when last."""

    fields: FieldSet
    version: str
    time: datetime | None = None


Claims = Mapping[Writer, Claim]


@dataclass(frozen=True, slots=True)
class Edit:
    """One write: by whom, through which apiVersion, when."""

    writer: Writer
    version: str
    time: datetime

    def claim(self, fields: FieldSet) -> Claim:
        """What the writer claims by it."""
        return Claim(fields, self.version, self.time)


class Conflicts(Exception):
    """A configuration contradicts what others have written: each of them with the place."""

    def __init__(self, found: Iterable[tuple[Writer, Path]]) -> None:
        super().__init__()
        self.found = tuple(sorted(found))


def update(before: Any, after: Any, shape: Shape, *, claims: Claims, edit: Edit) -> Claims:
    """The claims once an object was replaced: the writer owns what is new or other, and nobody what is gone."""
    change = compare(before, after, shape)
    left = _conceded(claims, change)
    taken = change.written - NOBODYS
    if taken:
        owned = left[edit.writer].fields if edit.writer in left else EMPTY
        left[edit.writer] = edit.claim(owned | taken)
    return _capped(left)


def apply(live: Any, config: Any, shape: Shape, *, claims: Claims, edit: Edit, force: bool) -> tuple[Any, Claims]:
    """The live object with the configuration applied, and the claims then.

    What the writer applied before and neither says now nor shares with anybody is taken out. Raises Conflicts, unless
    forced; then the others lose what they claimed.
    """
    said = fields_of(config, shape)
    before = claims.get(edit.writer)
    others = {writer: claim for writer, claim in claims.items() if writer != edit.writer}
    merged = merge(live, config, shape)
    if before:
        owned = said.union(*(claim.fields for claim in others.values()))
        merged = _pruned(merged, before.fields, owned, shape)
    change = compare(live, merged, shape)
    if not force:
        _require_agreement(others, change)
    left = _conceded(others, change)
    if said - NOBODYS:
        left[edit.writer] = edit.claim(said - NOBODYS)
    return merged, _capped(left)


def _require_agreement(others: Claims, change: Comparison) -> None:
    found = [(writer, path) for writer, claim in others.items() for path in claim.fields & change.written]
    if found:
        raise Conflicts(found)


def _conceded(claims: Claims, change: Comparison) -> dict[Writer, Claim]:
    """The claims without what was written by somebody else or is gone; those who own nothing are left out."""
    lost = change.written | change.removed
    left = {writer: replace(claim, fields=claim.fields - lost) for writer, claim in claims.items()}
    return {writer: claim for writer, claim in left.items() if claim.fields}


def _pruned(merged: Any, last: FieldSet, owned: FieldSet, shape: Shape) -> Any:
    """Without what was applied last time and nobody owns now, and what is within that."""
    last, owned = with_named(last, shape), with_named(owned, shape)
    return without(merged, last - owned, shape)


def _capped(claims: dict[Writer, Claim]) -> Claims:
    """Of too many who update, the oldest of each apiVersion as one."""
    updaters = sorted(
        (writer for writer in claims if writer.operation == UPDATE),
        key=lambda writer: (_seconds(claims[writer].time), writer),
    )
    excess, firsts, left = len(updaters) - MOST_UPDATERS, dict[str, Writer](), dict(claims)
    for writer in updaters if excess > 0 else ():
        bucket = Writer(UPDATE, ANCIENT, writer.version)
        first = bucket if bucket in left else firsts.setdefault(writer.version, writer)
        if first != writer and excess:
            older, newer = left.pop(first), left.pop(writer)
            left[bucket] = replace(newer, fields=older.fields | newer.fields)
            excess -= 1
    return left


def _seconds(time: datetime | None) -> float:
    return time.timestamp() if time else 0.0
