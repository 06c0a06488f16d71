"""Signing and verifying: RS256 and nothing else. Pure: keys, texts and a time in; texts or claims out.

A token's header may say `alg`, `kid` and `typ`: whatever else would steer its reader is refused. What counts are the
bytes that the signature was verified over. Source: RFC 7515, RFC 7519, RFC 8725.
"""

import base64
import binascii
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from outrig.tokens.refusals import ClaimRefused, NotSigned, SigningKeyRefused, TokenInvalid, saying
from outrig.wire.codec import WireError, parse

ALGORITHM: Final = "RS256"
MAX_TOKEN: Final = 16 * 1024  # characters
LEEWAY: Final = timedelta(seconds=30)  # for clocks of those who sign offline
LONGEST: Final = timedelta(days=3653)
_BACKDATE: Final = timedelta(seconds=5)
_TOKEN: Final = re.compile(r"([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_KID: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")
_JTI: Final = re.compile(r"[!-+\--~]{1,128}")  # printable, without a comma: lists of them are separated by commas
_HEADER: Final = frozenset(("alg", "kid", "typ"))


@dataclass(frozen=True, slots=True)
class Verified:
    """A token whose signature and time hold. `kid` signed it; `jti` names it; nobody may take it after `expires`."""

    kid: str
    jti: str
    expires: datetime
    claims: Mapping[str, Any]


def sign(claims: Mapping[str, Any], key: RSAKey, *, kid: str, now: datetime, lifetime: timedelta) -> str:
    """A token that says those claims, from now on and for that long. Raises ClaimRefused, SigningKeyRefused."""
    if not timedelta(0) < lifetime <= LONGEST:
        raise ClaimRefused("validFor", f"{lifetime} is not accepted", "more than nothing, ten years at most")
    if not _KID.fullmatch(kid):
        raise SigningKeyRefused("kid", f"{kid[:80]!r} names no key", f"form: {_KID.pattern}")
    start = int((now - _BACKDATE).timestamp())
    times = {"iat": start, "nbf": start, "exp": int((now + lifetime).timestamp()), "jti": secrets.token_hex(16)}
    header = {"alg": ALGORITHM, "kid": kid, "typ": "JWT"}
    return jws.serialize_compact(header, _payload({**claims, **times}), key, algorithms=[ALGORITHM])


def kid_of(token: str) -> str:
    """The key that a token says has signed it: only what to look up. Raises TokenInvalid."""
    found = _TOKEN.fullmatch(token) if len(token) <= MAX_TOKEN else None
    if not found:
        raise NotSigned("token", "is not a signed token", "three base64url parts, on one line, nothing around them")
    header = _object(_decoded(found[1]), "header")
    if steering := sorted(header.keys() - _HEADER):
        raise TokenInvalid("token", f"its header has {steering[0]!a}", "alg, kid and typ are all it may have")
    if header.get("alg") != ALGORITHM:
        raise TokenInvalid("token", "its algorithm is not accepted", f"{ALGORITHM} is")
    kid = header.get("kid")
    if not isinstance(kid, str) or not _KID.fullmatch(kid):
        raise TokenInvalid("token", "its header has no usable kid", "the serial of the signing key, as text")
    return kid


def verify(token: str, key: RSAKey, now: datetime) -> Verified:
    """What a token says, if that key has signed it and it is valid now. Raises TokenInvalid."""
    kid = kid_of(token)
    try:
        payload = jws.deserialize_compact(token, key, algorithms=[ALGORITHM]).payload
    except (JoseError, ValueError):
        raise TokenInvalid("token", f"its signature is not that of signing key {kid}", "is it for this mesh?") from None
    claims = _object(bytes(payload), "claims")
    with saying(claims):
        expires = _check_times(claims, now)
    jti = claims.get("jti")
    if not isinstance(jti, str) or not _JTI.fullmatch(jti):
        raise TokenInvalid("token", "it has no jti, so it could not be revoked", "issue another")
    return Verified(kid, jti, expires, claims)


def _check_times(claims: Mapping[str, Any], now: datetime) -> datetime:
    expires, issued, moment = _seconds(claims, "exp"), _seconds(claims, "iat"), now.timestamp()
    starts = _seconds(claims, "nbf") if "nbf" in claims else issued
    if expires <= moment:
        ended = datetime.fromtimestamp(expires, UTC)
        problem = f"it expired at {ended:%Y-%m-%d %H:%M:%S} UTC"  # not how long ago: the same thing is said alike
        raise TokenInvalid("token", problem, "issue another")
    if max(starts, issued) > moment + LEEWAY.total_seconds():
        raise TokenInvalid("token", "it is not valid yet", "does the clock of who signed it agree with ours?")
    return datetime.fromtimestamp(expires, UTC)


def _seconds(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**36:  # nor NaN
        raise TokenInvalid("token", f"its {name} is missing or no time", "exp and iat are required")
    return float(value)


def _decoded(part: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except (binascii.Error, ValueError):
        raise TokenInvalid("token", "its header is not base64url") from None


def _object(text: bytes, what: str) -> Mapping[str, Any]:
    try:
        value = parse(text)
    except WireError:
        raise TokenInvalid("token", f"its {what} cannot be read") from None
    if not isinstance(value, Mapping):
        raise TokenInvalid("token", f"its {what} cannot be read")
    return value


def _payload(claims: Mapping[str, Any]) -> bytes:
    return json.dumps(claims, separators=(",", ":")).encode()
