"""`POST /tokens/dataplane|zone|user`: administrators have tokens issued.

In: what a token is to say. Out: the token, as plain text. `validFor` is required: a token that is meant to be for ever
is one that nobody decided about. Refuses unknown fields, and what nothing can be called.
"""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

from pydantic import Field

from outrig.api.accounts import account
from outrig.api.kuma.catalog import MESH
from outrig.api.kuma.refusals import Refusal, not_found, not_valid
from outrig.api.refusals import Cause
from outrig.dialects.causes import check_body, sentence, shown
from outrig.dialects.durations import duration_of as go_duration
from outrig.dialects.kuma.durations import duration_of
from outrig.dialects.schema import Form
from outrig.errors import did_you_mean
from outrig.store.protocol import Query, Store, Transaction
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
                token = await self._issue(tx, what, sent)
        except ClaimRefused as error:
            raise not_valid([Cause(error.place, sentence(error))], title=TITLE) from None
        except (IssuingOff, SigningKeyRefused) as error:
            raise Refusal("BadRequest", TITLE, str(error)) from None
        account().facts["issued"] = _said_by(token)
        return token

    async def _issue(self, tx: Transaction, what: str, sent: Mapping[str, Any]) -> str:
        now = self.now()
        match what:
            case "dataplane":
                asked = _read(_DataplaneForm, sent)
                tags = {tag: tuple(values) for tag, values in asked.tags.items()}
                if not asked.mesh:
                    raise ClaimRefused("mesh", "cannot be empty", "a token is for one mesh, for example default")
                claims = DataplaneClaims(asked.mesh, asked.name, asked.type, tags, asked.workload)
                await _require_mesh(tx, claims.mesh)
                return await self.tokens.issue_dataplane(tx, claims, now=now, lifetime=_lifetime(asked.valid_for))
            case "zone":
                zone = _read(_ZoneForm, sent)
                of_zone, lifetime = ZoneClaims(zone.zone, tuple(zone.scope)), _lifetime(zone.valid_for)
                return await self.tokens.issue_zone(tx, of_zone, now=now, lifetime=lifetime)
            case "user":
                user = _read(_UserForm, sent)
                of_user, lifetime = UserClaims(user.name, tuple(user.groups)), _lifetime(user.valid_for)
                return await self.tokens.issue_user(tx, of_user, now=now, lifetime=lifetime)
        raise not_found(TITLE)


def _said_by(token: str) -> dict[str, Any]:
    """The claims of a token: not its signature, so they let nobody in. Its `jti` is what revokes it."""
    payload = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims


async def _require_mesh(tx: Transaction, name: str) -> None:
    """Raises ClaimRefused: nobody could use its tokens, and it has no key to sign them with."""
    known = [mesh.key.name for mesh in await tx.list(Query(kinds=(MESH,)))]
    if name not in known:
        raise ClaimRefused("mesh", f"mesh {shown(name)} does not exist", did_you_mean(name, known))


def _read(form: type[F], sent: Mapping[str, Any]) -> F:
    checked = check_body(dict(sent), form, quoted=True)
    if checked.causes:
        raise not_valid(checked.causes, title=TITLE)
    return form.model_validate(checked.body)


def _lifetime(text: str) -> timedelta:
    """A duration as kumactl sends it (`24h0m0s`), or as Kuma's resources spell it (`30d`). Raises ClaimRefused."""
    if not text:
        raise ClaimRefused("validFor", "cannot be empty", "say how long it is to be valid, for example 24h")
    lifetime = go_duration(text) or duration_of(text)
    if not lifetime or lifetime > LONGEST:
        problem = "must be a duration of more than nothing, and of a century at most"
        raise ClaimRefused("validFor", problem, "for example 24h")
    return lifetime
