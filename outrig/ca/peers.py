"""Who a client certificate of ours names. The TLS layer has checked it already; here it is checked again, by hand."""

from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from outrig.ca.authority import CLIENT, Authority
from outrig.ca.csr import PublicKey, key_hash
from outrig.ca.names import ControlName, control_name


@dataclass(frozen=True, slots=True)
class ControlPeer:
    """A caller that holds the control identity of a registration. `key_hash` of the key it holds."""

    name: ControlName
    key_hash: str


def control_peer(
    certificate: x509.Certificate, authority: Authority, *, cluster: str, now: datetime
) -> ControlPeer | None:
    """Whom a certificate names, if it is an unexpired control identity issued by this control plane; else None."""
    if not (_is_issued_by(certificate, authority) and _is_valid(certificate, now) and _is_client_only(certificate)):
        return None
    names = [control_name(uri) for uri in _uris(certificate)]
    key = certificate.public_key()
    if len(names) != 1 or names[0] is None or names[0].cluster != cluster:
        return None
    return ControlPeer(names[0], key_hash(key)) if isinstance(key, PublicKey) else None


def _is_issued_by(certificate: x509.Certificate, authority: Authority) -> bool:
    try:
        certificate.verify_directly_issued_by(authority.certificate)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _is_valid(certificate: x509.Certificate, now: datetime) -> bool:
    return certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc


def _is_client_only(certificate: x509.Certificate) -> bool:
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (x509.ExtensionNotFound, ValueError):
        return False
    return list(usage) == [CLIENT]


def _uris(certificate: x509.Certificate) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return []
    return names.get_values_for_type(x509.UniformResourceIdentifier)
