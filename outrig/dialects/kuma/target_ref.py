"""References to what a policy is for, and to whom it is about: Kuma's `targetRef`.

In: what was written. Out: findings about it; ranks, by which the closer reference wins.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Final, Literal

from pydantic import Field

from outrig.dialects.findings import INVALID, MISSING, NOT_SUPPORTED, Place
from outrig.dialects.kuma.form import KumaForm
from outrig.dialects.kuma.tags import is_value, tag_findings
from outrig.dialects.schema import QUOTED
from outrig.errors import Finding, did_you_mean

Words = dict[str, Annotated[str, QUOTED]]

# The fields that each kind may have, and those of them that it must have. In the order of precedence.
_FIELDS: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "Mesh": ((), ()),
    "Dataplane": (("labels", "name", "sectionName"), ()),
    "MeshSubset": (("tags",), ()),
    "MeshService": (("name",), ("name",)),
    "MeshServiceSubset": (("name", "tags"), ("name",)),
}
TARGETS: Final = tuple(_FIELDS)
CALLERS: Final = tuple(kind for kind in _FIELDS if kind != "Dataplane")
_LATER_KINDS: Final = ("MeshGateway", "MeshExternalService", "MeshMultiZoneService", "MeshHTTPRoute")
_LATER_FIELDS: Final = ("mesh", "namespace", "proxyTypes")
_HINTS: Final = {"tags": "MeshSubset and MeshServiceSubset have tags", "labels": "Dataplane has labels"}


class TargetRef(KumaForm):
    """What is meant."""

    kind: str = Field(description="Mesh, Dataplane, MeshSubset, MeshService or MeshServiceSubset.")
    name: str = Field(default="", description="Name of the Dataplane or, as in the tag kuma.io/service, the service.")
    tags: Words = Field(default={}, description="Tags that an inbound has: MeshSubset, MeshServiceSubset.")
    labels: Words = Field(default={}, description="Labels that the Dataplane has.")
    section_name: str = Field(default="", description="Name or port of an inbound of the Dataplane.")
    mesh: str = Field(default="", description="Not supported yet.")
    namespace: str = Field(default="", description="Not supported yet.")
    proxy_types: list[Literal["Sidecar", "Gateway"]] = Field(default=[], description="Not supported yet.")


EVERYWHERE: Final = TargetRef(kind="Mesh")


def rank_of(target: TargetRef, name: str) -> tuple[int, ...]:
    """The precedence of a policy of that name: the highest is the last to speak. Source: Kuma's `ByTargetRef`.

    Of two that are equal otherwise the one whose name sorts first wins.
    """
    closeness = 2 * bool(target.labels) + 4 * bool(target.name) + bool(target.section_name)
    return (TARGETS.index(target.kind), closeness, *(-ord(letter) for letter in name), 1)


def target_findings(place: Place, target: TargetRef, allowed: tuple[str, ...]) -> Iterator[Finding]:
    """What is wrong with a reference, of which only these kinds may be there."""
    if target.kind not in allowed:
        known = target.kind in (*_LATER_KINDS, *_FIELDS)
        code, problem = (NOT_SUPPORTED, "is not supported here") if known else (INVALID, "is no kind")
        yield (place / "kind").error(code, f"{target.kind!r} {problem}", did_you_mean(target.kind, allowed))
        return
    yield from _field_findings(place, target)
    yield from tag_findings(place / "tags", target.tags)


def _field_findings(place: Place, target: TargetRef) -> Iterator[Finding]:
    may, must = _FIELDS[target.kind]
    given = _given(target)
    for field in given:
        if field in _LATER_FIELDS:
            yield (place / field).error(NOT_SUPPORTED, "is not supported yet")
        elif field not in may:
            yield (place / field).error(INVALID, f"must not be set with kind {target.kind}", _HINTS.get(field, ""))
    for field in must:
        if field not in given:
            yield (place / field).error(MISSING, f"must be set with kind {target.kind}")
    if "name" in must and target.name and not is_value(target.name):
        hint = "kind Mesh means all" if target.name == "*" else "it is the value of the tag kuma.io/service"
        yield (place / "name").error(INVALID, "is no name of a service", hint)
    if target.kind == "Dataplane" and target.name and target.labels:
        yield (place / "labels").error(INVALID, "either labels or name can be specified")


def _given(target: TargetRef) -> list[str]:
    written = target.model_dump(by_alias=True)
    return [field for field, value in written.items() if field != "kind" and value]
