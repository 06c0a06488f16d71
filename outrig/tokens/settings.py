"""Settings of the tokens."""

from collections.abc import Iterable
from dataclasses import dataclass

from outrig.tokens.keys import Ring


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key whose private part is elsewhere: `pem` verifies tokens of that ring whose header says `kid`."""

    ring: Ring
    kid: str
    pem: str


@dataclass(frozen=True, slots=True)
class TokenSettings:
    """Which tokens are issued here, and by which keys they are verified. Purposes: dataplane, zone, user."""

    not_issued: frozenset[str] = frozenset()
    """Purposes whose tokens this control plane does not issue."""
    no_secrets: frozenset[str] = frozenset()
    """Purposes whose tokens are not verified with the signing keys in the store."""
    public_keys: tuple[PublicKey, ...] = ()
    """Keys that verify tokens issued elsewhere; they come before those in the store."""

    def known(self, ring: Ring) -> Iterable[PublicKey]:
        """The configured keys of a ring."""
        return (key for key in self.public_keys if key.ring == ring)
