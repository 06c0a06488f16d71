"""Why a token is not taken, or not made."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

from outrig.errors import OutrigError


class TokenInvalid(OutrigError):
    """The token is not one that a key of ours has signed for this purpose and moment, or it was revoked.

    `said`: its claims, where a key of ours has signed it all the same.
    """

    code = "OUT150"
    said: Mapping[str, Any] = MappingProxyType({})


class NotSigned(TokenInvalid):
    """It has not even the form of a signed token."""


class ListUnreadable(TokenInvalid):
    """Whether the token is revoked cannot be told."""


class IssuingOff(OutrigError):
    """This control plane does not issue tokens of that kind."""

    code = "OUT151"


class SigningKeyRefused(OutrigError):
    """There is no signing key, or it cannot be used."""

    code = "OUT152"


class ClaimRefused(OutrigError):
    """A token that says this is not made."""

    code = "OUT153"


@contextmanager
def saying(claims: Mapping[str, Any]) -> Iterator[None]:
    """Whatever is found wrong with a token during the block, it says these claims, and a key of ours has signed it."""
    try:
        yield
    except TokenInvalid as error:
        error.said = claims
        raise
