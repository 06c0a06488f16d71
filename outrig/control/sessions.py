"""Whether a client certificate still stands for a registration. Asked at the start of every stream.

In: a certificate that the TLS layer verified. Refused: one that is not a control identity of ours or has expired, and
one whose registration is gone, deleted and perhaps made anew since: its agent must join again.
"""

from datetime import datetime
from typing import Protocol

from cryptography import x509

from outrig.ca.peers import ControlPeer
from outrig.control.proxies import proxy_of, registration_of_peer
from outrig.control.status import Clock, utc_now
from outrig.resources import Key, Resource
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
        key, uid = registration_of_peer(peer), peer.name.uid
        stored = await self._store.get(key)
        if stored is None or stored.uid != uid:
            return Refused(f"{key} is gone", rejoin=True)
        not_after = x509.load_pem_x509_certificate(certificate.encode()).not_valid_after_utc
        return Session(proxy_of(key), key, uid, not_after)
