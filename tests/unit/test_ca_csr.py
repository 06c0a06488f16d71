"""Certificate requests: which keys are taken, and that nothing but the key is."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from outrig.ca.csr import CsrRefused, key_hash, parse_csr

EMPTY = x509.CertificateSigningRequestBuilder(x509.Name([]))
DER = serialization.Encoding.DER


def request(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return EMPTY.sign(key, hashes.SHA256()).public_bytes(DER)


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1()])
def test_the_usual_curves_are_taken(curve: ec.EllipticCurve) -> None:
    key = ec.generate_private_key(curve)
    assert parse_csr(request(key)) == key.public_key()


def test_rsa_is_taken_only_on_request_and_only_strong() -> None:
    good = rsa.generate_private_key(65537, 2048)
    small = rsa.generate_private_key(65537, 1024)  # noqa: S505 - it is to be refused
    odd = rsa.generate_private_key(3, 2048)
    assert parse_csr(request(good), allow_rsa=True) == good.public_key()
    for key, allow in ((good, False), (small, True), (odd, True)):
        with pytest.raises(CsrRefused):
            parse_csr(request(key), allow_rsa=allow)


def test_other_kinds_of_key_are_refused() -> None:
    with pytest.raises(CsrRefused):
        parse_csr(EMPTY.sign(ed25519.Ed25519PrivateKey.generate(), None).public_bytes(DER))


def test_no_changed_byte_gives_another_key() -> None:
    """One byte may change unnoticed: how many bits of the signature's last byte are padding. It says nothing."""
    key = ec.generate_private_key(ec.SECP256R1())
    der = request(key)
    accepted = []
    for place in range(len(der)):
        try:
            accepted.append(parse_csr(der[:place] + bytes([der[place] ^ 1]) + der[place + 1 :]))
        except CsrRefused:
            continue
    assert len(accepted) <= 1
    assert all(found == key.public_key() for found in accepted)


def test_the_key_hash_is_that_of_the_public_key_info() -> None:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    again = serialization.load_der_public_key(key.public_bytes(DER, serialization.PublicFormat.SubjectPublicKeyInfo))
    assert isinstance(again, ec.EllipticCurvePublicKey)
    assert key_hash(key) == key_hash(again)
    assert len(key_hash(key)) == 64
