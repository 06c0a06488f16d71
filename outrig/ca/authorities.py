"""All authorities of an installation: kept in the store. Those of the control plane itself are made at the first start
and read ever after; those of meshes come and change with them (`meshes`).

`open_authorities` is safe for replicas that start at once: whoever writes first has made them, the others read.
Private keys lie in the store in the clear, under a group no API serves: who can read the store can act as the mesh.
"""

import ipaddress
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from outrig.ca.authority import (
    CLIENT,
    SERVER,
    Authority,
    Issued,
    Leaf,
    key_pem,
    new_authority,
    read_authority,
    write_authority,
)
from outrig.ca.csr import PublicKey, parse_csr
from outrig.ca.meshes import AUTHORITY, INTERNAL, MeshAuthority, Reads, find_authority
from outrig.ca.names import ControlName, server_uri
from outrig.ca.peers import ControlPeer, control_peer
from outrig.ca.settings import CaSettings
from outrig.errors import OutrigError
from outrig.resources import Json, Key, Resource
from outrig.store.protocol import AlreadyExists, Conflict, Store

Clock = Callable[[], datetime]
FOREVER = datetime.max.replace(tzinfo=UTC)


def utc_now() -> datetime:
    """The time, UTC."""
    return datetime.now(UTC)


class ClockOutside(OutrigError):
    """By this machine's clock the authority's own certificate is not valid."""

    code = "OUT142"


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate and the private key made for it, PEM."""

    certificate: Issued
    key: str


@dataclass(frozen=True, slots=True)
class Authorities:
    """The authorities of one control plane, and its certificates by purpose. `cluster_id` names it for good.

    Whatever issues raises ClockOutside.
    """

    cluster_id: str
    control: Authority
    clients: Authority
    settings: CaSettings = CaSettings()
    clock: Clock = utc_now

    @property
    def audience(self) -> str:
        """What proofs must be bound to: `<trust domain of mesh default>/<cluster id>`."""
        return f"{self.settings.trust_domain}/{self.cluster_id}"

    @property
    def control_plane(self) -> str:
        """The URI in the control plane's server certificates."""
        return server_uri(self.cluster_id)

    @property
    def control_roots(self) -> str:
        """Whom agents accept as the control plane, PEM."""
        return self.control.pem

    async def find_mesh(self, reads: Reads, mesh: str) -> MeshAuthority | None:
        """The authority of a mesh's workloads, as it is now; None if there is no such mesh."""
        return await find_authority(reads, mesh)

    def owns_key(self, key_hash: str) -> bool:
        """Whether that is the key of one of the control plane's own authorities."""
        return key_hash in (self.control.key_hash, self.clients.key_hash)

    def read_key(self, csr: bytes) -> PublicKey:
        """The public key of a certificate request (DER). Raises CsrRefused."""
        return parse_csr(csr, allow_rsa=self.settings.allow_rsa)

    def identify(self, certificate: str, now: datetime) -> ControlPeer | None:
        """The registration whose control identity this certificate (PEM) is, if it is one of ours and valid."""
        try:
            leaf = x509.load_pem_x509_certificate(certificate.encode())
        except ValueError:
            return None
        return control_peer(leaf, self.control, cluster=self.cluster_id, now=now)

    def issue_workload(
        self, key: PublicKey, uris: Sequence[str], *, by: MeshAuthority, until: datetime = FOREVER
    ) -> Issued:
        """An identity among workloads, to call and be called by, that ends at `until` at the latest."""
        leaf = Leaf(key, (SERVER, CLIENT), tuple(x509.UniformResourceIdentifier(uri) for uri in uris))
        try:
            return self._sign(by.authority, leaf, by.lifetime or self.settings.workload_lifetime, until=until)
        except ClockOutside as error:
            hint = "give the backend another certificate, or another name, unless this machine's clock is wrong"
            raise ClockOutside(f"the authority of mesh {by.mesh}", error.problem, hint) from None

    def issue_control(self, key: PublicKey, name: ControlName, *, until: datetime = FOREVER) -> Issued:
        """The identity of one registration towards the control plane, and only as a client."""
        leaf = Leaf(key, (CLIENT,), (x509.UniformResourceIdentifier(name.uri),))
        return self._sign(self.control, leaf, self.settings.control_lifetime, until=until)

    def issue_server(self, hosts: Sequence[str]) -> KeyPair:
        """A server certificate of the control plane for those DNS names and addresses, with a new key."""
        names = (x509.UniformResourceIdentifier(self.control_plane), *(_general_name(host) for host in hosts))
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = Leaf(key.public_key(), (SERVER,), names, common_name="outrig control plane")
        return KeyPair(self._sign(self.control, leaf, self.settings.server_lifetime), key_pem(key))

    def issue_client(self, name: str, *, group: str, lifetime: timedelta) -> KeyPair:
        """A certificate and key for a user of the API; name and group stand where Kubernetes expects them (CN, O)."""
        key = ec.generate_private_key(ec.SECP256R1())
        return KeyPair(self.certify_client(key.public_key(), name, groups=(group,), lifetime=lifetime), key_pem(key))

    def certify_client(self, key: PublicKey, name: str, *, groups: tuple[str, ...], lifetime: timedelta) -> Issued:
        """A certificate for a user's own key. A name has 64 characters at most."""
        return self._sign(self.clients, Leaf(key, (CLIENT,), common_name=name, groups=groups), lifetime)

    def _sign(self, authority: Authority, leaf: Leaf, lifetime: timedelta, *, until: datetime = FOREVER) -> Issued:
        now = self.clock().replace(microsecond=0)
        begin, end = authority.certificate.not_valid_before_utc, authority.certificate.not_valid_after_utc
        if not begin <= now < end:
            problem = f"valid from {begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC, and it is {now:%Y-%m-%d %H:%M}"
            raise ClockOutside(_name(authority), problem, "is this machine's clock right?")
        return authority.sign(leaf, start=now - self.settings.backdate, end=min(now + lifetime, until))


async def open_authorities(store: Store, settings: CaSettings | None = None, *, clock: Clock = utc_now) -> Authorities:
    """The installation's authorities and cluster id, made where the store has none yet.

    Raises the store's Unavailable.
    """
    settings, now = settings or CaSettings(), clock()

    async def authority(name: str) -> Authority:
        def made() -> Json:
            return write_authority(new_authority(f"Outrig {name}", now=now, lifetime=settings.authority_lifetime))

        return read_authority(await _read_or_create(store, Key(*AUTHORITY, "", "", name), make=made))

    plane = await _read_or_create(store, Key(INTERNAL, "ControlPlane", "", "", "self"), make=_new_cluster)
    return Authorities(
        cluster_id=str(plane["clusterId"]),
        control=await authority("control"),
        clients=await authority("clients"),
        settings=settings,
        clock=clock,
    )


async def _read_or_create(store: Store, key: Key, *, make: Callable[[], Json]) -> Json:
    try:
        async with store.transaction() as tx:
            stored = await tx.get(key)
            return (stored or await tx.create(Resource(key, body=make()))).body
    except (AlreadyExists, Conflict):  # another replica was faster
        if winner := await store.get(key):
            return winner.body
        raise


def _name(authority: Authority) -> str:
    return authority.certificate.subject.rfc4514_string().removeprefix("CN=")


def _new_cluster() -> Json:
    return {"clusterId": secrets.token_hex(8)}


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
