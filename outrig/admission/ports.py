"""What the join asks of others."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from outrig.attest.evidence import Evidence
from outrig.attest.task import VerifiedTask
from outrig.attest.token import Claimed, VerifiedToken
from outrig.attest.tokens import TokenEvidence
from outrig.ca.authority import Issued
from outrig.ca.csr import PublicKey
from outrig.ca.meshes import MeshAuthority, Reads
from outrig.ca.names import ControlName
from outrig.ca.peers import ControlPeer
from outrig.tokens.claims import DataplaneClaims, ZoneClaims
from outrig.tokens.jwt import Verified
from outrig.tokens.keys import Ring


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


class DataplaneTokens(Protocol):
    """Knows the tokens of data planes and zone proxies. All raise TokenInvalid."""

    async def verify_dataplane(
        self, reads: Reads, token: str, *, mesh: str, now: datetime
    ) -> tuple[Verified, DataplaneClaims]:
        """What a data plane token of that mesh says."""
        ...

    async def verify_zone(self, reads: Reads, token: str, *, now: datetime) -> tuple[Verified, ZoneClaims]:
        """What a zone token says."""
        ...

    async def check_standing(self, reads: Reads, ring: Ring, *, kid: str, jti: str) -> None:
        """A token that was verified before is good still."""
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

    async def find_mesh(self, reads: Reads, mesh: str) -> MeshAuthority | None:
        """The authority of a mesh's workloads, as it is now; None if there is no such mesh."""
        ...

    def read_key(self, csr: bytes) -> PublicKey:
        """The key of a certificate request. Raises CsrRefused."""
        ...

    def owns_key(self, key_hash: str) -> bool: ...

    def identify(self, certificate: str, now: datetime) -> ControlPeer | None:
        """The registration whose control identity this certificate (PEM) is."""
        ...

    def issue_workload(
        self, key: PublicKey, uris: Sequence[str], *, by: MeshAuthority, until: datetime = ...
    ) -> Issued: ...

    def issue_control(self, key: PublicKey, name: ControlName, *, until: datetime = ...) -> Issued: ...
