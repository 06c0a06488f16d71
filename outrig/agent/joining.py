"""One join: who the workload is, a challenge, a proof bound to it and to the key, and an answer worth trusting.

Renewal is the same again. What comes back is checked before a byte of it is written: certificates must be for our
key, or the files of a running Envoy would be spoilt.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from outrig import __version__
from outrig.agent.configuration import Onboarding
from outrig.agent.control_plane import VERSION, Clock, ControlPlane, utc_now
from outrig.agent.dataplane import ProxySeat
from outrig.agent.identity import Identity, proof_ends
from outrig.agent.problems import BadAnswer
from outrig.agent.task import Task
from outrig.wire.join import HostAddress, JoinRequest, JoinResponse


@dataclass(frozen=True, slots=True)
class Joined:
    """A join that succeeded: the control plane's answer, and the workload it was made for.

    `ends_with_proof`: all its certificates last until the proof ends, so only by another proof could they longer.
    """

    response: JoinResponse
    task: Task
    ends_with_proof: bool = False


class Joins(Protocol):
    """Whoever can try a join."""

    async def join(self) -> Joined:
        """One try. Raises OutrigError."""
        ...


class Joiner:
    """Joins as one workload with one key, as often as asked."""

    def __init__(self, control_plane: ControlPlane, seat: Onboarding | ProxySeat, *, key: ec.EllipticCurvePrivateKey,
                 identity: Identity, envoy_version: str) -> None:  # fmt: skip
        self._control_plane, self._seat, self._identity = control_plane, seat, identity
        self._key, self._envoy_version = key, envoy_version
        self._discovered = False
        self.clock: Clock = utc_now

    async def join(self) -> Joined:
        """One try. Raises the errors of `identity` and `control_plane`, and BadAnswer for an answer not worth trust."""
        if not self._discovered:
            await self._control_plane.discover()
            self._discovered = True
        task = await self._identity.describe()
        bare = self._request(task, signing_request(self._key))
        challenge = await self._control_plane.challenge()
        request = await self._identity.prove(bare, challenge, task=task, now=self.clock().astimezone(UTC))
        response = await self._control_plane.join(request)
        check(response, self._key.public_key(), self.clock(), in_mesh=self._seat.routed)
        return Joined(response, task, ends_with_proof=proof_ends(self._identity, min(_ends(response))))

    def _request(self, task: Task, csr: bytes) -> JoinRequest:
        """Without proof."""
        bare = JoinRequest(
            version=VERSION,
            namespace="",
            workload_group="",
            csr=base64.b64encode(csr).decode(),
            addresses=(),
            agent_version=__version__,
            envoy_version=self._envoy_version,
        )
        if isinstance(self._seat, ProxySeat):
            return replace(bare, dataplane=self._seat.join)
        return replace(
            bare,
            namespace=self._seat.namespace,
            workload_group=self._seat.workload_group,
            addresses=tuple(HostAddress(ip, "VPC") for ip in task.addresses),
            labels=dict(self._seat.labels),
            connected_over=self._seat.connected_over,
        )


def signing_request(key: ec.EllipticCurvePrivateKey) -> bytes:
    """A PKCS#10 request in DER. Only its key and its proof of possession count, so it names nobody."""
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return request.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def check(response: JoinResponse, key: ec.EllipticCurvePublicKey, now: datetime, *, in_mesh: bool = True) -> None:
    """Refuse an answer that Envoy could not use. Raises BadAnswer naming the field.

    `in_mesh`: a workload identity is due.
    """
    chains = [("controlChain", response.control_chain), ("workloadChain", response.workload_chain)]
    for name, chain in chains if in_mesh else chains[:1]:
        leaf = _certificates(name, chain)[0]
        if leaf.public_key() != key:
            raise BadAnswer(f"join answer {name}", "the certificate is for another key")
        clock = f"this task's clock says {now:%Y-%m-%d %H:%M:%S} UTC; if that is wrong, so is this"
        if leaf.not_valid_after_utc <= now:
            raise BadAnswer(f"join answer {name}", "the certificate has expired", clock)
        if leaf.not_valid_before_utc > now:
            raise BadAnswer(f"join answer {name}", "the certificate is not valid yet", clock)
    _certificates("controlRoots", response.control_roots)
    if not 1 <= response.xds_port <= 65535:
        raise BadAnswer("join answer xdsPort", f"{response.xds_port} is not a port")
    if not response.node_id or not response.uid or not response.control_plane:
        raise BadAnswer("join answer", "nodeId, uid and controlPlane must not be empty")
    if response.renew_in < 1 or response.expires_in < 1:
        raise BadAnswer("join answer renewIn", "times must be at least a second")


def lives(response: JoinResponse) -> tuple[int, int]:
    """Seconds that the control identity and the workload certificate of an answer hold, without a clock of ours: it
    tells those of the one that ends first. Where there is no workload certificate, both are the former's."""
    ends = _ends(response)
    control, workload = (response.expires_in + int((end - min(ends)).total_seconds()) for end in ends)
    return control, workload


def _ends(response: JoinResponse) -> tuple[datetime, datetime]:
    """Of control identity and workload certificate."""
    chains = (response.control_chain, response.workload_chain or response.control_chain)
    control, workload = (_certificates("join answer", chain)[0].not_valid_after_utc for chain in chains)
    return control, workload


def _certificates(name: str, pem: str) -> Sequence[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem.encode())
    except ValueError as error:
        raise BadAnswer(f"join answer {name}", f"not PEM certificates: {error}") from None
