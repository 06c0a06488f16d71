"""The public keys of an issuer: fetched, kept, refreshed; served stale for a day while the issuer is away.

Asked for an unknown key it looks again, but not sooner than a minute after the last look, or ten seconds after one that
failed, whatever callers send: so nobody can make the control plane press an issuer. Source: RFC 7517 (JWK).
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from outrig.attest.fetching import fetch
from outrig.attest.issuers import Issuer
from outrig.attest.refusals import IssuerUnavailable
from outrig.wire.codec import parse

PublicKey = RSAKey | ECKey
Keys = Mapping[str, PublicKey]
Fetch = Callable[[Issuer, str], Awaitable[Mapping[str, Any]]]
_MOST_KEYS = 64
_LEAST_RSA, _MOST_RSA = 2048, 8200  # bits, six to a character, so up to five too many
_OF_ALGORITHM = {"RS256": ("RSA", ""), "ES256": ("EC", "P-256"), "ES384": ("EC", "P-384")}
_BEGINNING = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Ages:
    """`gap`: between two looks at an issuer; `retry`: after one that failed.

    Keys older than `fresh` are fetched anew, unasked; keys older than `stale` are not used any more.
    """

    gap: timedelta = timedelta(seconds=60)
    retry: timedelta = timedelta(seconds=10)
    fresh: timedelta = timedelta(minutes=5)
    stale: timedelta = timedelta(hours=24)


DEFAULT = Ages()


class KeyRing:
    """The keys of one issuer. Times are the caller's."""

    def __init__(self, issuer: Issuer, *, ages: Ages = DEFAULT, fetch: Fetch = fetch) -> None:
        self.issuer = issuer
        self._ages, self._fetch = ages, fetch
        self._keys: Keys = read_keys(parse(issuer.jwks), issuer) if issuer.jwks else {}
        self._fetched = self._next_look = _BEGINNING
        self._lock = asyncio.Lock()

    async def find(self, kid: str, now: datetime) -> PublicKey | None:
        """The key of that name. Raises IssuerUnavailable if there are no keys that may be used."""
        if self.issuer.jwks:
            return self._keys.get(kid)
        if kid not in self._keys or now - self._fetched > self._ages.stale:
            await self._look(now)
        return self._keys.get(kid)

    async def refresh(self, now: datetime) -> None:
        """Fetch the keys if they are no longer fresh. Raises IssuerUnavailable; what was known stays."""
        if not self.issuer.jwks and now - self._fetched > self._ages.fresh:
            await self._look(now)

    async def _look(self, now: datetime) -> None:
        """Fetch the keys, unless that was tried within the gap. One look at a time: others wait for its outcome."""
        async with self._lock:
            if now >= self._next_look:
                self._next_look = now + self._ages.retry
                self._keys, self._fetched = await self._fetch_keys(), now
                self._next_look = now + self._ages.gap
        if now - self._fetched > self._ages.stale:
            problem = f"the keys of issuer {self.issuer.short_name} are not known"
            raise IssuerUnavailable("jwt", problem, "try again", retry_after=15)

    async def _fetch_keys(self) -> Keys:
        uri = self.issuer.jwks_uri or await self._discover()
        keys = read_keys(await self._fetch(self.issuer, uri), self.issuer)
        if not keys:
            raise self._unusable(f"no usable key at {uri}")
        return keys

    async def _discover(self) -> str:
        found = await self._fetch(self.issuer, self.issuer.discovery)
        if found.get("issuer") != self.issuer.url or not isinstance(found.get("jwks_uri"), str):
            raise self._unusable(f"{self.issuer.discovery} is about {found.get('issuer')!r}, or has no jwks_uri")
        return str(found["jwks_uri"])

    def _unusable(self, detail: str) -> IssuerUnavailable:
        problem = f"issuer {self.issuer.short_name} does not serve keys that can be used"
        return IssuerUnavailable("jwt", problem, "try again", retry_after=60, detail=detail)


def read_keys(document: Any, issuer: Issuer) -> Keys:
    """The keys of a key set that may verify the issuer's tokens; what is not one of those is passed over."""
    listed = document.get("keys") if isinstance(document, Mapping) else None
    found: dict[str, PublicKey] = {}
    for entry in listed[:_MOST_KEYS] if isinstance(listed, list) else ():
        kid = entry.get("kid") if isinstance(entry, Mapping) else None
        key = _read_key(entry) if isinstance(kid, str) and _may_verify(entry, issuer.algorithms) else None
        if key is not None and kid not in found:
            found[str(kid)] = key
    return found


def fits(key: PublicKey, algorithm: str) -> bool:
    """Whether a key is of the kind that an algorithm needs."""
    curve = key.curve_name if isinstance(key, ECKey) else ""
    return (key.key_type, curve) == _OF_ALGORITHM.get(algorithm)


def _may_verify(entry: Mapping[str, Any], algorithms: tuple[str, ...]) -> bool:
    return entry.get("use", "sig") == "sig" and entry.get("alg", algorithms[0]) in algorithms


def _read_key(entry: Mapping[str, Any]) -> PublicKey | None:
    """Only the public parts are read, so that a private key published by mistake is not kept."""
    kinds: dict[str, tuple[type[PublicKey], tuple[str, ...]]] = {"RSA": (RSAKey, ("n", "e")),
                                                                  "EC": (ECKey, ("crv", "x", "y"))}  # fmt: skip
    kind, names = kinds.get(str(entry.get("kty")), (None, ()))
    if kind is None:
        return None
    if kind is RSAKey and not _LEAST_RSA <= 6 * len(str(entry.get("n"))) <= _MOST_RSA:
        return None
    try:
        return kind.import_key({"kty": str(entry["kty"]), **{name: str(entry[name]) for name in names}})
    except (JoseError, ValueError, KeyError, TypeError):
        return None
