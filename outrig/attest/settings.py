"""Settings of the checks on who is calling."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class AttestSettings:
    """What is accepted as proof, and how AWS is asked. Raises ValueError on accounts that are not twelve digits."""

    accounts: tuple[str, ...] = ()
    """Accounts whose tasks may join at all. Empty: OnboardingPolicies alone decide (each must name its accounts)."""
    regions: tuple[str, ...] = ()
    """Regions whose STS endpoints are asked. Empty: every region botocore knows."""
    oldest: timedelta = timedelta(seconds=120)
    """How far in the past a proof may be dated."""
    furthest: timedelta = timedelta(seconds=60)
    """How far in the future a proof may be dated."""
    strict_trust: bool = True
    """Refuse roles that anything besides ecs-tasks.amazonaws.com may assume. Off: warn in the log."""
    role_cache: timedelta = timedelta(seconds=2)
    """How long iam:GetRole's answer serves further joins of the same role, counted from the answer. So short that who
    mends a role's tags need not wait, and still many tasks that start at once ask one question."""
    sts_timeout: timedelta = timedelta(seconds=5)
    """How long one question to STS may take in all."""
    parallel: int = 16
    """How many identities are checked with AWS at once; others wait, then get 503."""
    patience: timedelta = timedelta(seconds=2)
    """How long such a caller waits for its turn."""
    aws_endpoint_url: str = ""
    """Ask this URL in place of every AWS endpoint; for ECS on one machine. The Host header stays the real one."""

    def __post_init__(self) -> None:
        for account in self.accounts:
            if not (len(account) == 12 and account.isascii() and account.isdigit()):
                raise ValueError(f"accounts: {account!r} is not an AWS account id (12 digits)")
