"""An authority of users' own: certificate and key as PEM in, checked, an `Authority` out.

Refused: what is not one certificate of an authority that may sign others and is valid now, a key that is not its key,
weak keys. Source: RFC 5280, section 4.2; Kuma's `provided` backend.
"""

from datetime import datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from outrig.ca.authority import Authority
from outrig.ca.csr import CURVES
from outrig.errors import OutrigError


class AuthorityRefused(OutrigError):
    """A certificate or key that a mesh cannot sign with. The place is the field."""

    code = "OUT143"


def provided_authority(certificate: bytes, key: bytes, now: datetime) -> Authority:
    """The authority of that certificate and key (PEM). Raises AuthorityRefused with place `cert` or `key`."""
    found = _certificate(certificate, now)
    private = _key(key)
    if private.public_key() != found.public_key():
        raise AuthorityRefused("key", "is not the key of the certificate")
    return Authority(found, private)


def _certificate(pem: bytes, now: datetime) -> x509.Certificate:
    try:
        found = x509.load_pem_x509_certificates(pem)
    except ValueError:
        found = []
    if len(found) != 1:
        raise AuthorityRefused("cert", f"holds {len(found)} certificates", "exactly one, in PEM")
    certificate = found[0]
    if not certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc:
        raise AuthorityRefused("cert", f"is valid from {certificate.not_valid_before_utc} to "
                               f"{certificate.not_valid_after_utc} only")  # fmt: skip
    _check_purpose(certificate)
    return certificate


def _check_purpose(certificate: x509.Certificate) -> None:
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except (x509.ExtensionNotFound, ValueError):
        raise AuthorityRefused("cert", "lacks basic constraints or key usage", "CA:TRUE, keyCertSign") from None
    if not constraints.ca:
        raise AuthorityRefused("cert", "is no authority's: basic constraint CA is not TRUE")
    if not usage.key_cert_sign or usage.key_agreement:
        raise AuthorityRefused("cert", "its key usage must be keyCertSign, and not keyAgreement")


def _key(pem: bytes) -> ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey:
    try:
        key = load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise AuthorityRefused("key", "is no private key in PEM, without a password") from None
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in CURVES:
        return key
    if isinstance(key, rsa.RSAPrivateKey) and 2048 <= key.key_size <= 4096:
        return key
    raise AuthorityRefused("key", "is not accepted", "P-256, P-384, or RSA of 2048 to 4096 bits")
