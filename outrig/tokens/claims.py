"""What tokens say, beside who signed them and until when. Pure: values in, JSON claims out, and back.

The names of the claims are Kuma's: `Name`, `Mesh`, `Tags`, `Type`, `Workload`; `Zone`, `Scope`; `Name`, `Groups`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from outrig.tokens.refusals import ClaimRefused, TokenInvalid

C = TypeVar("C")
DATAPLANE: Final = "dataplane"
SCOPES: Final = ("ingress", "egress")
_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", re.ASCII)
_TAG: Final = re.compile(r"[a-zA-Z0-9.\-_:/]{1,253}", re.ASCII)
_TAG_VALUE: Final = re.compile(r"[a-zA-Z0-9.\-_:]{1,253}", re.ASCII)
_USER: Final = re.compile(r"[!-~]([ -~]{0,253}[!-~])?")
_LABEL: Final = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?", re.ASCII)


@dataclass(frozen=True, slots=True)
class DataplaneClaims:
    """Which Dataplanes a token is for: empty parts do not matter. `tags`: tag -> the values its Dataplane may have.

    `type`: of the proxy; `workload`: its label `kuma.io/workload`. Raises ClaimRefused for what nothing can be called.
    """

    mesh: str
    name: str = ""
    type: str = DATAPLANE
    tags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    workload: str = ""

    def __post_init__(self) -> None:
        _check("mesh", self.mesh, _NAME)
        _check("name", self.name or "any", _NAME)
        _check("workload", self.workload or "any", _LABEL)
        if self.type != DATAPLANE:
            raise ClaimRefused("type", f"{self.type!r} is not {DATAPLANE}", "zone proxies have zone tokens")
        for tag, values in self.tags.items():
            _check(f"tags[{tag}]", tag, _TAG)
            if not values:
                raise ClaimRefused(f"tags[{tag}]", "has no value", "give one or more")
            for value in values:
                _check(f"tags[{tag}]", value, _TAG_VALUE)

    def as_json(self) -> dict[str, Any]:
        """As they stand in the token."""
        tags = {tag: list(values) for tag, values in self.tags.items()}
        return {"Name": self.name, "Mesh": self.mesh, "Tags": tags, "Type": self.type, "Workload": self.workload}


@dataclass(frozen=True, slots=True)
class ZoneClaims:
    """Which zone proxies a token is for. `zone` empty: any. `scopes`: ingress, egress, at least one."""

    zone: str
    scopes: tuple[str, ...] = SCOPES

    def __post_init__(self) -> None:
        _check("zone", self.zone or "any", _NAME)
        if not self.scopes:
            raise ClaimRefused("scope", "cannot be empty", f"{' or '.join(SCOPES)}, or both")
        if not set(self.scopes) <= set(SCOPES):
            raise ClaimRefused("scope", f"{', '.join(self.scopes)}: no such scope", ", ".join(SCOPES))

    def as_json(self) -> dict[str, Any]:
        """As they stand in the token."""
        return {"Zone": self.zone, "Scope": list(self.scopes)}


@dataclass(frozen=True, slots=True)
class UserClaims:
    """A user of the API and the groups it is in."""

    name: str
    groups: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for place, text in (("name", self.name), *(("groups", group) for group in self.groups)):
            _check(place, text, _USER)

    def as_json(self) -> dict[str, Any]:
        """As they stand in the token."""
        return {"Name": self.name, "Groups": list(self.groups)}


def dataplane_claims(claims: Mapping[str, Any]) -> DataplaneClaims:
    """What a data plane token says. Raises TokenInvalid."""
    tags = claims.get("Tags") or {}
    if not isinstance(tags, Mapping):
        raise TokenInvalid("token", "its Tags are no map")
    return _made(
        DataplaneClaims,
        mesh=_text(claims, "Mesh"),
        name=_text(claims, "Name"),
        type=_text(claims, "Type") or DATAPLANE,
        tags={tag: _texts(tags, tag) for tag in tags},
        workload=_text(claims, "Workload"),
    )


def zone_claims(claims: Mapping[str, Any]) -> ZoneClaims:
    """What a zone token says; scopes of others than ours (Kong's `cp`) are left out. Raises TokenInvalid."""
    scopes = tuple(scope for scope in _texts(claims, "Scope") if scope in SCOPES)
    return _made(ZoneClaims, zone=_text(claims, "Zone"), scopes=scopes)


def user_claims(claims: Mapping[str, Any]) -> UserClaims:
    """What a user token says. Raises TokenInvalid."""
    return _made(UserClaims, name=_text(claims, "Name"), groups=_texts(claims, "Groups"))


def _made(kind: type[C], **parts: Any) -> C:
    try:
        return kind(**parts)
    except ClaimRefused as error:
        raise TokenInvalid("token", f"its claims mean nothing: {error.place} {error.problem}") from None


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name, "")
    if not isinstance(value, str):
        raise TokenInvalid("token", f"its {name} is no text")
    return value


def _texts(claims: Mapping[str, Any], name: str) -> tuple[str, ...]:
    values = claims.get(name)
    values = [] if values is None else values
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise TokenInvalid("token", f"its {name} is no list of texts")
    return tuple(values)


def _check(place: str, text: str, form: re.Pattern[str]) -> None:
    if not form.fullmatch(text):
        raise ClaimRefused(place, f"{text[:80]!r} is not one", f"form: {form.pattern}")
