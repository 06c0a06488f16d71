"""What a token says, and whether that may count. Pure: text, claims and a time in; parts, or a refusal, out.

Two readings of one token never meet: `claimed` reads an unverified one, only to learn whose keys to ask for;
`check_claims` judges the bytes that the signature was verified over, and nothing else.
Source: RFC 7515 (JWS), RFC 7519 (JWT), RFC 7800 (`cnf`), RFC 8725 (best current practices).
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from outrig.attest.issuers import Issuer, read_attributes
from outrig.attest.refusals import Malformed, TokenRefused
from outrig.wire.codec import WireError, parse

MAX_TOKEN = 16 * 1024  # characters
LEEWAY = timedelta(seconds=30)
_TOKEN = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
_KID = re.compile(r"[\w.-]{1,128}", re.ASCII)
_SUBJECT = re.compile(r"[!-~]([ -~]{0,253}[!-~])?")
_STEERING = ("jku", "x5u", "jwk", "x5c", "crit", "b64", "zip", "enc")
"""Header fields by which a token would choose its own key, or change how it is to be read."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """What an unverified token says: only whom to ask, and for which key. `digest` names what is signed."""

    issuer: str
    subject: str
    algorithm: str
    kid: str
    digest: str


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """A workload that presented a token; every field was signed by the issuer. `digest` names the token."""

    issuer: str
    issuer_name: str
    subject: str
    attributes: Mapping[str, str]
    digest: str
    expires: datetime

    @property
    def principal(self) -> str:
        """Names the workload among all issuers: no issuer's URL has a `#`."""
        return principal(self.issuer, self.subject)


def principal(issuer: str, subject: str) -> str:
    """The one name of a subject of an issuer."""
    return f"{issuer}#{subject}"


def claimed(token: str) -> Claimed:
    """What a token says of itself. Raises Malformed, TokenRefused."""
    found = _TOKEN.fullmatch(token) if len(token) <= MAX_TOKEN else None
    if not found:
        raise Malformed("jwt.token", "is not a signed token", "three base64url parts, 16 KiB at most")
    header, claims = _object(found[1], "header"), _object(found[2], "claims")
    if steering := [name for name in _STEERING if name in header]:
        raise TokenRefused("jwt.token", f"its header has {steering[0]}", "keys come from the issuer's configuration")
    kid, algorithm = header.get("kid"), header.get("alg")
    if not isinstance(kid, str) or not _KID.fullmatch(kid):
        raise TokenRefused("jwt.token", "its header has no usable kid", "the issuer has to name the key")
    if not isinstance(algorithm, str) or not isinstance(claims.get("iss"), str):
        raise TokenRefused("jwt.token", "it has no alg or no iss")
    digest = hashlib.sha256(f"{found[1]}.{found[2]}".encode()).hexdigest()
    return Claimed(claims["iss"], str(claims.get("sub", ""))[:255], algorithm, kid, digest)


def read_claims(payload: bytes) -> Mapping[str, Any]:
    """The claims in verified bytes. Raises TokenRefused."""
    return _parsed(payload, "claims")


def check_claims(
    claims: Mapping[str, Any], issuer: Issuer, *, audience: str, now: datetime, digest: str
) -> VerifiedToken:
    """Whom the claims name, if they are for this control plane and this moment. Raises TokenRefused."""
    if claims.get("iss") != issuer.url:
        raise TokenRefused("jwt.token", "it is another issuer's")
    _check_audience(claims.get("aud"), audience)
    expires = _check_times(claims, issuer.longest, now)
    subject = claims.get("sub")
    if not isinstance(subject, str) or not _SUBJECT.fullmatch(subject):
        raise TokenRefused("jwt.token", "its subject is missing or odd", "1 to 255 printable ASCII characters")
    attributes = read_attributes(issuer.attributes, claims) if issuer.attributes else {}
    return VerifiedToken(issuer.url, issuer.short_name, subject, attributes, digest, expires)


def bound_key(claims: Mapping[str, Any]) -> str:
    """The thumbprint of the key that a token is bound to (`cnf.jkt`), empty if to none. Raises TokenRefused.

    A token bound in a way not known here is not taken for an unbound one.
    """
    binding = claims.get("cnf")
    if binding is None:
        return ""
    thumbprint = binding.get("jkt") if isinstance(binding, Mapping) and len(binding) == 1 else None
    if not isinstance(thumbprint, str) or not thumbprint:
        raise TokenRefused("jwt.token", "it is bound to a key in a way not known here", "cnf with jkt is known")
    return thumbprint


def _check_audience(found: Any, audience: str) -> None:
    if found not in (audience, [audience]):
        problem = "it is not for this control plane alone"
        raise TokenRefused("jwt.token", problem, f"its aud has to be {audience}, and nothing else")


def _check_times(claims: Mapping[str, Any], longest: timedelta, now: datetime) -> datetime:
    expires, issued, moment = _seconds(claims, "exp"), _seconds(claims, "iat"), now.timestamp()
    starts = _seconds(claims, "nbf") if "nbf" in claims else issued
    leeway = LEEWAY.total_seconds()
    if expires <= moment - leeway:
        ended = datetime.fromtimestamp(expires, UTC)
        problem = f"it expired at {ended:%Y-%m-%d %H:%M:%S} UTC"  # not how long ago: the same thing is said alike
        raise TokenRefused("jwt.token", problem, "is the token's file kept fresh?")
    if max(starts, issued) > moment + leeway:
        raise TokenRefused(
            "jwt.token", "it is not valid yet", "does the issuer's clock agree with the control plane's?"
        )
    if not 0 < expires - issued <= longest.total_seconds():
        problem, most = f"it lives for {expires - issued:.0f} s", f"{longest.total_seconds():.0f} s"
        raise TokenRefused("jwt.token", problem, f"at most {most} are accepted from this issuer")
    return datetime.fromtimestamp(expires, UTC)


def _seconds(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**40:  # nor NaN
        raise TokenRefused("jwt.token", f"its {name} is missing or no time", "exp and iat are required")
    return float(value)


def _object(part: str, what: str) -> Mapping[str, Any]:
    try:
        decoded = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except (binascii.Error, ValueError):
        raise Malformed("jwt.token", f"its {what} is not base64url") from None
    return _parsed(decoded, what)


def _parsed(text: bytes, what: str) -> Mapping[str, Any]:
    try:
        value = parse(text)
    except WireError as error:
        raise TokenRefused("jwt.token", f"its {what} cannot be read", detail=str(error)[:300]) from None
    if not isinstance(value, Mapping):
        raise TokenRefused("jwt.token", f"its {what} cannot be read")
    return value
