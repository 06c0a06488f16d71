"""Why a caller is turned away while its identity is being checked.

Each has a stable code and an HTTP status. `problem` and `hint` are told to the caller; `detail` goes to the control
plane's log only, since what AWS says about a bad signature would help only those who forge one.
"""

import secrets
from typing import ClassVar

from outrig.errors import OutrigError


class Refused(OutrigError):
    """A join that is not granted. `retry_after`: seconds after which trying again makes sense, 0: up to the caller.

    `status`: of the HTTP answer. `proven`: refusals of this kind come only after the caller has shown who it is.
    `reference` finds the refusal in the log.
    """

    code = "OUT100"
    status: ClassVar[int] = 403
    proven: ClassVar[bool] = False

    def __init__(self, place: str, problem: str, hint: str = "", *, retry_after: int = 0, detail: str = "") -> None:
        super().__init__(place, problem, hint)
        self.retry_after, self.detail = retry_after, detail
        self.reference = secrets.token_hex(6)

    @property
    def reason(self) -> str:
        """What is wrong, and where, as the caller is told."""
        return f"{self.place}: {self.problem}" if self.place else self.problem


class Malformed(Refused):
    """The request does not have the agreed form."""

    code, status = "OUT101", 400


class ClockSkew(Refused):
    """The proof is dated too far from the control plane's time."""

    code = "OUT104"


class RegionUnknown(Refused):
    """The proof names a region that does not exist or is not served here."""

    code = "OUT105"


class ProofRefused(Refused):
    """STS did not accept the signature."""

    code = "OUT107"


class NotATaskRole(Refused):
    """The credentials are real, but not those of an ECS task role."""

    code = "OUT108"


class Inconsistent(Refused):
    """What AWS says about the caller does not agree with itself."""

    code = "OUT109"


class AccountRefused(Refused):
    """The caller's account is not among the allowed ones."""

    code, proven = "OUT110", True


class RoleRefused(Refused):
    """The role is gone, was made anew, or is not the one that the credentials belong to."""

    code, proven = "OUT111", True


class RoleTrusted(Refused):
    """Others than ECS tasks may assume the role, so its credentials do not prove that a task is calling."""

    code, proven = "OUT112", True


class TaskRefused(Refused):
    """The task that the caller says it is does not exist, is another one, or runs with another role."""

    code, proven = "OUT113", True


class TaskNotRunning(Refused):
    """The task is stopped or stopping."""

    code, proven = "OUT114", True


class TokenRefused(Refused):
    """The token is not one that its issuer made for this control plane and this moment, or not for this key."""

    code = "OUT122"


class IssuerUnknown(Refused):
    """No issuer of that name is configured here."""

    code = "OUT123"


class AwsUnavailable(Refused):
    """AWS could not be asked, or gave no usable answer. No denial: try again."""

    code, status = "OUT130", 503


class NoCredentials(Refused):
    """The control plane has no AWS credentials of its own that work, so it cannot check anybody."""

    code, status = "OUT131", 503


class IssuerUnavailable(Refused):
    """The issuer's keys cannot be fetched. No denial: try again."""

    code, status = "OUT134", 503
