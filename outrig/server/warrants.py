"""Whether the token that a data plane joined with still stands: what the control package asks of the tokens."""

import structlog

from outrig.dialects.kuma.joined import holder_of
from outrig.resources import Resource
from outrig.store.protocol import Store
from outrig.tokens.keys import ZONE, dataplane_ring
from outrig.tokens.refusals import ListUnreadable, TokenInvalid
from outrig.tokens.tokens import Tokens

_log = structlog.get_logger(__name__)


class TokenWarrants:
    """Fits `control.bans.Revocations`."""

    def __init__(self, store: Store, tokens: Tokens) -> None:
        self._store, self._tokens = store, tokens

    async def objection(self, dataplane: Resource) -> str:
        """Why the token it joined with does not stand any more; empty if it does, or there was none."""
        holder = holder_of(dataplane)
        if holder is None or not holder.jti:
            return ""
        ring = dataplane_ring(dataplane.key.mesh) if dataplane.key.mesh else ZONE
        try:
            await self._tokens.check_standing(self._store, ring, kid=holder.kid, jti=holder.jti)
        except ListUnreadable as error:  # it ends nobody, as it lets nobody in
            _log.error("no token can be told to be revoked", reason=str(error))
        except TokenInvalid as error:
            return str(error)
        return ""
