"""Why a caller is not admitted, apart from who it is (`attest.refusals`)."""

from outrig.attest.refusals import Malformed, Refused
from outrig.ca.authorities import ClockOutside

__all__ = ["Malformed", "Refused"]


class TooLarge(Refused):
    """The request is larger than a join can be."""

    code, status = "OUT102", 413


class NonceRefused(Refused):
    """The nonce is not one of ours, was used already, or has expired."""

    code = "OUT103"


class CsrRefused(Refused):
    """The certificate request cannot be signed."""

    code, status = "OUT106", 400


class AddressRefused(Refused):
    """The workload's addresses are not those of its task."""

    code, proven = "OUT115", True


class LabelRefused(Refused):
    """The agent asks for a label it may not set."""

    code, status = "OUT116", 400


class GroupUnknown(Refused):
    """There is no such namespace, WorkloadGroup, mesh, or Dataplane to join by name."""

    code, proven = "OUT117", True


class PolicyRefused(Refused):
    """No OnboardingPolicy allows it."""

    code, proven = "OUT118", True


class KeyPinned(Refused):
    """The task has joined with another key."""

    code, status, proven = "OUT119", 409, True


class KeyReused(Refused):
    """The key belongs to somebody else."""

    code, status, proven = "OUT120", 409, True


class RegistrationTaken(Refused):
    """The registration's name belongs to another WorkloadGroup."""

    code, status, proven = "OUT121", 409, True


class TokenUsed(Refused):
    """The token has let another key in."""

    code, status, proven = "OUT124", 409, True


class Banned(Refused):
    """The caller is on the namespace's list of those who are shut out."""

    code, proven = "OUT125", True


class DataplaneRefused(Refused):
    """The Dataplane's text is not valid, or its mesh does not take it."""

    code, status = "OUT126", 400


class WarrantRefused(Refused):
    """The tags of the role, or the claims of the token, do not allow it."""

    code, proven = "OUT127", True


class NameTaken(Refused):
    """The Dataplane of that name is somebody else's."""

    code, status, proven = "OUT128", 409, True


class MethodRefused(Refused):
    """Proxies of that type are not asked for this kind of proof here."""

    code = "OUT129"


class TooMany(Refused):
    """The address or the task asks too often, or all callers together do."""

    code, status = "OUT132", 429


class NotNow(Refused):
    """The control plane cannot write its state now."""

    code, status = "OUT133", 503


class CannotSign(Refused):
    """By the control plane's clock an authority's own certificate is not valid: nothing can be issued."""

    code, status = ClockOutside.code, 503


class Unexpected(Refused):
    """A fault of the control plane; its log has the details under the reference."""

    code, status = "OUT199", 500
