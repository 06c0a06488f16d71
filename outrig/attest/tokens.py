"""Who presents a token: its issuer configured, its signature verified with the issuer's keys, its claims for us.

In: a token, as text, and the request it came with. Out: a `VerifiedToken`. Until the signature holds, every refusal
that has to do with it is one text; after it, the reason is told.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from outrig.attest.issuers import Issuer
from outrig.attest.jwks import DEFAULT, Ages, KeyRing, PublicKey, fits
from outrig.attest.refusals import IssuerUnknown, Refused, TokenRefused
from outrig.attest.token import Claimed, VerifiedToken, bound_key, check_claims, claimed, read_claims

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TokenEvidence:
    """All that a join by token rests on. `csr`: DER. `audience`: this control plane's own, never the caller's word."""

    token: str
    csr: bytes
    audience: str


class TokenAttestor:
    """Turns a token into a verified workload. `run` keeps the issuers' keys fresh."""

    def __init__(self, issuers: Iterable[Issuer], *, ages: Ages = DEFAULT) -> None:
        self._rings = {issuer.url: KeyRing(issuer, ages=ages) for issuer in issuers}
        self._every = ages.gap.total_seconds()

    def check(self, evidence: TokenEvidence) -> Claimed:
        """All that can be judged without keys; gives what the token says. Raises Refused."""
        said = claimed(evidence.token)
        ring = self._rings.get(said.issuer)
        if ring is None:
            hint = "the control plane's operator names issuers (OUTRIG_JWT_ISSUERS)"
            raise IssuerUnknown("jwt.token", "its issuer is not known here", hint, detail=ascii(said.issuer)[:200])
        if said.algorithm not in ring.issuer.algorithms:
            accepted = ", ".join(ring.issuer.algorithms)
            raise TokenRefused("jwt.token", "its algorithm is not accepted", f"accepted of this issuer: {accepted}")
        return said

    async def verify(self, evidence: TokenEvidence, now: datetime) -> VerifiedToken:
        """The workload that the token names. Raises Refused."""
        said = self.check(evidence)
        ring = self._rings[said.issuer]
        key = await ring.find(said.kid, now)
        if key is None or not fits(key, said.algorithm):
            raise _unverified(f"no {said.algorithm} key {said.kid} of issuer {ring.issuer.short_name}")
        claims = read_claims(_verified_payload(evidence.token, key, said.algorithm))
        if (thumbprint := bound_key(claims)) and thumbprint != _thumbprint(evidence.csr):
            raise TokenRefused("csr", "the token is bound to another key")
        return check_claims(claims, ring.issuer, audience=evidence.audience, now=now, digest=said.digest)

    async def run(self, clock: Callable[[], datetime]) -> None:
        """Keep the keys fresh, until cancelled."""
        while True:
            for ring in self._rings.values():
                try:
                    await ring.refresh(clock())
                except Refused as error:
                    _log.warning("%s (%s); those known serve on", error, error.detail)
            await asyncio.sleep(self._every)


def _verified_payload(token: str, key: PublicKey, algorithm: str) -> bytes:
    registry = jws.JWSRegistry(algorithms=[algorithm], strict_check_header=False)
    try:
        payload = jws.deserialize_compact(token, key, algorithms=[algorithm], registry=registry).payload
    except (JoseError, ValueError) as error:
        raise _unverified(f"{type(error).__name__}: {error}") from None
    return bytes(payload)


def _thumbprint(csr: bytes) -> str:
    """Source: RFC 7638; of the key in a certificate request, as `cnf.jkt` has it (RFC 9449, section 6.1)."""
    public = x509.load_der_x509_csr(csr).public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    kind = ECKey if isinstance(public, EllipticCurvePublicKey) else RSAKey
    return str(kind.import_key(pem).thumbprint())


def _unverified(detail: str) -> TokenRefused:
    return TokenRefused("jwt.token", "its signature cannot be verified with the issuer's keys", detail=detail)
