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

from outrig import __version__
from outrig.admission import audit
from outrig.admission.addresses import choose_address
from outrig.admission.denials import Denials
from outrig.admission.enrolment import Enrolled, Newcomer, enrol, group_key
from outrig.admission.form import VERSION, check_request
from outrig.admission.ports import Authorities, Peer, TaskAttestor, TokenAttestor
from outrig.admission.probing import probe_of
from outrig.admission.proofs import Proof, Proofs
from outrig.admission.proven import Proven
from outrig.admission.rate import Buckets, network_of
from outrig.admission.refusals import CsrRefused, NonceRefused, NotNow, Refused, TooMany
from outrig.admission.settings import AdmissionSettings
from outrig.ca import csr as requests
from outrig.ca.csr import PublicKey
from outrig.store.protocol import AlreadyExists, Conflict, Store, Unavailable
from outrig.wire.join import Challenge, Discovery, JoinRequest, JoinResponse


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
    ) -> None:
        self._settings, self._store, self._authorities = settings, store, authorities
        self._proofs = Proofs(attestor, tokens, authorities.audience)
        self._denials = Denials(store, settings)
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
            wanted = check_request(request)
            proof = self._proofs.read(request, wanted.csr, now)
            key = self._read_key(wanted.csr)
            known = await self._use_nonce(proof, now)
            if known:
                self._slow_down_renewal(proof, peer)
            proven = await proof.verify(now, fresh=known)
        async with self._reporting(request, now, proven=proven):
            reach = choose_address(wanted, proven, peer, from_peer=self._settings.require_peer_address)
            holder = self._authorities.identify(peer.certificate, now) if peer.certificate else None
            newcomer = Newcomer(request, wanted, proven, reach, key, requests.key_hash(key), holder)
            async with self._store.transaction() as tx:
                enrolled = await enrol(tx, newcomer, authorities=self._authorities, now=now)
        audit.admitted(newcomer, enrolled)
        return self._response(enrolled, now)

    @asynccontextmanager
    async def _reporting(
        self, request: JoinRequest, now: datetime, *, proven: Proven | None = None
    ) -> AsyncIterator[None]:
        """Whatever is refused within is logged, and told to the namespace; the store's troubles become refusals."""
        try:
            try:
                yield
            except (Unavailable, Conflict, AlreadyExists) as error:
                raise _not_now(str(error)) from None
        except TooMany:
            raise
        except Refused as refused:
            audit.refused(request, refused, proven=proven)
            who = proven.account if proven else ""
            await self._denials.record(group_key(request), refused, who=who, now=now)
            raise

    def _slow_down(self, peer: Peer) -> None:
        _take(self._rate, network_of(peer.ip), "this address asks too often")

    def _slow_down_renewal(self, proof: Proof, peer: Peer) -> None:
        """The workload is only claimed yet; with the address in the name, nobody elsewhere can use up its renewals."""
        _take(self._renewals, f"{network_of(peer.ip)} {proof.claimed}", "this workload renews too often")

    def _read_key(self, csr: bytes) -> PublicKey:
        try:
            key = self._authorities.read_key(csr)
        except requests.CsrRefused as error:
            raise CsrRefused(error.place, error.problem, error.hint) from None
        if self._authorities.owns_key(requests.key_hash(key)):
            raise CsrRefused("csr", "its key is an authority's", "make a key of its own")
        return key

    async def _use_nonce(self, proof: Proof, now: datetime) -> bool:
        """Use it up; gives whether the claimed workload holds certificates already. Raises NonceRefused."""
        async with self._store.transaction() as tx:
            if not await tx.consume_nonce(proof.nonce, now):
                raise NonceRefused("nonce", "is unknown, used or expired", "ask for a new challenge", retry_after=1)
            return bool(await tx.live_keys(proof.claimed, now))

    def _response(self, enrolled: Enrolled, now: datetime) -> JoinResponse:
        registration, lifetime = (
            enrolled.registration,
            min(enrolled.control.not_after, enrolled.workload.not_after) - now,
        )
        seconds = max(1, int(lifetime.total_seconds()))
        return JoinResponse(
            namespace=registration.key.namespace,
            registration=registration.key.name,
            uid=registration.uid,
            node_id=f"{registration.key.namespace}/{registration.key.name}",
            control_chain=enrolled.control.chain,
            control_roots=self._authorities.control_roots,
            control_plane=self._authorities.control_plane,
            workload_chain=enrolled.workload.chain,
            xds_port=self._settings.xds_port,
            xds_host=self._settings.xds_host,
            probe=probe_of(registration),
            expires_in=seconds,
            renew_in=max(1, seconds // 2),
        )


def _take(buckets: Buckets, name: str, problem: str) -> None:
    if (wait := buckets.take(name, time.monotonic())) > 0:
        raise TooMany("", problem, "wait, then try again", retry_after=int(wait) + 1)


def _not_now(detail: str) -> NotNow:
    return NotNow("", "the control plane cannot write its state now", "try again", retry_after=2, detail=detail)
