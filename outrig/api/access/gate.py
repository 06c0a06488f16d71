"""What every request passes, whichever API it is for: who is it, is there room for it, may it.

In: a request's scope; what it would do; the store's changes. Out: its caller; nothing, or an ApiError: 401, 403, 429.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from starlette.datastructures import Headers
from starlette.types import Scope

from outrig.api.access.acting import acting
from outrig.api.access.certificates import KIND, SECRETS, Certificates
from outrig.api.access.grants import Decision, Grants
from outrig.api.access.progress import Progress
from outrig.api.access.rules import Attributes
from outrig.api.access.traffic import Traffic
from outrig.api.access.wording import refused
from outrig.api.accounts import account
from outrig.api.callers import Authenticate, Caller, CountsNoMore
from outrig.dialects import rbac
from outrig.store.protocol import Change, Query

WATCHED: Final = Query(kinds=(*((kind.group, kind.name) for kind in rbac.KINDS), KIND, SECRETS))
"""What changes `Gate.follow` is to be told of."""


class Burst(Protocol):
    """Changes that became known together, and up to which revision everything is known with them."""

    @property
    def changes(self) -> Sequence[Change]: ...

    @property
    def revision(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Gate:
    """Asked at the edge of each API. As long as it follows nothing, the built-in roles decide."""

    authenticate: Authenticate
    traffic: Traffic = field(default_factory=Traffic)
    grants: Grants = field(default_factory=Grants)
    certificates: Certificates = field(default_factory=Certificates)
    _progress: Progress = field(default_factory=Progress)

    async def follow(self, bursts: AsyncIterator[Burst]) -> None:
        """Have them count as they come, for ever."""
        async for burst in bursts:
            self.grants.heard(burst.changes)
            self.certificates.heard(burst.changes)
            await self._progress.advance(burst.revision)

    async def ready(self) -> None:
        """Return when what was there at the start counts."""
        await self._progress.begun()

    async def reached(self, revision: int) -> None:
        """Return when what was written at that revision counts here."""
        await self._progress.reached(revision)

    async def identify(self, scope: Scope) -> Caller:
        """Who is calling, or whom that caller acts as. Raises ApiError."""
        try:
            caller = await self._authenticated(scope)
        except CountsNoMore as error:
            account().facts.update(error.said)
            raise
        account().caller = caller
        account().caller = caller = acting(caller, Headers(scope=scope), self.grants)
        return caller

    async def _authenticated(self, scope: Scope) -> Caller:
        caller = await self.authenticate(scope)
        if self.certificates.is_revoked(caller.serial):
            why = f"the client certificate {caller.serial} of {caller.name!r} is revoked"
            raise CountsNoMore(why, caller.as_json())
        return caller

    def allows(self, caller: Caller, asked: Attributes) -> Decision:
        """Whether the caller may do that, now."""
        return self.grants.decide(caller, asked)

    def require(self, caller: Caller, asked: Attributes) -> None:
        """Raises ApiError (403) unless the caller may do that."""
        account().asked = asked
        if not self.allows(caller, asked).allowed:
            raise refused(caller, asked)
