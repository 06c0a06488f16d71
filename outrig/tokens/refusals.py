"""Why a token is not taken, or not made."""

from outrig.errors import OutrigError


class TokenInvalid(OutrigError):
    """The token is not one that a key of ours has signed for this purpose and moment, or it was revoked."""

    code = "OUT150"


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
