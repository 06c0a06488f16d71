"""Who may use the API: holders of client certificates, of the administrator's token and, if so set, loopback."""

import hashlib
import secrets
from datetime import UTC, datetime

from outrig.api.kube.callers import ADMINS, Authenticator, Caller, Role
from outrig.server.files import DataDir
from outrig.server.settings import Settings

ADMIN = Caller("admin", (ADMINS,), Role.ADMIN)


def authenticator(settings: Settings, data: DataDir) -> Authenticator:
    """The authenticator; makes the administrator's token at the first start. Raises BadDataDir."""
    if not data.read_admin_token():
        data.write_admin_token(secrets.token_urlsafe(32))
    token = data.read_admin_token()
    return Authenticator(
        now=lambda: datetime.now(UTC),
        tokens={hashlib.sha256(token.encode()).hexdigest(): ADMIN},
        loopback_is_admin=settings.loopback_is_admin,
        names=frozenset(settings.advertised_hosts),
    )
