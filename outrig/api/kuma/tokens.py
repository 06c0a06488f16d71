"""`POST /tokens/dataplane|zone|user`: administrators have tokens issued.

In: what a token is to say. Out: the token, as plain text. `validFor` is required: a token that is meant to be for ever
is one that nobody decided about. Refuses unknown fields, and what nothing can be called.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

from pydantic import Field, ValidationError

from outrig.api.kuma.refusals import Refusal, not_found, not_valid
from outrig.api.refusals import Cause
from outrig.dialects.durations import duration_of as go_duration
from outrig.dialects.kuma.durations import duration_of
from outrig.dialects.schema import Form
from outrig.store.protocol import Store, Transaction
from outrig.tokens.claims import DATAPLANE, SCOPES, DataplaneClaims, UserClaims, ZoneClaims
from outrig.tokens.refusals import ClaimRefused, IssuingOff, SigningKeyRefused
from outrig.tokens.tokens import Tokens

F = TypeVar("F", bound=Form)
TITLE: Final = "Could not issue a token"
LONGEST: Final = timedelta(days=36525)


class _DataplaneForm(Form):
    mesh: str = ""
    name: str = ""
    tags: dict[str, list[str]] = Field(default={}, max_length=100)
    type: str = DATAPLANE
    workload: str = ""
    valid_for: str = ""


class _ZoneForm(Form):
    zone: str = ""
    scope: list[str] = list(SCOPES)
    valid_for: str = ""


class _UserForm(Form):
    name: str = ""
    groups: list[str] = Field(default=[], max_length=100)
    valid_for: str = ""


@dataclass(frozen=True, slots=True)
class Issuing:
    """Has tokens issued."""

    store: Store
    tokens: Tokens
    now: Callable[[], datetime]

    async def issue(self, what: str, sent: Mapping[str, Any]) -> str:
        """A token of that purpose. Raises Refusal: 404 for a purpose there is not, 400 for what is wrong."""
        try:
            async with self.store.transaction() as tx:
                return await self._issue(tx, what, sent)
        except ClaimRefused as error:
            raise not_valid([Cause(error.place, error.problem)], title=TITLE) from None
        except (IssuingOff, SigningKeyRefused) as error:
            raise Refusal("BadRequest", TITLE, str(error)) from None

    async def _issue(self, tx: Transaction, what: str, sent: Mapping[str, Any]) -> str:
        now = self.now()
        match what:
            case "dataplane":
                asked = _read(_DataplaneForm, sent)
                tags = {tag: tuple(values) for tag, values in asked.tags.items()}
                claims = DataplaneClaims(asked.mesh or "default", asked.name, asked.type, tags, asked.workload)
                return await self.tokens.issue_dataplane(tx, claims, now=now, lifetime=_lifetime(asked.valid_for))
            case "zone":
                zone = _read(_ZoneForm, sent)
                lifetime = _lifetime(zone.valid_for)
                return await self.tokens.issue_zone(
                    tx, ZoneClaims(zone.zone, tuple(zone.scope)), now=now, lifetime=lifetime
                )
            case "user":
                user = _read(_UserForm, sent)
                lifetime = _lifetime(user.valid_for)
                return await self.tokens.issue_user(
                    tx, UserClaims(user.name, tuple(user.groups)), now=now, lifetime=lifetime
                )
        raise not_found(TITLE)


def _read(form: type[F], sent: Mapping[str, Any]) -> F:
    try:
        return form.model_validate(dict(sent))
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
        raise not_valid((_cause(one["loc"], one["type"], one["msg"]) for one in problems), title=TITLE) from None


def _cause(steps: tuple[str | int, ...], type_: str, said: str) -> Cause:
    return Cause(".".join(map(str, steps)), "unknown field" if type_ == "extra_forbidden" else said)


def _lifetime(text: str) -> timedelta:
    """A duration as kumactl sends it (`24h0m0s`), or as Kuma's resources spell it (`30d`)."""
    if not text:
        raise not_valid(
            [Cause("validFor", "cannot be empty: say how long it is to be valid, for example 24h")], title=TITLE
        )
    lifetime = go_duration(text) or duration_of(text)
    if not lifetime or lifetime > LONGEST:
        raise not_valid([Cause("validFor", "must be a duration of more than nothing, for example 24h")], title=TITLE)
    return lifetime
