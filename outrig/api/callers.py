"""Who is calling: from a client certificate, a bearer token or, where a setting allows it, the loopback address.

In: an ASGI scope. Out: a `Caller` with a name and groups; what they may do is for `access` to say. A bearer token is
the administrator's, or a user token in Kuma's sense. Refuses a wrong token (it is not
anonymous) and, on the plain listener that trusts loopback, requests that a web page could have caused.
"""

import hashlib
import hmac
import ipaddress
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol

from cryptography import x509
from cryptography.x509.oid import NameOID
from starlette.datastructures import Headers
from starlette.types import Scope

from outrig.api.refusals import ApiError, unauthorized
from outrig.errors import OutrigError
from outrig.store.protocol import Unavailable

ADMINS = "outrig:admins"
VIEWERS = "outrig:viewers"
MASTERS = "system:masters"
MESH_ADMINS = "mesh-system:admin"
AUTHENTICATED = "mesh-system:authenticated"
SIGNED_IN = "system:authenticated"
UNKNOWN = "system:unauthenticated"
USER_TOKEN = "user token"  # noqa: S105 - how a caller is known
LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller, or the anonymous one. `by`: how it is known; `serial`: of its certificate, hex.

    `until`: when its credential ends. `behind`: who acts as this caller; None: itself. No credential says a `uid` or
    `extra` fields: who acts as somebody may.
    """

    name: str
    groups: tuple[str, ...]
    by: str = ""
    serial: str = ""
    until: datetime | None = None
    behind: "Caller | None" = None
    uid: str = ""
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def is_anonymous(self) -> bool:
        """Whether it showed no credential."""
        return UNKNOWN in self.groups

    def as_json(self) -> dict[str, Any]:
        """As the audit log tells it; parts may be empty."""
        extra = {key: list(values) for key, values in self.extra.items()}
        who = {"user": self.name, "uid": self.uid, "groups": list(self.groups), "extra": extra}
        return {**who, "by": self.by, "certificate": self.serial}


class CountsNoMore(ApiError):
    """A credential of ours that has ended, was taken back, or has not begun (401). `said`: by it, for the audit log."""

    def __init__(self, message: str, said: Mapping[str, Any]) -> None:
        super().__init__("Unauthorized", message)
        self.said = said


def signed_in(name: str, groups: Iterable[str], *, by: str) -> Caller:
    """A caller that is known, in the group of all those."""
    return Caller(name, tuple(dict.fromkeys((*groups, SIGNED_IN))), by)


ANONYMOUS = Caller("system:anonymous", (UNKNOWN,), "nothing")
LOCAL_ADMIN = signed_in("outrig:loopback", (ADMINS,), by="loopback")

Authenticate = Callable[[Scope], Awaitable[Caller]]


class User(Protocol):
    """Whom a user token names."""

    @property
    def name(self) -> str: ...

    @property
    def groups(self) -> tuple[str, ...]: ...


VerifyUser = Callable[[str], Awaitable[User]]
"""Whom a user token names. Raises OutrigError where it is not one of ours, expired or revoked; Unavailable."""


async def no_users(_token: str) -> User:
    """For a server without user tokens."""
    raise unauthorized()


@dataclass(frozen=True, slots=True)
class Authenticator:
    """An `Authenticate`. `tokens`: SHA-256 of a token in lower-case hex -> its bearer. `names`: the server's own."""

    now: Callable[[], datetime]
    tokens: Mapping[str, Caller] = field(default_factory=dict)
    verify_user: VerifyUser = no_users
    loopback_is_admin: bool = False
    names: frozenset[str] = frozenset()

    async def __call__(self, scope: Scope) -> Caller:
        """Raises ApiError: 401 for credentials that are wrong, 403 for a request that came through a web page."""
        headers = Headers(scope=scope)
        trusts_address = self.loopback_is_admin and scope.get("scheme") in ("http", "ws")
        if trusts_address:
            self._refuse_web_pages(headers)
        if certificate := _client_certificate(scope):
            return self._caller_of_certificate(certificate)
        if "authorization" in headers:
            return await self._caller_of_token(headers["authorization"])
        return LOCAL_ADMIN if trusts_address and _is_direct_loopback(scope, headers) else ANONYMOUS

    async def _caller_of_token(self, authorization: str) -> Caller:
        scheme, _, text = authorization.partition(" ")
        token = text.strip()
        digest = hashlib.sha256(token.encode("latin-1", "replace")).hexdigest()
        # Every token is compared, so that the time taken tells nothing about which one was close.
        found = [caller for known, caller in self.tokens.items() if hmac.compare_digest(known, digest)]
        if scheme.lower() != "bearer":
            raise unauthorized()
        return found[0] if found else await self._user(token)

    async def _user(self, token: str) -> Caller:
        try:
            user = await self.verify_user(token)
        except (ApiError, Unavailable):
            raise
        except OutrigError as error:
            raise unauthorized(f"the user token is no good: {error}") from None
        return signed_in(user.name, (*user.groups, AUTHENTICATED), by=USER_TOKEN)

    def _caller_of_certificate(self, certificate: x509.Certificate) -> Caller:
        """A handshake looks at no times: they count at every request, as a connection may outlive its certificate."""
        caller, now = _caller_of(certificate), self.now()
        if certificate.not_valid_after_utc <= now:
            ended = f"ended at {certificate.not_valid_after_utc:%Y-%m-%d %H:%M:%S} UTC"
            why = f"the client certificate of {caller.name!r} {ended}: `outrig kubeconfig` makes another"
            raise CountsNoMore(why, caller.as_json())
        if certificate.not_valid_before_utc > now:
            begins = f"begins at {certificate.not_valid_before_utc:%Y-%m-%d %H:%M:%S} UTC"
            why = f"the client certificate of {caller.name!r} {begins}: compare the clocks"
            raise CountsNoMore(why, caller.as_json())
        return caller

    def _refuse_web_pages(self, headers: Headers) -> None:
        """A page in a browser on this machine must not reach us, by a name of its own (DNS rebinding) or otherwise."""
        if not self._is_own(host := headers.get("host", "")):
            raise ApiError("Forbidden", f"Host {host!r} is no name of this server; use localhost or 127.0.0.1")
        origin = headers.get("origin")
        if origin is not None and not self._is_own(origin.partition("://")[2]):
            raise ApiError("Forbidden", f"requests from web pages of {origin!r} are refused")

    def _is_own(self, host: str) -> bool:
        name = host.rsplit(":", 1)[0] if not host.endswith("]") and ":" in host else host
        return name.strip("[]").lower() in LOCAL_NAMES | self.names


def _client_certificate(scope: Scope) -> x509.Certificate | None:
    chain = scope.get("extensions", {}).get("tls", {}).get("client_cert_chain")
    return x509.load_pem_x509_certificate(chain[0].encode()) if chain else None


def _caller_of(certificate: x509.Certificate) -> Caller:
    """The subject says who: CN the name, O the groups."""
    names = [str(name.value) for name in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    groups = (str(group.value) for group in certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME))
    known = signed_in(names[0] if names else "unnamed", groups, by="certificate")
    return replace(known, serial=f"{certificate.serial_number:x}", until=certificate.not_valid_after_utc)


def _is_direct_loopback(scope: Scope, headers: Headers) -> bool:
    client = scope.get("client")
    if client is None or any(name in headers for name in FORWARDED):
        return False
    return ipaddress.ip_address(client[0].partition("%")[0]).is_loopback
