"""The proof in a join request: a task's signature or a token, handled alike.

In: a request. Out: a `Proof`, which knows its nonce, whom it claims to be of, and how it is verified. Refused:
requests with no proof, or with both kinds.
"""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Protocol, TypeVar

from outrig.admission.form import INTERNET
from outrig.admission.ports import TaskAttestor, TokenAttestor
from outrig.admission.proven import Proven, Vouched, proven_task, proven_token
from outrig.admission.refusals import Malformed
from outrig.attest.evidence import Evidence
from outrig.attest.task import VerifiedTask
from outrig.attest.token import principal
from outrig.attest.tokens import TokenEvidence
from outrig.wire.join import JoinRequest

_NONCE = re.compile(r"[A-Za-z0-9_-]{16,128}")


V_co = TypeVar("V_co", bound=Vouched, covariant=True)


class Proof(Protocol[V_co]):
    """What a caller brings to show who it is. `claimed`: the principal it says it is, unproven until `verify`."""

    @property
    def nonce(self) -> str: ...

    @property
    def claimed(self) -> str: ...

    async def verify(self, now: datetime, *, fresh: bool) -> V_co:
        """Who the caller is; `fresh`: nothing may come from a cache. Raises Refused."""
        ...


@dataclass(frozen=True, slots=True)
class TaskProof(Generic[V_co]):
    """A task's signature, checked as far as that needs nobody else. `vouch`: what follows from the verified task."""

    evidence: Evidence
    attestor: TaskAttestor
    vouch: Callable[[VerifiedTask], V_co]

    @property
    def nonce(self) -> str:
        """Of the challenge."""
        return self.evidence.proof.nonce

    @property
    def claimed(self) -> str:
        """The task's ARN."""
        return self.evidence.claim.task_arn

    async def verify(self, now: datetime, *, fresh: bool) -> V_co:  # noqa: ARG002 - its date was checked before
        """See `Proof`."""
        return self.vouch(await self.attestor.verify(self.evidence, fresh=fresh))


@dataclass(frozen=True, slots=True)
class JwtProof:
    """A token of an issuer, checked as far as that needs no key."""

    nonce: str
    claimed: str
    evidence: TokenEvidence
    attestor: TokenAttestor

    async def verify(self, now: datetime, *, fresh: bool) -> Proven:  # noqa: ARG002 - nothing of it is ever cached
        """See `Proof`."""
        return proven_token(await self.attestor.verify(self.evidence, now))


@dataclass(frozen=True, slots=True)
class Proofs:
    """Reads proofs. `audience`: this control plane's."""

    tasks: TaskAttestor
    tokens: TokenAttestor
    audience: str

    def read(self, request: JoinRequest, csr: bytes, now: datetime) -> Proof[Proven]:
        """The one proof of a request, checked as far as that asks nobody. Raises Refused."""
        if request.token is not None:
            raise Malformed("token", "is no proof for a WorkloadGroup", "join it by a task's role or an issuer's token")
        if request.jwt is None and request.aws is not None and request.ecs is not None:
            public = request.connected_over == INTERNET
            evidence = Evidence(request.aws, request.ecs, csr, self.audience, public)
            self.tasks.check(evidence, now)
            return TaskProof(evidence, self.tasks, proven_task)
        if request.jwt is None or request.aws is not None or request.ecs is not None:
            raise Malformed("request", "has no proof of identity, or more than one", "aws and ecs, or else jwt")
        if not _NONCE.fullmatch(request.jwt.nonce):
            raise Malformed("jwt.nonce", f"does not have the form {_NONCE.pattern}")
        token = TokenEvidence(request.jwt.token, csr, self.audience)
        said = self.tokens.check(token)
        return JwtProof(request.jwt.nonce, principal(said.issuer, said.subject), token, self.tokens)


def fingerprint(request: JoinRequest) -> str:
    """Names a request's proof without telling it."""
    bearer = request.jwt or request.token
    proof = bearer.token if bearer else request.aws.signature if request.aws else ""
    return hashlib.sha256(proof.encode(errors="replace")).hexdigest()[:12]


def claim(request: JoinRequest) -> str:
    """Whom a request says it is of, as far as that can be read at a glance; for the log."""
    bearer = request.jwt or request.token
    return request.ecs.task_arn if request.ecs else "a token" if bearer and bearer.token else ""


def asked_for(request: JoinRequest) -> str:
    """What a request says it wants to be; for the log."""
    join = request.dataplane
    return f"{join.proxy_type} {join.mesh}/{join.name}" if join else f"{request.namespace}/{request.workload_group}"
