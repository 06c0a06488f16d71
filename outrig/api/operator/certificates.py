"""`/outrig/v1/certificates`: client certificates of users are issued (POST), listed (GET) and revoked (DELETE).

In: a certificate request (PKCS#10, PEM), whose key stays with its sender, and whom it is for; a serial, or a user. Out:
the certificate, and rows about those that were issued. Who issues one for somebody must be allowed to act as them:
the verb `create` on `certificates` of `access.outrig.dev`, and `impersonate` on that user and those groups. Refuses
(400) names that do not fit in a certificate, and lifetimes beyond LONGEST.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

from pydantic import Field, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from outrig.api.access.acting import Wanted, check_impersonation
from outrig.api.access.certificates import GROUP, PLURAL, Row, record, row_in, rows
from outrig.api.access.gate import Gate
from outrig.api.access.rules import Attributes
from outrig.api.accounts import Account, account
from outrig.api.bodies import decode, media_type, read_body
from outrig.api.callers import Caller
from outrig.api.edge import Answering
from outrig.api.kube.answers import answer, refuse
from outrig.api.kube.documents import timestamp
from outrig.api.kube.statuses import Subject, method_not_allowed, not_found
from outrig.api.refusals import ApiError, bad_request
from outrig.dialects.durations import duration_of as go_duration
from outrig.dialects.kuma.durations import duration_of
from outrig.dialects.schema import Form
from outrig.errors import OutrigError
from outrig.resources import Resource
from outrig.store.protocol import Store

PATH: Final = "/outrig/v1/certificates"
DEFAULT: Final = "24h"
LONGEST: Final = timedelta(days=365)
_NAME: Final = re.compile(r"[!-~]([ -~]{0,62}[!-~])?")
_VERBS: Final = {"POST": "create", "GET": "list", "HEAD": "list", "DELETE": "delete"}
_SERIAL: Final = re.compile(r"[0-9a-f]{1,40}")


@dataclass(frozen=True, slots=True)
class Signed:
    """A certificate (PEM, with its issuer), its serial (hex) and its end."""

    chain: str
    serial: str
    not_after: datetime


class Sign(Protocol):
    """Signs certificates of users."""

    def __call__(self, csr: str, user: str, *, groups: tuple[str, ...], lifetime: timedelta) -> Signed:
        """For the key of a certificate request (PEM). Raises OutrigError for a request that is no good."""
        ...


class Asked(Form):
    """What is asked for."""

    csr: str = Field(max_length=8192)
    user: str
    groups: list[str] = Field(default=[], max_length=100)
    valid_for: str = DEFAULT


@dataclass(frozen=True, slots=True)
class Desk:
    """Issues, lists and revokes."""

    store: Store
    gate: Gate
    sign: Sign
    now: Callable[[], datetime]

    def routes(self) -> list[Route]:
        """The routes."""
        answering = Answering(self.respond, refuse, self.gate, describe=_describe)
        return [Route(PATH, answering), Route(f"{PATH}/{{serial}}", answering)]

    async def respond(self, request: Request, caller: Caller) -> Response:
        """The answer. Raises ApiError."""
        asked = _asked(request)
        verb, serial = asked.verb, asked.name
        if not verb or (serial and verb != "delete"):
            raise method_not_allowed(Subject(GROUP, PLURAL), ["DELETE"] if serial else list(_VERBS))
        self.gate.require(caller, asked)
        match verb:
            case "create":
                return answer(await self._issue(request, caller), status=201)
            case "list":
                found: Sequence[Row] = await rows(self.store)
            case _:
                found = await self._revoke(caller, serial, request.query_params.get("user", ""))
        return answer({"items": [row.as_json() for row in found]})

    async def _issue(self, request: Request, caller: Caller) -> dict[str, Any]:
        asked = _read(decode(await read_body(request), media_type(request)))
        groups, lifetime = tuple(dict.fromkeys(asked.groups)), _lifetime(asked.valid_for)
        check_impersonation(caller, Wanted(asked.user, groups), self.gate.grants)
        try:
            signed = self.sign(asked.csr, asked.user, groups=groups, lifetime=lifetime)
        except OutrigError as error:
            raise bad_request(f"csr: {error}") from None
        issued, ends = timestamp(self.now()), timestamp(signed.not_after)
        row = Row(signed.serial, asked.user, groups, issued, caller.name, ends)
        account().facts["issued"] = row.as_json()
        async with self.store.transaction() as tx:
            await record(tx, row)
        return {**row.as_json(), "certificate": signed.chain}

    async def _revoke(self, caller: Caller, serial: str, user: str) -> Sequence[Row]:
        if bool(serial) is bool(user):
            raise bad_request(f"name one certificate ({PATH}/SERIAL) or one user ({PATH}?user=NAME)")
        if serial and not _SERIAL.fullmatch(serial):
            raise not_found(Subject(GROUP, PLURAL, name=serial))
        known = await rows(self.store)
        chosen = [row for row in known if serial == row.serial or (user and user == row.user)]
        if not chosen and user:
            raise not_found(Subject(GROUP, PLURAL, name=user))
        revoked = [await self._mark(row, caller) for row in chosen or [Row(serial)]]
        account().facts["revoked"] = [row.serial for row in revoked]
        return revoked

    async def _mark(self, row: Row, caller: Caller) -> Row:
        """Revoked now, unless it is already; returns when that counts here."""
        async with self.store.transaction() as tx:
            stored = await tx.get(row.key)
            known = row_in(stored) if stored else row
            if known.revoked:
                return known
            marked = replace(known, revoked=timestamp(self.now()), revoked_by=caller.name)
            wanted = Resource(row.key, body=marked.as_json())
            written = await (tx.update(replace(stored, body=wanted.body)) if stored else tx.create(wanted))
        await self.gate.reached(written.revision)
        return marked


def _asked(request: Request) -> Attributes:
    """What a request would do; no verb for a method that is not taken."""
    return Attributes(_VERBS.get(request.method, ""), GROUP, PLURAL, name=str(request.path_params.get("serial", "")))


def _describe(request: Request, account: Account) -> None:
    account.asked = _asked(request)


def _read(sent: Any) -> Asked:
    try:
        asked = Asked.model_validate(sent)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise bad_request(f"{'.'.join(map(str, first['loc'])) or 'the body'}: {first['msg']}") from None
    for place, text in (("user", asked.user), *(("groups", group) for group in asked.groups)):
        if not _NAME.fullmatch(text):
            raise bad_request(f"{place}: {text[:80]!r} must be 1 to 64 printable characters of ASCII")
    return asked


def _lifetime(text: str) -> timedelta:
    lifetime = go_duration(text) or duration_of(text)
    if not lifetime or not timedelta(minutes=1) <= lifetime <= LONGEST:
        raise ApiError("BadRequest", f"validFor: {text[:80]!r} must be a duration from 1m to 365d, for example 24h")
    return lifetime
