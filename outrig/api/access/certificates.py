"""The client certificates of users: which were issued, which of them were revoked; and what goes on under a credential.

In: what was issued; changes of the store. Out: rows in the store, one a certificate, by its serial; and whether a
certificate still counts. One that is in no row counts: it was signed before there were rows. A row of a certificate
that was never recorded can be revoked too. Whether a user token counts is judged at each request; what goes on under
any of them ends when their signing keys or revocations change, and who may goes on with another request.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from outrig.api.callers import USER_TOKEN, Caller
from outrig.resources import Key, Resource
from outrig.store.protocol import Change, ChangeType, Query, Store, Transaction

GROUP: Final = "access.outrig.dev"
PLURAL: Final = "certificates"
"""What roles call them."""

KIND: Final = ("outrig.internal", "UserCertificate")
SECRETS: Final = ("kuma.io", "GlobalSecret")
OF_USER_TOKENS: Final = "user-token-"
"""What the names of the secrets begin with that decide about user tokens."""


@dataclass(frozen=True, slots=True)
class Row:
    """A certificate. `serial`: lower-case hex; times as texts (RFC 3339); `revoked` empty: it counts."""

    serial: str
    user: str = ""
    groups: tuple[str, ...] = ()
    issued: str = ""
    issued_by: str = ""
    not_after: str = ""
    revoked: str = ""
    revoked_by: str = ""

    @property
    def key(self) -> Key:
        """Where it is stored."""
        return Key(*KIND, "", "", self.serial)

    def as_json(self) -> dict[str, Any]:
        """As it is stored, and shown."""
        return {
            "serial": self.serial,
            "user": self.user,
            "groups": list(self.groups),
            "issued": self.issued,
            "issuedBy": self.issued_by,
            "notAfter": self.not_after,
            "revoked": self.revoked,
            "revokedBy": self.revoked_by,
        }


def row_in(resource: Resource) -> Row:
    """What is stored of a certificate."""
    body: Mapping[str, Any] = resource.body
    names = ("user", "issued", "issuedBy", "notAfter", "revoked", "revokedBy")
    user, issued, issued_by, not_after, revoked, revoked_by = (str(body.get(name) or "") for name in names)
    groups = tuple(map(str, body.get("groups") or ()))
    return Row(resource.key.name, user, groups, issued, issued_by, not_after, revoked, revoked_by)


class Certificates:
    """Which certificates count, as the store's changes tell; and the answers that are under way for each."""

    def __init__(self) -> None:
        self._revoked: set[str] = set()
        self._open: dict[str, set[asyncio.Timeout]] = {}

    def heard(self, changes: Iterable[Change]) -> None:
        """These changes happened. Whatever goes on under a certificate that is revoked now is ended at once."""
        for change in changes:
            key = change.resource.key
            if (key.group, key.kind) == SECRETS and key.name.startswith(OF_USER_TOKENS):
                self._end(USER_TOKEN)
            elif (key.group, key.kind) == KIND:
                self._judge(change)

    def is_revoked(self, serial: str) -> bool:
        """Whether the certificate of that serial counts no more."""
        return serial in self._revoked

    @contextmanager
    def using(self, caller: Caller | None, limit: asyncio.Timeout) -> Iterator[None]:
        """What is answered during the block is under the credential of that caller; `limit` ends it."""
        credential = (caller.serial or caller.by) if caller else ""
        held = self._open.setdefault(credential, set())
        held.add(limit)
        try:
            yield
        finally:
            held.discard(limit)
            if not held:
                self._open.pop(credential, None)

    def _judge(self, change: Change) -> None:
        serial = change.resource.key.name
        if change.type is ChangeType.DELETED or not row_in(change.resource).revoked:
            self._revoked.discard(serial)
            return
        self._revoked.add(serial)
        self._end(serial)

    def _end(self, credential: str) -> None:
        for limit in self._open.get(credential, ()):
            if not limit.expired():  # it may be on its way out for another reason
                limit.reschedule(asyncio.get_running_loop().time())


async def rows(store: Store) -> list[Row]:
    """All that are known, oldest first."""
    return sorted(map(row_in, (await store.list(Query(kinds=(KIND,)))).items), key=lambda row: (row.issued, row.serial))


async def record(tx: Transaction, row: Row) -> None:
    """A certificate was issued; nothing changes if it is known."""
    if await tx.get(row.key) is None:
        await tx.create(Resource(row.key, body=row.as_json()))


async def ended(store: Store, now: datetime) -> list[Key]:
    """Rows of certificates that have ended."""
    found = await rows(store)
    return [row.key for row in found if row.not_after and datetime.fromisoformat(row.not_after) < now]
