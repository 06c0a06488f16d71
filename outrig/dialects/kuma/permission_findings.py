"""What is wrong, or doubtful, with a MeshTrafficPermission, all at once."""

from collections.abc import Iterator
from typing import Final

from outrig.dialects.findings import DEPRECATED, INVALID, MISSING, NOT_HONOURED, NOT_SUPPORTED, SELECTS_NOTHING, Place
from outrig.dialects.kuma.permission_spec import Match, PermissionBody, PermissionSpec, RuleDefault, SpiffeId
from outrig.dialects.kuma.tags import SERVICE, is_value
from outrig.dialects.kuma.target_ref import CALLERS, TARGETS, TargetRef, target_findings
from outrig.dialects.schema import parse
from outrig.errors import Finding
from outrig.resources import Resource

EFFECT: Final = "kuma.io/effect"
_SCHEME: Final = "spiffe://"


def findings(resource: Resource) -> tuple[Finding, ...]:
    """All of them."""
    place, spec = Place(resource.key), parse(PermissionBody, resource).spec
    return (*_of_effect(resource), *_of_spec(place, spec), *_of_from(place, spec), *_of_rules(place, spec))


def _of_effect(resource: Resource) -> Iterator[Finding]:
    effect = resource.labels.get(EFFECT)
    if effect not in (None, "shadow"):
        place = Place(resource.key, "labels")[f'"{EFFECT}"']
        yield place.warning(NOT_HONOURED, f"{effect!r} has no effect", "write shadow, or leave it out")


def _of_spec(place: Place, spec: PermissionSpec) -> Iterator[Finding]:
    if spec.target_ref is not None:
        yield from target_findings(place / "targetRef", spec.target_ref, TARGETS)
        yield from _of_age(place / "targetRef", spec.target_ref)
    if spec.from_ and spec.rules:
        yield (place / "from").error(INVALID, "fields 'to' and 'from' must be empty when 'rules' is defined")
    if not (spec.from_ or spec.rules):
        yield place.error(MISSING, "at least one of 'from', 'rules' has to be defined")


def _of_from(place: Place, spec: PermissionSpec) -> Iterator[Finding]:
    for number, one in enumerate(spec.from_):
        here = (place / "from")[number] / "targetRef"
        yield from target_findings(here, one.target_ref, CALLERS)
        yield from _of_age(here, one.target_ref)


def _of_age(place: Place, target: TargetRef) -> Iterator[Finding]:
    """As in Kuma, which deprecates services by name in both references of this policy."""
    if target.kind == "MeshService":
        hint = f"write kind: MeshSubset, tags: {{{SERVICE}: {target.name or 'NAME'}}}"
        yield (place / "kind").warning(DEPRECATED, "'MeshService' is deprecated", hint)


def _of_rules(place: Place, spec: PermissionSpec) -> Iterator[Finding]:
    for number, rule in enumerate(spec.rules):
        here = (place / "rules")[number] / "default"
        lists = _lists(rule.default)
        if not any(lists.values()):
            yield here.error(MISSING, f"at least one of {', '.join(lists)} has to be defined")
        for field, matches in lists.items():
            for index, match in enumerate(matches):
                yield from _of_match((here / field)[index], match)


def _lists(said: RuleDefault) -> dict[str, list[Match]]:
    return {"deny": said.deny, "allowWithShadowDeny": said.allow_with_shadow_deny, "allow": said.allow}


def _of_match(place: Place, match: Match) -> Iterator[Finding]:
    if match.sni is not None:
        yield (place / "sni").error(NOT_SUPPORTED, "is not supported yet: calls of the mesh name no server")
    elif match.spiffe_id is None:
        yield place.error(MISSING, "is empty, so it says nothing", "write spiffeID")
    if match.spiffe_id is not None:
        yield from _of_identity(place / "spiffeID", match.spiffe_id)


def _of_identity(place: Place, identity: SpiffeId) -> Iterator[Finding]:
    if not identity.value.startswith(_SCHEME) or identity.value == _SCHEME:
        yield (place / "value").error(INVALID, "is no SPIFFE ID", f"it begins with {_SCHEME}")
    elif problem := _stranger(identity, place.origin.mesh):
        yield (place / "value").warning(SELECTS_NOTHING, problem, "tasks of WorkloadGroups: spiffe://TRUST-DOMAIN/ns/…")
    elif identity.type == "Prefix" and not identity.value.endswith("/"):
        problem = f"also fits identities such as {identity.value}-other"
        is_service = identity.value.startswith(f"{_SCHEME}{place.origin.mesh}/")  # which has no path below it
        advice = "write type: Exact" if is_service else "end it with /"
        yield (place / "value").warning(INVALID, problem, f"{advice}, unless that is meant")


def _stranger(identity: SpiffeId, mesh: str) -> str:
    """Why nobody in a mesh can be called so; empty if somebody can. Groups' trust domain is not known here."""
    domain, _, path = identity.value.removeprefix(_SCHEME).partition("/")
    is_begun = identity.type == "Prefix" and "ns/".startswith(path)
    if is_begun or path.startswith("ns/") or (domain == mesh and is_value(path)):
        return ""
    return f"fits nobody: Dataplanes of mesh {mesh} are {_SCHEME}{mesh}/SERVICE"
