"""The URIs that certificates carry, made from parts and read back.

Source: SPIFFE-ID, section 2; the workload form is Istio's. Parts of a workload identity are checked, never escaped;
those of a control identity are escaped, since registrations may have names that SPIFFE paths do not allow.
"""

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

from outrig.errors import OutrigError

_DOMAIN = re.compile(r"[a-z0-9._-]{1,255}", re.ASCII)
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", re.ASCII)
_PART = r"([A-Za-z0-9._~%-]+)"
_CONTROL = re.compile(rf"spiffe://([a-z0-9._-]+)/registration/{_PART}/{_PART}/{_PART}")


class NameRefused(OutrigError):
    """A part of an identity that cannot stand in a certificate."""

    code = "OUT140"


@dataclass(frozen=True, slots=True)
class ControlName:
    """Whom a control identity names: one registration. `uid` tells it from an earlier one of the same name."""

    cluster: str
    namespace: str
    registration: str
    uid: str

    @property
    def uri(self) -> str:
        """As it stands in the certificate."""
        path = "/".join(quote(part, safe="") for part in (self.namespace, self.registration, self.uid))
        return f"spiffe://{self.cluster}/registration/{path}"


def control_name(uri: str) -> ControlName | None:
    """The registration that a URI names; None for every other URI."""
    found = _CONTROL.fullmatch(uri)
    return ControlName(found[1], *(unquote(part) for part in found.groups()[1:])) if found else None


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
