"""What a proof allows its bearer to be in a mesh: by the tags of a task's role, or by the claims of a token.

In: tags or claims, and what the bearer asks to be. Out: nothing, or a refusal that says which part does not fit. What
is not there never counts as empty text; what is empty allows nothing. Values are compared, never put together.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from outrig.admission.documents import DATAPLANE, Asked
from outrig.admission.refusals import WarrantRefused
from outrig.ca.authorities import FOREVER
from outrig.dialects.kuma.dataplane import networking_of
from outrig.dialects.kuma.tags import SERVICE
from outrig.resources import Resource
from outrig.tokens.claims import DataplaneClaims, ZoneClaims
from outrig.tokens.jwt import Verified

TYPE: Final = "kuma.io/type"
MESH: Final = "kuma.io/mesh"
WORKLOAD: Final = "kuma.io/workload"
_OURS: Final = "kuma.io/"


@dataclass(frozen=True, slots=True)
class Warrant:
    """What is allowed; None: anything. `whose`: how messages call it.

    `tags`: tag -> the values of it that the proxy may have, at least one of which it must have. `until`: nothing issued
    by it may last longer. `kid`, `jti`: of the token that it is.
    """

    whose: str
    types: frozenset[str] | None = None
    mesh: str | None = None
    name: str | None = None
    tags: Mapping[str, frozenset[str]] = field(default_factory=dict)
    workload: str | None = None
    zone: str = ""
    until: datetime = FOREVER
    kid: str = ""
    jti: str = ""


def role_warrant(role_name: str, tags: tuple[tuple[str, str], ...]) -> Warrant:
    """By a role's tags. IAM keeps the case of keys, and takes keys that differ in it for the same. Raises Refused."""
    role = f"role {role_name}"
    found = {key: value for key, value in tags if key.startswith(_OURS)}
    for key, value in tags:
        if key.lower().startswith(_OURS) and key != key.lower():
            raise _refused(role, f"it has a tag {key!a}", f"tags are spelt in lower case: {key.lower()}")
        if key in found and not value:
            raise _refused(role, f"its tag {key} is empty", "give it a value, or remove it")
    if TYPE not in found:
        raise _refused(role, f"it has no tag {TYPE}", "tag the role with dataplane, ingress or egress")
    return Warrant(
        whose=role,
        types=frozenset((found[TYPE],)),
        mesh=found.get(MESH),
        tags={SERVICE: frozenset((found[SERVICE],))} if SERVICE in found else {},
        workload=found.get(WORKLOAD),
    )


def dataplane_warrant(verified: Verified, claims: DataplaneClaims) -> Warrant:
    """By a data plane token."""
    return Warrant(
        whose="the token",
        types=frozenset((claims.type,)),
        mesh=claims.mesh,
        name=claims.name or None,
        tags={tag: frozenset(values) for tag, values in claims.tags.items()},
        workload=claims.workload or None,
        until=verified.expires,
        kid=verified.kid,
        jti=verified.jti,
    )


def zone_warrant(verified: Verified, claims: ZoneClaims) -> Warrant:
    """By a zone token."""
    scopes = frozenset(claims.scopes)
    zone = claims.zone
    return Warrant("the token", scopes, zone=zone, until=verified.expires, kid=verified.kid, jti=verified.jti)


def check_warrant(warrant: Warrant, asked: Asked) -> None:
    """Who is allowed to be this type of proxy, of this mesh and name. Raises WarrantRefused."""
    whose, kind = warrant.whose, asked.proxy_type
    if warrant.types is not None and kind not in warrant.types:
        allowed = ", ".join(sorted(warrant.types))
        hint = f"correct --proxy-type, or {_elsewhere(warrant, TYPE)}"
        raise _refused(whose, f"it is for {allowed}, and a proxy of type {kind} asks", hint)
    if kind != DATAPLANE:
        return
    if warrant.mesh is None and warrant.types is not None:
        raise _refused(whose, f"it has no tag {MESH}", "tag the role with the name of the mesh")
    if warrant.mesh not in (None, asked.mesh):
        raise _refused(whose, f"it is for mesh {warrant.mesh}, not for {asked.mesh}", _mend(warrant, MESH))
    if warrant.name not in (None, asked.name):
        raise _refused(whose, f"it is for Dataplane {warrant.name}, not for {asked.name}", _mend(warrant, "name"))


def check_claims(warrant: Warrant, dataplane: Resource) -> None:
    """The Dataplane claims no tag or label that it may not. Raises WarrantRefused."""
    claimed = [tag for labels in networking_of(dataplane).identified for tag in labels]
    for tag, allowed in warrant.tags.items():
        values = {value for key, value in claimed if key == tag}
        if not values:
            raise _refused(warrant.whose, f"it demands the tag {tag}, which no inbound has", f"one of {_list(allowed)}")
        if wrong := values - allowed:
            raise _refused(warrant.whose, f"it allows {tag} {_list(allowed)}, not {_list(wrong)}", _mend(warrant, tag))
    label = dataplane.labels.get(WORKLOAD)
    if warrant.workload not in (None, label):
        said = f"its label {WORKLOAD} is {label}" if label else f"it has no label {WORKLOAD}"
        problem = f"it is for workload {warrant.workload}, and of the Dataplane {said}"
        raise _refused(warrant.whose, problem, _mend(warrant, WORKLOAD))


def _mend(warrant: Warrant, tag: str) -> str:
    return f"correct the Dataplane, or {_elsewhere(warrant, tag)}"


def _elsewhere(warrant: Warrant, tag: str) -> str:
    """What else than the proxy may be wrong."""
    return "issue another token" if warrant.jti else f"the role's tag {tag}"


def _list(values: frozenset[str] | set[str]) -> str:
    return ", ".join(sorted(values))


def _refused(whose: str, problem: str, hint: str = "") -> WarrantRefused:
    return WarrantRefused(whose, problem, hint)
