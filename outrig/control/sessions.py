"""Whether a client certificate still stands for a registration. Asked at the start of every stream.

In: a certificate that the TLS layer verified. Refused: one that is not a control identity of ours or has expired, and
one whose registration is gone, deleted and perhaps made anew since: its agent must join again.
"""

from datetime import datetime
from typing import Protocol

from cryptography import x509

from outrig.ca.peers import ControlPeer
from outrig.control.status import Clock, utc_now
from outrig.dialects.onboarding.workload_auto_registration import WORKLOAD_AUTO_REGISTRATION
from outrig.resources import Key, Resource
from outrig.snapshot import ProxyId
from outrig.xds.session import Refused, Session


class Registrations(Protocol):
    """The part of a store that is read here."""

    async def get(self, key: Key) -> Resource | None: ...


class ControlIdentities(Protocol):
    """The authority of control identities."""

    def identify(self, certificate: str, now: datetime) -> ControlPeer | None:
        """The registration whose control identity this certificate (PEM) is, if it is one of ours and valid."""
        ...


class Sessions:
    """Judges client certificates. `identify` fits `xds.session.Identify`."""

    def __init__(self, store: Registrations, authority: ControlIdentities, *, clock: Clock = utc_now) -> None:
        self._store, self._authority, self._clock = store, authority, clock

    async def identify(self, certificate: str) -> Session | Refused:
        """The session that a certificate (PEM) allows. Raises Unavailable."""
        peer = self._authority.identify(certificate, self._clock())
        if peer is None:
            return Refused("the client certificate is no valid control identity of this control plane")
        name = peer.name
        key = registration_key(name.namespace, name.registration)
        stored = await self._store.get(key)
        if stored is None or stored.uid != name.uid:
            return Refused(f"{key} is gone", rejoin=True)
        not_after = x509.load_pem_x509_certificate(certificate.encode()).not_valid_after_utc
        return Session(ProxyId(f"{name.namespace}/{name.registration}"), key, name.uid, not_after)


def registration_key(namespace: str, name: str) -> Key:
    """The key of a registration."""
    return Key(WORKLOAD_AUTO_REGISTRATION.group, WORKLOAD_AUTO_REGISTRATION.name, "", namespace, name)
