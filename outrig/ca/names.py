"""The URIs that certificates carry, made from parts and read back.

Source: SPIFFE-ID, section 2; the form of a group's workloads is Istio's, that of Dataplanes Kuma's. Parts of a workload
identity are checked, never escaped; those of a control identity are escaped, since registrations may have names that
SPIFFE paths do not allow.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote

from outrig.errors import OutrigError

_DOMAIN = re.compile(r"[a-z0-9._-]{1,255}", re.ASCII)
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", re.ASCII)
_PART = r"([A-Za-z0-9._~%-]+)"
_CONTROL = re.compile(rf"spiffe://([a-z0-9._-]+)/(registration|dataplane)/{_PART}/{_PART}/{_PART}")
_ZONE_CONTROL = re.compile(rf"spiffe://([a-z0-9._-]+)/(zoneingress|zoneegress)/{_PART}/{_PART}")
_PEER = re.compile(r"(spiffe://[a-z0-9._-]{1,255}|kuma://[A-Za-z0-9._:/-]{1,253})/[A-Za-z0-9._:-]{1,253}", re.ASCII)

REGISTRATION: Final = "registration"
DATAPLANE: Final = "dataplane"
ZONE_INGRESS: Final = "zoneingress"
ZONE_EGRESS: Final = "zoneegress"


class NameRefused(OutrigError):
    """A part of an identity that cannot stand in a certificate."""

    code = "OUT140"


@dataclass(frozen=True, slots=True)
class ControlName:
    """Whom a control identity names: one registration of a group's workload, one Dataplane or one zone proxy (`kind`).

    `namespace` is a registration's; a Dataplane has a `mesh` instead; a zone proxy neither. `registration` is the name
    of any of them. `uid` tells it from an earlier one of the same name.
    """

    cluster: str
    namespace: str
    registration: str
    uid: str
    kind: str = REGISTRATION
    mesh: str = ""

    @property
    def uri(self) -> str:
        """As it stands in the certificate."""
        parts = filter(None, (self.namespace or self.mesh, self.registration, self.uid))
        return f"spiffe://{self.cluster}/{self.kind}/{'/'.join(quote(part, safe='') for part in parts)}"


def control_name(uri: str) -> ControlName | None:
    """Whom a URI names; None for every other URI."""
    if zone := _ZONE_CONTROL.fullmatch(uri):
        return ControlName(zone[1], "", unquote(zone[3]), unquote(zone[4]), kind=zone[2])
    found = _CONTROL.fullmatch(uri)
    if found is None:
        return None
    scope, name, uid = (unquote(part) for part in found.groups()[2:])
    if found[2] == DATAPLANE:
        return ControlName(found[1], "", name, uid, kind=DATAPLANE, mesh=scope)
    return ControlName(found[1], scope, name, uid)


def server_uri(cluster: str) -> str:
    """The URI of the control plane itself."""
    return f"spiffe://{cluster}/control-plane"


def workload_uri(trust_domain: str, namespace: str, service_account: str) -> str:
    """The identity of a workload among workloads. Raises NameRefused."""
    if not _DOMAIN.fullmatch(trust_domain):
        raise NameRefused("trust domain", f"{trust_domain!r} is not one")
    for place, part in (("namespace", namespace), ("service account", service_account)):
        if not _NAME.fullmatch(part) or ".." in part:
            raise NameRefused(place, f"{part!r} cannot be part of an identity", "lower-case letters, digits, '-', '.'")
    return f"spiffe://{trust_domain}/ns/{namespace}/sa/{service_account}"


def peer_uris(uris: Iterable[str]) -> tuple[str, ...]:
    """A Dataplane's identities as they may stand in its certificate: the SPIFFE ones first, which peers are named by.

    Raises NameRefused.
    """
    found = sorted(set(uris), key=lambda uri: (not uri.startswith("spiffe://"), uri))
    for uri in found:
        if not _PEER.fullmatch(uri):
            raise NameRefused("identity", f"{uri[:300]!r} cannot stand in a certificate", "see the tags of inbounds")
    if not found:
        raise NameRefused("identity", "there is none", "give an inbound, or the gateway, the tag kuma.io/service")
    return tuple(found)
