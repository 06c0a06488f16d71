"""Who may use the API: holders of client certificates, of the administrator's token or of a user token and, if so set,
loopback.
"""

import hashlib
import secrets
from datetime import UTC, datetime

from outrig.api.callers import ADMINS, Authenticator, Caller, Role, User, VerifyUser, no_users
from outrig.server.files import DataDir
from outrig.server.settings import Settings
from outrig.store.protocol import Store
from outrig.tokens.tokens import Tokens

ADMIN = Caller("admin", (ADMINS,), Role.ADMIN)


def authenticator(settings: Settings, data: DataDir, verify_user: VerifyUser = no_users) -> Authenticator:
    """The authenticator; makes the administrator's token at the first start. Raises BadDataDir."""
    if not data.read_admin_token():
        data.write_admin_token(secrets.token_urlsafe(32))
    token = data.read_admin_token()
    return Authenticator(
        now=lambda: datetime.now(UTC),
        tokens={hashlib.sha256(token.encode()).hexdigest(): ADMIN},
        verify_user=verify_user,
        loopback_is_admin=settings.loopback_is_admin,
        names=frozenset(settings.advertised_hosts),
    )


def user_verifier(store: Store, tokens: Tokens) -> VerifyUser:
    """Takes the user tokens that signing keys in this store stand for."""

    async def verify(token: str) -> User:
        return await tokens.verify_user(store, token, now=datetime.now(UTC))

    return verify
