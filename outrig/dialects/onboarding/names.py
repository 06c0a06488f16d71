"""The names by which a caller can be shut out, and the caller that a registration stands for."""

from typing import Final

from outrig.dialects.onboarding.decision import AwsTask, Caller, TokenHolder
from outrig.resources import Resource

ROLE: Final = "onboarding.outrig.dev/role"
"""Annotation of a task's registration: the name of its role, which the identity's fields do not hold."""


def names_of(caller: Caller) -> frozenset[str]:
    """Account, role and task; or issuer and subject."""
    if isinstance(caller, TokenHolder):
        return frozenset((caller.issuer, f"{caller.issuer}#{caller.subject}"))
    return frozenset((caller.account, f"{caller.account}/{caller.role_name}", task_arn(caller)))


def task_arn(task: AwsTask) -> str:
    """The task's ARN."""
    return f"arn:{task.partition}:ecs:{task.region}:{task.account}:task/{task.cluster}/{task.task_id}"


def caller_of(registration: Resource) -> Caller | None:
    """The caller that has joined; None if the registration stands for something else."""
    identity = registration.spec.get("identity", {})
    if jwt := identity.get("jwt"):
        return TokenHolder(jwt["issuer"], "", jwt["subject"], jwt.get("attributes", {}))
    aws = identity.get("aws") or {}
    if not (ecs := aws.get("ecs")):
        return None
    return AwsTask(
        partition=aws["partition"],
        account=aws["account"],
        region=aws["region"],
        zone=aws["zone"],
        cluster=ecs["cluster"],
        role_name=registration.annotations.get(ROLE, ""),
        task_id=ecs["taskId"],
    )
