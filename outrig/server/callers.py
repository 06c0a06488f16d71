"""Who may use the API: holders of client certificates, of the administrator's token or of a user token and, if so set,
loopback.
"""

import hashlib
from datetime import UTC, datetime

from outrig.api.callers import ADMINS, USER_TOKEN, Authenticator, CountsNoMore, User, VerifyUser, no_users, signed_in
from outrig.api.refusals import unauthorized
from outrig.server.admin_token import keep_own_token, keep_shared_token
from outrig.server.files import DataDir
from outrig.server.settings import Settings, postgres_settings
from outrig.store.protocol import Store
from outrig.tokens.refusals import NotSigned, TokenInvalid
from outrig.tokens.tokens import Tokens

ADMIN = signed_in("admin", (ADMINS,), by="administrator's token")
NEITHER = (
    "the token is neither the administrator's, as DATA_DIR/admin-token holds it, nor a user token, as "
    "`outrig token user` issues them"
)


async def callers_of(settings: Settings, data: DataDir, store: Store, tokens: Tokens) -> Authenticator:
    """The authenticator of a control plane on that store. Raises BadDataDir, Unavailable."""
    replicated = postgres_settings(settings) is not None
    shared = replicated and await keep_shared_token(data, store, tokens, now=datetime.now(UTC))
    return authenticator(settings, data, user_verifier(store, tokens), shared_token=shared)


def authenticator(
    settings: Settings, data: DataDir, verify_user: VerifyUser = no_users, *, shared_token: bool = False
) -> Authenticator:
    """The authenticator; makes the administrator's token at the first start. Raises BadDataDir.

    `shared_token`: the one in the data directory is a user token, and judged as such.
    """
    own = [] if shared_token else [keep_own_token(data)]
    return Authenticator(
        now=lambda: datetime.now(UTC),
        tokens={hashlib.sha256(token.encode()).hexdigest(): ADMIN for token in own},
        verify_user=verify_user,
        loopback_is_admin=settings.loopback_is_admin,
        names=frozenset(settings.advertised_hosts),
    )


def user_verifier(store: Store, tokens: Tokens) -> VerifyUser:
    """Takes the user tokens that signing keys in this store stand for."""

    async def verify(token: str) -> User:
        try:
            return await tokens.verify_user(store, token, now=datetime.now(UTC))
        except NotSigned:
            raise unauthorized(NEITHER) from None
        except TokenInvalid as error:
            if not error.said:
                raise
            said = {"user": error.said.get("Name", ""), "by": USER_TOKEN, "token": error.said.get("jti")}
            raise CountsNoMore(f"the user token is no good: {error}", said) from None

    return verify
