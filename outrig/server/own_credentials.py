"""A word at the start where the control plane cannot check what it is told to check.

In: the settings, and whether AWS credentials can be found. Out: a warning that names who will be refused. It starts all
the same: credentials may come, and whoever needs none of AWS is served.
"""

from typing import Protocol

import structlog

from outrig.admission.settings import AWS_IAM
from outrig.server.settings import Settings

_log = structlog.get_logger(__name__)


class Aws(Protocol):
    """Asks AWS as the control plane."""

    async def has_credentials(self) -> bool:
        """Whether the control plane has credentials of its own. Looking for some that do not exist takes seconds."""
        ...


async def warn_without_credentials(settings: Settings, aws: Aws) -> None:
    """Say whom this control plane will have to refuse, if it is set up for roles of AWS and has none itself."""
    concerned = _concerned(settings)
    if concerned and not await aws.has_credentials():
        _log.warning(
            "no AWS credentials of the control plane's own were found",
            consequence=f"{concerned} will be refused with OUT131, until it has some",
            hint="give the control plane an AWS role that allows iam:GetRole, ecs:DescribeTasks and "
            "ecs:DescribeTaskDefinition",
        )


def _concerned(settings: Settings) -> str:
    """Who proves what it is by its role, as far as the settings tell."""
    proxies = (("data planes", settings.dp_authn), ("zone proxies", settings.zone_authn))
    by_role = [f"{who} that join by {AWS_IAM}" for who, proofs in proxies if AWS_IAM in proofs]
    members = ["ECS tasks that join WorkloadGroups"] if settings.aws_accounts or settings.aws_regions else []
    return ", ".join((*by_role, *members))
