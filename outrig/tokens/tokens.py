"""Issuing, verifying and revoking, with the signing keys in the store.

A token's standing (its signing key still there, itself not revoked) is asked anew each time: deleting a key or listing
a token counts from that transaction on, for every replica.
"""

import asyncio
import logging
import re
from datetime import datetime, timedelta
from typing import Final, Protocol

from joserfc.jwk import RSAKey

from outrig.resources import Key, Resource
from outrig.store.protocol import Query, Transaction
from outrig.tokens.claims import (
    DataplaneClaims,
    UserClaims,
    ZoneClaims,
    dataplane_claims,
    user_claims,
    zone_claims,
)
from outrig.tokens.jwt import Verified, kid_of, sign, verify
from outrig.tokens.keys import (
    GLOBAL_SECRET,
    GROUP,
    USER,
    ZONE,
    Ring,
    dataplane_ring,
    holds_signing_key,
    lists_revocations,
    new_signing_key,
    public_key,
    secret_body,
    secret_text,
    serial_of_kid,
    signing_key,
    verifying_key,
)
from outrig.tokens.refusals import IssuingOff, ListUnreadable, SigningKeyRefused, TokenInvalid, saying
from outrig.tokens.settings import TokenSettings

NEW_KEY: Final = "outrig token signing-key makes one; replace it, or delete it"
_log = logging.getLogger(__name__)
ADMIN_TOKEN: Final = Key(GROUP, GLOBAL_SECRET, "", "", "admin-user-token")
ADMINS: Final = "mesh-system:admin"
TEN_YEARS: Final = timedelta(days=3652)


class Reads(Protocol):
    """What is read: a store, or a transaction of one."""

    async def get(self, key: Key) -> Resource | None: ...


class Tokens:
    """The tokens of one control plane."""

    def __init__(self, settings: TokenSettings | None = None) -> None:
        self._settings = settings or TokenSettings()

    async def issue_dataplane(
        self, tx: Transaction, claims: DataplaneClaims, *, now: datetime, lifetime: timedelta = TEN_YEARS
    ) -> str:
        """A data plane token. Raises IssuingOff, SigningKeyRefused (its mesh has no key), ClaimRefused."""
        self._check_issued("dataplane")
        key, kid = await _signing_key(tx, dataplane_ring(claims.mesh))
        return sign(claims.as_json(), key, kid=kid, now=now, lifetime=lifetime)

    async def issue_zone(
        self, tx: Transaction, claims: ZoneClaims, *, now: datetime, lifetime: timedelta = TEN_YEARS
    ) -> str:
        """A zone token. Raises as `issue_dataplane`."""
        self._check_issued("zone")
        key, kid = await _signing_key(tx, ZONE)
        return sign(claims.as_json(), key, kid=kid, now=now, lifetime=lifetime)

    async def issue_user(self, tx: Transaction, claims: UserClaims, *, now: datetime, lifetime: timedelta) -> str:
        """A user token. Raises as `issue_dataplane`."""
        self._check_issued("user")
        key, kid = await _signing_key(tx, USER)
        return sign(claims.as_json(), key, kid=kid, now=now, lifetime=lifetime)

    async def verify_dataplane(
        self, reads: Reads, token: str, *, mesh: str, now: datetime
    ) -> tuple[Verified, DataplaneClaims]:
        """What a token says that is for that mesh and valid now. Raises TokenInvalid."""
        verified = await self._verify(reads, dataplane_ring(mesh), token, now)
        claims = dataplane_claims(verified.claims)
        if claims.mesh != mesh:
            raise TokenInvalid("token", f"it is not for mesh {mesh}")
        return verified, claims

    async def verify_zone(self, reads: Reads, token: str, *, now: datetime) -> tuple[Verified, ZoneClaims]:
        """What a zone token says that is valid now. Raises TokenInvalid."""
        verified = await self._verify(reads, ZONE, token, now)
        return verified, zone_claims(verified.claims)

    async def verify_user(self, reads: Reads, token: str, *, now: datetime) -> UserClaims:
        """The user that a token names, if it is valid now. Raises TokenInvalid."""
        return user_claims((await self._verify(reads, USER, token, now)).claims)

    async def check_standing(self, reads: Reads, ring: Ring, *, kid: str, jti: str) -> None:
        """A token that was verified before is good still: its key is there, and it is not revoked.

        Raises TokenInvalid.
        """
        await self._key(reads, ring, kid)
        for key in ring.revocations:
            if jti in revoked_in(await reads.get(key)):
                raise TokenInvalid("token", "it is revoked", "ask for another")

    async def _verify(self, reads: Reads, ring: Ring, token: str, now: datetime) -> Verified:
        key = await self._key(reads, ring, kid_of(token))
        verified = verify(token, key, now)
        with saying(verified.claims):
            await self.check_standing(reads, ring, kid=verified.kid, jti=verified.jti)
        return verified

    async def _key(self, reads: Reads, ring: Ring, kid: str) -> RSAKey:
        configured = next((key for key in self._settings.known(ring) if key.kid == kid), None)
        if configured:
            return verifying_key(configured.pem)
        serial = None if ring.purpose in self._settings.no_secrets else serial_of_kid(kid)
        stored = None if serial is None else await reads.get(ring.key_of(serial))
        if stored is None:
            where, other = (
                (f" in mesh {ring.mesh}", "; if there is no such mesh, name another") if ring.mesh else ("", "")
            )
            hint = f"if the signing key was rotated, issue the token anew{other}"
            raise TokenInvalid("token", f"there is no {ring.purpose} signing key with id {kid}{where}", hint)
        try:
            return verifying_key(public_key(secret_text(stored)))
        except SigningKeyRefused as error:
            raise TokenInvalid("token", f"signing key {kid} cannot be used: {error.problem}") from None

    def issues(self, ring: Ring) -> bool:
        """Whether this control plane issues tokens of that ring."""
        return ring.purpose not in self._settings.not_issued

    def _check_issued(self, purpose: str) -> None:
        if purpose in self._settings.not_issued:
            problem = "issuing tokens using the control plane is disabled"
            raise IssuingOff(f"{purpose} token", problem, "outrig token … --signing-key-path issues them offline")


async def ensure_signing_key(tx: Transaction, ring: Ring) -> None:
    """The ring has a key; one is made if there is none."""
    if not await _keys(tx, ring):
        pem = await asyncio.to_thread(new_signing_key)
        await tx.create(Resource(ring.key_of(1), body=secret_body(pem)))


async def rotate_signing_key(tx: Transaction, ring: Ring) -> Key:
    """One more key, which signs from now on; those there stay until they are deleted. Gives its resource's key."""
    key = ring.key_of(1 + max(await _keys(tx, ring), default=0))
    pem = await asyncio.to_thread(new_signing_key)
    await tx.create(Resource(key, body=secret_body(pem)))
    return key


async def ensure_admin_token(tx: Transaction, tokens: Tokens, *, now: datetime) -> None:
    """There is the GlobalSecret of an administrator's token, as Kuma has it from its first start on."""
    if await tx.get(ADMIN_TOKEN) is None and tokens.issues(USER):
        claims = UserClaims("mesh-system:admin", (ADMINS,))
        token = await tokens.issue_user(tx, claims, now=now, lifetime=TEN_YEARS)
        await tx.create(Resource(ADMIN_TOKEN, body=secret_body(token)))


async def check_secret(secret: Resource) -> None:
    """What is named as a signing key can sign, and what is named as a list of revoked tokens can be read.

    Issuing, or every token, would fail when its author does not look any more. Raises SigningKeyRefused, or
    ListUnreadable.
    """
    if holds_signing_key(secret.key):
        try:
            await asyncio.to_thread(signing_key, secret_text(secret))
        except SigningKeyRefused as error:
            problem = f"{error.problem}, and resources of this name hold a signing key"
            raise SigningKeyRefused(
                "data", problem, "outrig token signing-key makes one; or choose another name"
            ) from None
    elif lists_revocations(secret.key):
        try:
            secret_text(secret)
        except SigningKeyRefused as error:
            problem = f"{error.problem}, and resources of this name list revoked tokens"
            raise ListUnreadable("data", problem, "their ids, separated by commas, in base64") from None


def revoked_in(listed: Resource | None) -> frozenset[str]:
    """The ids in a list of revoked tokens. Raises ListUnreadable."""
    try:
        text = secret_text(listed) if listed else ""
    except SigningKeyRefused as error:
        raise ListUnreadable("token", f"whether it is revoked cannot be told: {error.place}: {error.problem}") from None
    return frozenset(filter(None, re.split(r"[\s,]+", text)))


async def _keys(tx: Transaction, ring: Ring) -> dict[int, Resource]:
    found = await tx.list(Query(kinds=((GROUP, ring.kind),), mesh=ring.mesh))
    serials = ((ring.serial_of(resource.key), resource) for resource in found)
    return {serial: resource for serial, resource in serials if serial is not None}


async def _signing_key(tx: Transaction, ring: Ring) -> tuple[RSAKey, str]:
    """The key that signs, and its id: of those that can be used the one with the highest serial."""
    keys = await _keys(tx, ring)
    hint = "outrig token signing-key makes one, to be stored under this name"
    refused = SigningKeyRefused(str(ring.key_of(1)), "does not exist", hint)
    for serial in sorted(keys, reverse=True):
        try:
            return signing_key(secret_text(keys[serial])), str(serial)
        except SigningKeyRefused as error:
            refused = SigningKeyRefused(str(keys[serial].key), f"cannot be used: {error.problem}", NEW_KEY)
            _log.warning("%s; the one before it signs, if there is one", refused)
    raise refused
