"""Whose stream it may be: a control identity of ours whose registration is still there, with the same uid."""

from datetime import UTC, datetime

from cryptography import x509

from outrig.ca.authorities import Authorities
from outrig.resources import Key
from outrig.snapshot import ProxyId
from outrig.store.protocol import Store, Unavailable
from outrig.xds.session import Identify, Refused, Session

REGISTRATION = ("runtime.onboarding.tetrate.io", "WorkloadAutoRegistration")


def identify_by(authorities: Authorities, store: Store) -> Identify:
    """An `Identify` that asks the store each time, so that a deleted registration ends at the next stream."""

    async def identify(certificate: str) -> Session | Refused:
        peer = authorities.identify(certificate, datetime.now(UTC))
        if peer is None:
            return Refused("the certificate is no control identity of this control plane, or has expired")
        name = peer.name
        key = Key(*REGISTRATION, "", name.namespace, name.registration)
        try:
            registration = await store.get(key)
        except Unavailable as error:
            return Refused(f"the store is away: {error.problem}")
        if registration is None or registration.uid != name.uid:
            return Refused(f"there is no registration {name.namespace}/{name.registration} of that uid; join again")
        not_after = x509.load_pem_x509_certificate(certificate.encode()).not_valid_after_utc
        return Session(ProxyId(f"{name.namespace}/{name.registration}"), key, name.uid, not_after)

    return identify
