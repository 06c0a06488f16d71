"""What the join asks of others."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from outrig.attest.evidence import Evidence
from outrig.attest.task import VerifiedTask
from outrig.attest.token import Claimed, VerifiedToken
from outrig.attest.tokens import TokenEvidence
from outrig.ca.authority import Issued
from outrig.ca.csr import PublicKey
from outrig.ca.peers import ControlPeer


@dataclass(frozen=True, slots=True)
class Peer:
    """The connection a request came by: its address, and the verified client certificate (PEM), if it brought one."""

    ip: str
    certificate: str = ""


class TaskAttestor(Protocol):
    """Knows which task of ECS is calling. Both raise Refused."""

    def check(self, evidence: Evidence, now: datetime) -> None:
        """What can be judged without asking anybody."""
        ...

    async def verify(self, evidence: Evidence, *, fresh: bool) -> VerifiedTask:
        """The task that made the proof; `fresh`: nothing may come from a cache."""
        ...


class TokenAttestor(Protocol):
    """Knows whom a token names. Both raise Refused."""

    def check(self, evidence: TokenEvidence) -> Claimed:
        """What can be judged without keys; gives what the token says of itself."""
        ...

    async def verify(self, evidence: TokenEvidence, now: datetime) -> VerifiedToken:
        """The workload that the token names."""
        ...


class Authorities(Protocol):
    """Signs certificates."""

    @property
    def cluster_id(self) -> str: ...

    @property
    def audience(self) -> str: ...

    @property
    def control_plane(self) -> str: ...

    @property
    def control_roots(self) -> str:
        """Whom agents accept as the control plane, PEM."""
        ...

    @property
    def trust_domains(self) -> Mapping[str, str]:
        """Mesh → trust domain."""
        ...

    def read_key(self, csr: bytes) -> PublicKey:
        """The key of a certificate request. Raises CsrRefused."""
        ...

    def owns_key(self, key_hash: str) -> bool: ...

    def identify(self, certificate: str, now: datetime) -> ControlPeer | None:
        """The registration whose control identity this certificate (PEM) is."""
        ...

    def issue_workload(self, key: PublicKey, *, mesh: str, namespace: str, service_account: str) -> Issued: ...

    def issue_control(self, key: PublicKey, *, namespace: str, registration: str, uid: str) -> Issued: ...
