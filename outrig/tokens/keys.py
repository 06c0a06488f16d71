"""Signing keys: RSA, in PEM; and where they, and lists of revoked tokens, are kept in the store.

| ring | signing keys | revoked tokens |
|---|---|---|
| dataplane | Secret `dataplane-token-signing-key-<mesh>-<serial>` | Secret `dataplane-token-revocations-<mesh>` |
| zone | GlobalSecret `zone-token-signing-key-<serial>` | GlobalSecret `zone-token-revocations` |
| user | GlobalSecret `user-token-signing-key-<serial>` | GlobalSecret `user-token-revocations` |

A key without a serial in its name has serial 0. A list of revoked tokens is their ids, separated by commas. That of a
mesh's data planes may be a GlobalSecret too: Kuma's documentation says Secret, its code reads a GlobalSecret.
"""

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from joserfc.jwk import RSAKey

from outrig.resources import Key, Resource
from outrig.tokens.refusals import SigningKeyRefused

GROUP: Final = "kuma.io"
SECRET: Final = "Secret"  # noqa: S105 - a kind
GLOBAL_SECRET: Final = "GlobalSecret"  # noqa: S105 - a kind
_BITS: Final = 2048


@dataclass(frozen=True, slots=True)
class Ring:
    """The signing keys of one purpose. `mesh`: of data plane tokens, else empty."""

    purpose: str
    mesh: str = ""

    @property
    def kind(self) -> str:
        """Of the resources that hold its keys."""
        return SECRET if self.mesh else GLOBAL_SECRET

    @property
    def prefix(self) -> str:
        """What their names begin with; also the whole name of serial 0."""
        return f"{self.purpose}-token-signing-key{self._of_mesh}"

    def key_of(self, serial: int) -> Key:
        """The resource that holds the key of that serial."""
        return Key(GROUP, self.kind, self.mesh, "", f"{self.prefix}-{serial}" if serial else self.prefix)

    def serial_of(self, key: Key) -> int | None:
        """The serial of the signing key that a resource holds; None if it holds none of this ring."""
        if (key.group, key.kind, key.mesh) != (GROUP, self.kind, self.mesh):
            return None
        found = re.fullmatch(rf"{re.escape(self.prefix)}(?:-([1-9][0-9]{{0,8}}))?", key.name)
        return int(found[1] or 0) if found else None

    @property
    def revocations(self) -> tuple[Key, ...]:
        """The resources that list its revoked tokens. Each of them counts."""
        name = f"{self.purpose}-token-revocations{self._of_mesh}"
        listed = Key(GROUP, GLOBAL_SECRET, "", "", name)
        return (listed, Key(GROUP, SECRET, self.mesh, "", name)) if self.mesh else (listed,)

    @property
    def _of_mesh(self) -> str:
        return f"-{self.mesh}" if self.mesh else ""


ZONE: Final = Ring("zone")
USER: Final = Ring("user")


def dataplane_ring(mesh: str) -> Ring:
    """The ring of a mesh's data plane tokens."""
    return Ring("dataplane", mesh)


def holds_signing_key(key: Key) -> bool:
    """Whether a resource of that key is taken for a signing key."""
    rings = (dataplane_ring(key.mesh),) if key.mesh else (ZONE, USER)
    return any(ring.serial_of(key) is not None for ring in rings)


def lists_revocations(key: Key) -> bool:
    """Whether a resource of that key is taken for a list of revoked tokens."""
    of_mesh = key.name.removeprefix("dataplane-token-revocations-")
    rings = (dataplane_ring(key.mesh or of_mesh), ZONE, USER)
    return any(key in ring.revocations for ring in rings)


def serial_of_kid(kid: str) -> int | None:
    """The serial that a key id spells in its one way; None if it spells none."""
    return int(kid) if re.fullmatch("0|[1-9][0-9]{0,8}", kid) else None


def new_signing_key() -> str:
    """A new private key, PEM (PKCS#8). Takes a tenth of a second of pure computing."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=_BITS)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def public_key(private: str) -> str:
    """The public part (PEM) of a private key. Raises SigningKeyRefused."""
    try:
        # Checking its primes takes as long as making a key, and the public part needs none of them.
        key = load_pem_private_key(private.encode(), None, unsafe_skip_rsa_key_validation=True)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise SigningKeyRefused("key", "is no private key in PEM, without a password") from None
    if not isinstance(key, rsa.RSAPrivateKey) or key.key_size < _BITS:
        raise SigningKeyRefused("key", f"is no RSA key of {_BITS} bits or more")
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def signing_key(private: str) -> RSAKey:
    """A private key (PEM), fit to sign. Raises SigningKeyRefused."""
    public_key(private)
    try:
        return RSAKey.import_key(private)
    except ValueError:
        raise SigningKeyRefused("key", "is damaged") from None


def verifying_key(public: str) -> RSAKey:
    """A public key (PEM). Raises SigningKeyRefused."""
    try:
        key = load_pem_public_key(public.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise SigningKeyRefused("key", "is no public key in PEM") from None
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size < _BITS:
        raise SigningKeyRefused("key", f"is no RSA key of {_BITS} bits or more")
    return RSAKey.import_key(public)


def secret_body(data: str) -> dict[str, str]:
    """The body of a Secret that holds a text."""
    return {"data": base64.b64encode(data.encode()).decode()}


def secret_text(secret: Resource) -> str:
    """The text that a Secret holds. Raises SigningKeyRefused where it holds none."""
    try:
        return base64.b64decode(str(secret.body.get("data", "")), validate=True).decode()
    except (binascii.Error, ValueError):
        raise SigningKeyRefused(str(secret.key), "its data is no base64 of a text") from None
