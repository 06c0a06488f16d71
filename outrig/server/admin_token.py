"""The administrator's bearer token in the data directory, made at the first start and kept while it is good.

A control plane alone makes up a random text, which nobody else knows. Replicas issue a user token each: the signing
key that they share verifies it, so it is good on all of them and can be revoked, and the database holds no further
secret. Where user tokens are not issued here, a replica has a token of its own.
"""

import secrets
from datetime import datetime
from typing import Final

import structlog

from outrig.server.files import ADMIN_LIFETIME, DataDir
from outrig.store.protocol import Store
from outrig.tokens.claims import UserClaims
from outrig.tokens.refusals import IssuingOff, SigningKeyRefused, TokenInvalid
from outrig.tokens.tokens import ADMINS, Tokens

_CLAIMS: Final = UserClaims("admin", (ADMINS,))

_log = structlog.get_logger(__name__)


def keep_own_token(data: DataDir) -> str:
    """The token that only this control plane knows. Raises BadDataDir."""
    token = data.read_admin_token()
    if not token or _is_user_token(token):  # what was good on all may have been revoked since
        token = secrets.token_urlsafe(32)
        data.write_admin_token(token)
    return token


async def keep_shared_token(data: DataDir, store: Store, tokens: Tokens, *, now: datetime) -> bool:
    """Have a user token there that every replica takes; False if this one issues none, or takes none that it issued.

    One that is good for a while yet stays. Raises BadDataDir, Unavailable.
    """
    if await _is_good(data.read_admin_token(), store, tokens, now=now + ADMIN_LIFETIME / 12):
        return True
    try:
        async with store.transaction() as tx:
            token = await tokens.issue_user(tx, _CLAIMS, now=now, lifetime=ADMIN_LIFETIME)
        await tokens.verify_user(store, token, now=now)
    except (IssuingOff, SigningKeyRefused, TokenInvalid) as error:
        _log.warning("the administrator's token is of this replica only", file=str(data.admin_token), reason=str(error))
        return False
    data.write_admin_token(token)
    return True


async def _is_good(token: str, store: Store, tokens: Tokens, *, now: datetime) -> bool:
    try:
        return ADMINS in (await tokens.verify_user(store, token, now=now)).groups
    except TokenInvalid:
        return False


def _is_user_token(token: str) -> bool:
    """Its three parts are separated by dots, which no random text of ours has."""
    return token.count(".") == 2
