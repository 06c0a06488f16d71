"""Which Dataplanes a Mesh takes. Source: `constraints.dataplaneProxy` of Kuma's Mesh."""

from collections.abc import Iterable

from outrig.dialects.findings import NOT_ALLOWED, Place
from outrig.dialects.kuma.dataplane import networking_of
from outrig.dialects.kuma.mesh_spec import Membership, MeshBody, TagRule
from outrig.dialects.schema import parse
from outrig.errors import Finding
from outrig.model import Labels
from outrig.resources import Resource


def allowed(mesh: Resource, dataplane: Resource) -> Finding | None:
    """None if the Mesh takes the Dataplane; otherwise the first reason why it does not."""
    constraints = parse(MeshBody, mesh).constraints
    if constraints is None or constraints.dataplane_proxy is None:
        return None
    networking, place = networking_of(dataplane), Place(dataplane.key, "networking")
    parts = [((place / "inbound")[index], one.labels) for index, one in enumerate(networking.inbound)]
    if networking.gateway:
        parts.append((place / "gateway", networking.gateway.labels))
    found = (_refusal(here, labels, constraints.dataplane_proxy) for here, labels in parts)
    return next((finding for finding in found if finding), None)


def _refusal(place: Place, labels: Labels, membership: Membership) -> Finding | None:
    mesh = place.origin.mesh
    if membership.requirements and not _fits(labels, membership.requirements):
        problem = f"not allowed to be a part of the mesh {mesh!r}: its tags meet none of the requirements"
        return place.error(NOT_ALLOWED, problem, _written(membership.requirements))
    if _fits(labels, membership.restrictions):
        problem = f"not allowed to be a part of the mesh {mesh!r}: its tags meet a restriction"
        return place.error(NOT_ALLOWED, problem, _written(membership.restrictions))
    return None


def _fits(labels: Labels, rules: Iterable[TagRule]) -> bool:
    tags = dict(labels)
    return any(all(key in tags and value in ("*", tags[key]) for key, value in rule.tags.items()) for rule in rules)


def _written(rules: Iterable[TagRule]) -> str:
    return " or ".join(", ".join(f"{key}={value}" for key, value in rule.tags.items()) for rule in rules)
