"""Reading a certificate request: DER in, its public key out. Everything else it asks for is ignored.

Refused: what is not exactly one DER request, too large, a weak or unusual key, a signature by another key.
"""

import hashlib

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from outrig.errors import OutrigError

MAX_CSR = 4096  # bytes of DER
CURVES = ("secp256r1", "secp384r1")
PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey


class CsrRefused(OutrigError):
    """A certificate request we do not sign."""

    code = "OUT106"


def parse_csr(der: bytes, *, allow_rsa: bool = False) -> PublicKey:
    """The public key of a request (PKCS#10, RFC 2986), its sender shown to hold the private key. Raises CsrRefused."""
    request = _load(der)
    try:
        key = request.public_key()
        possessed = request.is_signature_valid
    except (ValueError, UnsupportedAlgorithm):
        raise CsrRefused("csr", "its key or signature algorithm is not supported", "use an EC key, P-256") from None
    if not _is_strong(key, allow_rsa=allow_rsa):
        raise CsrRefused("csr", "its key is not accepted", _wanted(allow_rsa=allow_rsa))
    if not possessed:
        raise CsrRefused("csr", "it is not signed by the key it names", "sign the request with its own key")
    assert isinstance(key, PublicKey)  # noqa: S101 - narrows; _is_strong has decided
    return key


def key_hash(key: PublicKey) -> str:
    """SHA-256 of the key's SubjectPublicKeyInfo, lower-case hex."""
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _load(der: bytes) -> x509.CertificateSigningRequest:
    if len(der) > MAX_CSR:
        raise CsrRefused("csr", f"it has {len(der)} bytes", f"at most {MAX_CSR} are read")
    try:
        return x509.load_der_x509_csr(der)
    except (ValueError, x509.InvalidVersion):
        raise CsrRefused("csr", "it is not one PKCS#10 request in DER", "send base64 of the DER, not PEM") from None


def _is_strong(key: object, *, allow_rsa: bool) -> bool:
    if isinstance(key, ec.EllipticCurvePublicKey):
        return key.curve.name in CURVES
    if isinstance(key, rsa.RSAPublicKey) and allow_rsa:
        return 2048 <= key.key_size <= 4096 and key.public_numbers().e == 65537
    return False


def _wanted(*, allow_rsa: bool) -> str:
    return "P-256, P-384" + (", or RSA of 2048 to 4096 bits with exponent 65537" if allow_rsa else "")
