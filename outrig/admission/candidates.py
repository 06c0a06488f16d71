"""The two ways in: as a workload of a WorkloadGroup, or as a proxy with a Dataplane of its own.

In: a join request. Out: a `Candidate`, which knows its nonce and whom it claims to be; proven, it can be enrolled.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from outrig.admission.addresses import choose_address
from outrig.admission.dataplanes import Enrolment, Entrant
from outrig.admission.documents import Asked, check_text, read_asked
from outrig.admission.enrolment import Enrolled, Newcomer, enrol
from outrig.admission.form import Wanted, check_request
from outrig.admission.ports import Authorities, Peer
from outrig.admission.proofs import Proof, Proofs
from outrig.admission.proven import Proven, Vouched, Warranted
from outrig.admission.warranting import WarrantProofs
from outrig.ca.csr import PublicKey, key_hash
from outrig.ca.peers import ControlPeer
from outrig.store.protocol import Transaction
from outrig.wire.join import JoinRequest


@dataclass(frozen=True, slots=True)
class Arrival:
    """What a request came with, beside its proof. `holder`: whose control identity its connection showed."""

    request: JoinRequest
    peer: Peer
    key: PublicKey
    holder: ControlPeer | None


@dataclass(frozen=True, slots=True)
class Shown:
    """A caller that has shown who it is. `enrol` raises Refused."""

    vouched: Vouched
    enrol: Callable[[Transaction, Arrival, datetime], Awaitable[Enrolled]]


class Candidate(Protocol):
    """A caller whose request has the right form. `claimed`: the principal it says it is."""

    @property
    def csr(self) -> bytes: ...

    @property
    def nonce(self) -> str: ...

    @property
    def claimed(self) -> str: ...

    async def prove(self, now: datetime, *, fresh: bool) -> Shown:
        """Who it is; `fresh`: nothing may come from a cache. Raises Refused."""
        ...


@dataclass(frozen=True, slots=True)
class Candidates:
    """Reads requests. `from_peer`: connections must come from the workload's own address."""

    authorities: Authorities
    proofs: Proofs
    warrants: WarrantProofs
    enrolment: Enrolment
    from_peer: bool

    def read(self, request: JoinRequest, now: datetime) -> Candidate:
        """The candidate of a request, checked as far as that asks nobody. Raises Refused."""
        if request.dataplane:
            asked = read_asked(request, request.dataplane)
            return _Proxy(asked, self.warrants.read(request, asked, now), self.enrolment)
        wanted = check_request(request)
        return _Member(wanted, self.proofs.read(request, wanted.csr, now), self.authorities, self.from_peer)


@dataclass(frozen=True, slots=True)
class _Member:
    """A workload of a group."""

    wanted: Wanted
    proof: Proof[Proven]
    authorities: Authorities
    from_peer: bool

    @property
    def csr(self) -> bytes:
        return self.wanted.csr

    @property
    def nonce(self) -> str:
        return self.proof.nonce

    @property
    def claimed(self) -> str:
        return self.proof.claimed

    async def prove(self, now: datetime, *, fresh: bool) -> Shown:
        proven = await self.proof.verify(now, fresh=fresh)

        async def enter(tx: Transaction, came: Arrival, now: datetime) -> Enrolled:
            reach = choose_address(self.wanted, proven, came.peer, from_peer=self.from_peer)
            digest = key_hash(came.key)
            newcomer = Newcomer(came.request, self.wanted, proven, reach, came.key, digest, came.holder)
            return await enrol(tx, newcomer, authorities=self.authorities, now=now)

        return Shown(proven, enter)


@dataclass(frozen=True, slots=True)
class _Proxy:
    """A proxy with a text of its own."""

    asked: Asked
    proof: Proof[Warranted]
    enrolment: Enrolment

    @property
    def csr(self) -> bytes:
        return self.asked.csr

    @property
    def nonce(self) -> str:
        return self.proof.nonce

    @property
    def claimed(self) -> str:
        return self.proof.claimed

    async def prove(self, now: datetime, *, fresh: bool) -> Shown:
        proven = await self.proof.verify(now, fresh=fresh)
        check_text(self.asked)

        async def enter(tx: Transaction, came: Arrival, now: datetime) -> Enrolled:
            digest = key_hash(came.key)
            entrant = Entrant(came.request, self.asked, proven, came.peer, came.key, digest, came.holder)
            return await self.enrolment.enrol(tx, entrant, now=now)

        return Shown(proven, enter)
