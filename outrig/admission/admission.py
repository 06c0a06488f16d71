"""The use case: discovery, challenge, join, renewal.

Order: what costs us least first, and nothing that costs anybody else before all of that. The nonce is used up before
AWS or an issuer is asked, so a captured proof can make nobody work twice, whatever becomes of the first attempt. What
a join changes (registration, entry, issued certificates) is one transaction. Renewal is the same join: identity is
checked in full and without caches; only the OnboardingPolicies are not asked again about a workload they have let in.
"""

import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final

from outrig import __version__
from outrig.admission import audit
from outrig.admission.answers import answer
from outrig.admission.candidates import Arrival, Candidate, Candidates
from outrig.admission.complaints import Complaints
from outrig.admission.dataplanes import Enrolment
from outrig.admission.denials import Denials, about
from outrig.admission.form import VERSION
from outrig.admission.ports import Authorities, DataplaneTokens, Peer, TaskAttestor, TokenAttestor
from outrig.admission.proofs import Proofs
from outrig.admission.proven import Vouched
from outrig.admission.rate import Buckets, network_of
from outrig.admission.refusals import CannotSign, CsrRefused, NonceRefused, NotNow, Refused, TooMany
from outrig.admission.settings import AdmissionSettings
from outrig.admission.warranting import WarrantProofs
from outrig.ca import csr as requests
from outrig.ca.authorities import ClockOutside
from outrig.ca.csr import PublicKey
from outrig.store.protocol import AlreadyExists, Conflict, Store, Unavailable
from outrig.tokens.tokens import Tokens
from outrig.wire.join import Challenge, Discovery, JoinRequest, JoinResponse

_LATER: Final = 30  # seconds: somebody has to mend it first


class Admission:
    """Lets workloads in. All of its state is in the store, but for the counting of requests."""

    def __init__(
        self,
        settings: AdmissionSettings,
        *,
        store: Store,
        attestor: TaskAttestor,
        tokens: TokenAttestor,
        authorities: Authorities,
        dataplane_tokens: DataplaneTokens | None = None,
    ) -> None:
        self._settings, self._store, self._authorities = settings, store, authorities
        signed, from_peer = dataplane_tokens or Tokens(), settings.require_peer_address
        self._candidates = Candidates(
            authorities,
            Proofs(attestor, tokens, authorities.audience),
            WarrantProofs(settings, attestor, signed, store, authorities.audience),
            Enrolment(authorities, signed, from_peer=from_peer),
            from_peer,
        )
        self._denials, self._complaints = Denials(store, settings), Complaints()
        self._rate = Buckets(settings.rate, settings.burst)
        self._renewals = Buckets(settings.task_rate, settings.task_burst)
        self._challenges = Buckets(settings.challenge_rate, settings.challenge_burst)

    def discovery(self) -> Discovery:
        """What a caller needs to know before it joins."""
        return Discovery((VERSION,), self._authorities.audience, __version__)

    async def challenge(self, peer: Peer, now: datetime) -> Challenge:
        """A nonce for one join. Raises Refused."""
        self._slow_down(peer)
        _take(self._challenges, "", "too many callers ask")
        nonce, lifetime = secrets.token_urlsafe(32), self._settings.nonce_lifetime
        try:
            async with self._store.transaction() as tx:
                await tx.add_nonce(nonce, now + lifetime)
        except Unavailable as error:
            raise _not_now(str(error)) from None
        return Challenge(nonce, self._authorities.audience, int(lifetime.total_seconds()))

    async def join(self, request: JoinRequest, peer: Peer, now: datetime) -> JoinResponse:
        """Register the workload that is calling and give it certificates. Raises Refused."""
        self._slow_down(peer)
        async with self._reporting(request, now):
            candidate = self._candidates.read(request, now)
            key = self._read_key(candidate.csr)
            known = await self._use_nonce(candidate, now)
            if known:
                self._slow_down_renewal(candidate, peer)
            shown = await candidate.prove(now, fresh=known)
        async with self._reporting(request, now, proven=shown.vouched):
            holder = self._authorities.identify(peer.certificate, now) if peer.certificate else None
            async with self._store.transaction() as tx:
                enrolled = await shown.enrol(tx, Arrival(request, peer, key, holder), now)
        audit.admitted(request, shown.vouched, enrolled)
        return answer(enrolled, self._settings, authorities=self._authorities, now=now)

    @asynccontextmanager
    async def _reporting(
        self, request: JoinRequest, now: datetime, *, proven: Vouched | None = None
    ) -> AsyncIterator[None]:
        """Whatever is refused within is logged, and told to the namespace; the store's troubles become refusals."""
        try:
            try:
                yield
            except (Unavailable, Conflict, AlreadyExists) as error:
                raise _not_now(str(error)) from None
            except ClockOutside as error:
                self._complaints.fault(error)
                raise CannotSign(error.place, error.problem, error.hint, retry_after=_LATER) from None
        except TooMany:
            raise
        except Refused as refused:
            audit.refused(request, refused, proven=proven)
            self._complaints.tell(request, refused)
            who = proven.account if proven else ""
            await self._denials.record(about(request), refused, who=who, now=now)
            raise

    def _slow_down(self, peer: Peer) -> None:
        _take(self._rate, network_of(peer.ip), "this address asks too often")

    def _slow_down_renewal(self, candidate: Candidate, peer: Peer) -> None:
        """The workload is only claimed yet; with the address in the name, nobody elsewhere can use up its renewals."""
        _take(self._renewals, f"{network_of(peer.ip)} {candidate.claimed}", "this workload renews too often")

    def _read_key(self, csr: bytes) -> PublicKey:
        try:
            key = self._authorities.read_key(csr)
        except requests.CsrRefused as error:
            raise CsrRefused(error.place, error.problem, error.hint) from None
        if self._authorities.owns_key(requests.key_hash(key)):
            raise CsrRefused("csr", "its key is an authority's", "make a key of its own")
        return key

    async def _use_nonce(self, candidate: Candidate, now: datetime) -> bool:
        """Use it up; gives whether the claimed workload holds certificates already. Raises NonceRefused."""
        async with self._store.transaction() as tx:
            if not await tx.consume_nonce(candidate.nonce, now):
                raise NonceRefused("nonce", "is unknown, used or expired", "ask for a new challenge", retry_after=1)
            return bool(await tx.issued_to(candidate.claimed, now))


def _take(buckets: Buckets, name: str, problem: str) -> None:
    if (wait := buckets.take(name, time.monotonic())) > 0:
        raise TooMany("", problem, "wait, then try again", retry_after=int(wait) + 1)


def _not_now(detail: str) -> NotNow:
    return NotNow("", "the control plane cannot write its state now", "try again", retry_after=2, detail=detail)
