"""Who holds a place in the mesh: a registration, by the key that its newest control identity is for.

In: certificates on record, newest first. Out: those by which somebody holds a place now. What counts are control
identities: those among workloads live as their mesh says, and may end sooner. A place is held while the newest one
lives, its registration is there, and its agent is not known to be away: its stream is open, or still to come after the
join, or ended no longer ago than an agent takes to open it anew. So who comes back without its key need not wait for
the end of old certificates; and with another key nobody gets the place of one who is there.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final

from outrig.ca import names
from outrig.ca.names import control_name
from outrig.ca.peers import ControlPeer
from outrig.dialects.conditions import AGENT_CONNECTED, condition_of
from outrig.dialects.kind import Kind
from outrig.dialects.kuma.dataplane import DATAPLANE
from outrig.dialects.kuma.zone_proxy import ZONE_EGRESS, ZONE_INGRESS
from outrig.dialects.onboarding.workload_auto_registration import WORKLOAD_AUTO_REGISTRATION
from outrig.resources import Key, Resource
from outrig.store.protocol import Identity, Transaction

_KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        names.REGISTRATION: WORKLOAD_AUTO_REGISTRATION,
        names.DATAPLANE: DATAPLANE,
        names.ZONE_INGRESS: ZONE_INGRESS,
        names.ZONE_EGRESS: ZONE_EGRESS,
    }
)


async def held_by(tx: Transaction, issued: Iterable[Identity]) -> tuple[Identity, ...]:
    """Of unexpired certificates, the newest control identity of each registration that is held."""
    newest: dict[str, tuple[Key, Identity]] = {}
    for identity in issued:
        if place := _place(identity.subject):
            newest.setdefault(identity.registration, (place, identity))
    return tuple([identity for place, identity in newest.values() if await _is_held(tx, place, identity.registration)])


async def last_issued(tx: Transaction, registration: Resource, now: datetime) -> Identity | None:
    """The newest control identity of a registration, if it has not expired."""
    newest = next((one for one in await tx.identities(registration.uid) if _place(one.subject)), None)
    return newest if newest and newest.not_after > now else None


def is_bearer(certificate: Identity, key_hash: str, holder: ControlPeer | None) -> bool:
    """Whether who has that key, or came with that control identity, is who the certificate was issued to."""
    if holder and (holder.name.uid, holder.key_hash) == (certificate.registration, certificate.key_hash):
        return True
    return key_hash == certificate.key_hash


def is_away(registration: Resource) -> bool:
    """Whether its agent is known not to be connected."""
    connected = condition_of(registration.status, AGENT_CONNECTED)
    return connected is not None and connected.status is False


async def _is_held(tx: Transaction, place: Key, uid: str) -> bool:
    stored = await tx.get(place)
    return stored is not None and stored.uid == uid and not is_away(stored)


def _place(subject: str) -> Key | None:
    """The registration that a control identity names; None for an identity among workloads."""
    if (name := control_name(subject)) is None:
        return None
    kind = _KINDS[name.kind]
    return Key(kind.group, kind.name, name.mesh, name.namespace, name.registration)
