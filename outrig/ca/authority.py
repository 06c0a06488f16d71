"""One certificate authority: a key, its own certificate, and the signing of leaves from fixed templates.

A leaf is never an authority, may only sign digitally, and carries exactly the names and purposes it is given here.
Source: RFC 5280, section 4.2; X.509-SVID, section 4.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from outrig.ca.csr import PublicKey, key_hash

SERVER = ExtendedKeyUsageOID.SERVER_AUTH
CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH
_EARLY = timedelta(hours=1)  # an authority begins so long before now, for peers whose clocks are behind
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate that was signed. `chain`: PEM, leaf first. `digest`: SHA-256 of the leaf's DER; `serial`: both hex.

    `subject` is its URI, empty if it has none. `key_hash` as in `csr.key_hash`.
    """

    chain: str
    digest: str
    serial: str
    subject: str
    key_hash: str
    not_after: datetime


@dataclass(frozen=True, slots=True)
class Leaf:
    """What a certificate shall say. `names` are subject alternative names; `groups` become organisations."""

    key: PublicKey
    purposes: tuple[x509.ObjectIdentifier, ...]
    names: tuple[x509.GeneralName, ...] = ()
    common_name: str = ""
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Authority:
    """A signing key and its certificate."""

    certificate: x509.Certificate
    key: PrivateKey

    @property
    def pem(self) -> str:
        """The certificate, PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def key_hash(self) -> str:
        """Of its own public key."""
        return key_hash(self.key.public_key())

    def sign(self, leaf: Leaf, *, start: datetime, end: datetime) -> Issued:
        """A certificate for that leaf, valid from start to end but never beyond this authority's own validity."""
        builder = (
            x509.CertificateBuilder()
            .subject_name(_subject(leaf))
            .issuer_name(self.certificate.subject)
            .public_key(leaf.key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(max(start, self.certificate.not_valid_before_utc))
            .not_valid_after(min(end, self.certificate.not_valid_after_utc))
        )
        for extension, critical in self._extensions(leaf):
            builder = builder.add_extension(extension, critical=critical)
        return _issued(builder.sign(self.key, hashes.SHA256()), leaf, self.pem)

    def _extensions(self, leaf: Leaf) -> list[tuple[x509.ExtensionType, bool]]:
        extensions: list[tuple[x509.ExtensionType, bool]] = [
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (_usage(ca=False), True),
            (x509.ExtendedKeyUsage(leaf.purposes), False),
            (x509.SubjectKeyIdentifier.from_public_key(leaf.key), False),
            (x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), False),
        ]
        if leaf.names:
            extensions.append((x509.SubjectAlternativeName(leaf.names), not (leaf.common_name or leaf.groups)))
        return extensions


def new_authority(name: str, *, now: datetime, lifetime: timedelta, uri: str = "") -> Authority:
    """A new authority with a key of its own. `uri`: the trust domain's SPIFFE id, if it has one."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLY)
        .not_valid_after(now + lifetime)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(ca=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if uri:
        names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)])
        builder = builder.add_extension(names, critical=False)
    return Authority(builder.sign(key, hashes.SHA256()), key)


def expiration_of(authority: Authority) -> timedelta:
    """The lifetime that a new authority was given."""
    certificate = authority.certificate
    return certificate.not_valid_after_utc - certificate.not_valid_before_utc - _EARLY


def nears_its_end(certificate: x509.Certificate, now: datetime) -> bool:
    """Whether it is in the last tenth of its life, or past it: its owner has to hear of that."""
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return now >= end - (end - begin) / 10


def write_authority(authority: Authority) -> dict[str, str]:
    """As it is stored: certificate and private key, PEM."""
    return {"certificate": authority.pem, "key": key_pem(authority.key)}


def read_authority(body: Mapping[str, Any]) -> Authority:
    """What `write_authority` wrote. Raises ValueError if it is damaged or the key is not the certificate's."""
    # An RSA key was checked when it was stored; checking its primes again at each join would take a tenth of a second.
    key = serialization.load_pem_private_key(body["key"].encode(), None, unsafe_skip_rsa_key_validation=True)
    certificate = x509.load_pem_x509_certificate(body["certificate"].encode())
    if not isinstance(key, PrivateKey) or key.public_key() != certificate.public_key():
        raise ValueError("a stored authority's key is not that of its certificate")
    return Authority(certificate, key)


def key_pem(key: PrivateKey) -> str:
    """The private key as PKCS#8, PEM, not encrypted."""
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


def _subject(leaf: Leaf) -> x509.Name:
    groups = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in leaf.groups]
    name = [x509.NameAttribute(NameOID.COMMON_NAME, leaf.common_name)] if leaf.common_name else []
    return x509.Name([*groups, *name])


def _usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _issued(certificate: x509.Certificate, leaf: Leaf, issuer: str) -> Issued:
    uris = [name.value for name in leaf.names if isinstance(name, x509.UniformResourceIdentifier)]
    return Issued(
        chain=certificate.public_bytes(serialization.Encoding.PEM).decode() + issuer,
        digest=certificate.fingerprint(hashes.SHA256()).hex(),
        serial=f"{certificate.serial_number:x}",
        subject=uris[0] if uris else "",
        key_hash=key_hash(leaf.key),
        not_after=certificate.not_valid_after_utc,
    )
