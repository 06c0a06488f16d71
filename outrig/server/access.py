"""Access to the API as this control plane gives it: what every request passes, and the certificates of users.

In: settings, the store, authorities. Out: a `Gate` and what keeps it up to date; the desk that issues certificates.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from outrig.api.access.certificates import Row, record, row_in
from outrig.api.access.gate import WATCHED, Gate
from outrig.api.access.traffic import Limits, Traffic
from outrig.api.callers import ADMINS
from outrig.api.kube.documents import timestamp
from outrig.api.operator.certificates import Desk, Signed
from outrig.ca.authorities import Authorities
from outrig.ca.csr import CsrRefused
from outrig.control.following import follow
from outrig.control.status import utc_now
from outrig.kit.tasks import running
from outrig.server.callers import callers_of
from outrig.server.files import DataDir
from outrig.server.settings import Settings
from outrig.store.protocol import Store
from outrig.tokens.tokens import Tokens


@asynccontextmanager
async def open_gate(settings: Settings, data: DataDir, store: Store, tokens: Tokens) -> AsyncIterator[Gate]:
    """What every request passes; it knows the roles and revocations in the store, and follows them during the block.

    Raises BadDataDir, Unavailable.
    """
    limits = Limits(settings.api_reads_at_once, settings.api_writes_at_once)
    gate = Gate(await callers_of(settings, data, store, tokens), Traffic(limits))
    async with running(gate.follow(follow(store, WATCHED))):
        await gate.ready()
        yield gate


def desk_of(store: Store, gate: Gate, authorities: Authorities) -> Desk:
    """Where certificates of users are issued."""
    return Desk(store, gate, Signer(authorities), utc_now)


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs with the authority of clients (`outrig.api.operator.certificates.Sign`)."""

    authorities: Authorities

    def __call__(self, csr: str, user: str, *, groups: tuple[str, ...], lifetime: timedelta) -> Signed:
        """Raises CsrRefused, ClockOutside."""
        try:
            request = x509.load_pem_x509_csr(csr.encode())
        except ValueError:
            raise CsrRefused("csr", "it is not one PKCS#10 request in PEM") from None
        key = self.authorities.read_key(request.public_bytes(Encoding.DER))
        issued = self.authorities.certify_client(key, user, groups=groups, lifetime=lifetime)
        return Signed(issued.chain, issued.serial, issued.not_after)


async def forget_revoked(store: Store, data: DataDir) -> None:
    """Remove the data directory's kubeconfig if its certificate is revoked, so that another is made."""
    certificate = data.own_certificate()
    found = await store.get(Row(f"{certificate.serial_number:x}").key) if certificate else None
    if found and row_in(found).revoked:
        data.kubeconfig.unlink()


async def record_own(store: Store, data: DataDir, now: datetime) -> None:
    """The certificate in the data directory's kubeconfig is in a row too, so that it can be found and revoked."""
    certificate = data.own_certificate()
    if certificate is None:
        return
    row = Row(
        f"{certificate.serial_number:x}",
        "admin",
        (ADMINS,),
        timestamp(now),
        "outrig",
        timestamp(certificate.not_valid_after_utc),
    )
    async with store.transaction() as tx:
        await record(tx, row)
