"""What ECS says about a task: it runs, where, with which address and role.

The ARN asked for and compared with is built from what STS vouched for; of the caller's word only cluster and task id
are used, and ECS must confirm both. Source: Amazon ECS API reference, DescribeTasks, DescribeTaskDefinition.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from outrig.attest.aws import Answer, AnswerError, Aws
from outrig.attest.evidence import Claim
from outrig.attest.refusals import TaskNotRunning, TaskRefused
from outrig.attest.roles import Role

_GONE = ("DETACHING", "DETACHED", "DELETED")
_ALIVE = ("PENDING", "ACTIVATING", "RUNNING")


@dataclass(frozen=True, slots=True)
class Task:
    """A running task as ECS describes it. `role`: of its overrides, empty if the task definition says."""

    arn: str
    zone: str
    definition: str
    role: str
    addresses: tuple[str, ...]


class Tasks:
    """Asks ECS about tasks. Task definitions never change, so their roles are remembered."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        self._roles: dict[str, str] = {}

    async def find(self, claim: Claim, role: Role) -> Task:
        """The running task of that claim, which has that role. Raises TaskRefused, TaskNotRunning, AwsUnavailable, …"""
        try:
            answer = await self._aws.call(
                "ecs", claim.region, "describe_tasks", cluster=claim.cluster, tasks=[claim.arn]
            )
        except AnswerError as error:
            raise _unknown(claim, error.code) from None
        task = read_task(answer, claim)
        stated = task.role or await self._role_of(task.definition, claim.region)
        if not role.is_named(stated):
            problem = f"the task does not run with role {role.name}"
            raise TaskRefused("ecs", problem, detail=f"{task.arn} has {stated!r}")
        return task

    async def _role_of(self, definition: str, region: str) -> str:
        if definition not in self._roles:
            try:
                answer = await self._aws.call("ecs", region, "describe_task_definition", taskDefinition=definition)
            except AnswerError as error:
                raise TaskRefused("ecs", "the task's definition cannot be found", detail=error.code) from None
            if len(self._roles) >= 4096:
                self._roles.clear()
            self._roles[definition] = str(answer["taskDefinition"].get("taskRoleArn", ""))
        return self._roles[definition]


def read_task(answer: Answer, claim: Claim) -> Task:
    """The one task in DescribeTasks' answer, if it is the claimed one and alive. Raises TaskRefused, TaskNotRunning."""
    tasks = answer.get("tasks") or []
    if answer.get("failures") or len(tasks) != 1:
        raise _unknown(claim, f"{len(tasks)} tasks, failures: {answer.get('failures')}")
    task = tasks[0]
    cluster = f"arn:{claim.partition}:ecs:{claim.region}:{claim.account}:cluster/{claim.cluster}"
    if task.get("taskArn") != claim.arn or task.get("clusterArn") != cluster:
        raise _unknown(claim, f"ECS described {task.get('taskArn')} in {task.get('clusterArn')}")
    _check_alive(task)
    zone, addresses = str(task.get("availabilityZone", "")), _addresses(task)
    if not zone.startswith(claim.region):
        raise TaskRefused("ecs", "ECS names no availability zone of the task in its region", detail=zone)
    if not addresses:
        raise TaskRefused("ecs", "the task has no network interface of its own", "use network mode awsvpc")
    override = str((task.get("overrides") or {}).get("taskRoleArn") or "")
    return Task(claim.arn, zone, str(task.get("taskDefinitionArn", "")), override, addresses)


def _check_alive(task: Answer) -> None:
    last, desired = task.get("lastStatus"), task.get("desiredStatus")
    if last not in _ALIVE or desired != "RUNNING" or task.get("stoppingAt"):
        raise TaskNotRunning("ecs", f"the task is {last}, and to become {desired}", "only running tasks may join")


def _addresses(task: Answer) -> tuple[str, ...]:
    """All addresses of the task's network interfaces, IPv4 first."""
    details = [
        detail
        for attachment in task.get("attachments") or []
        if attachment.get("type") == "ElasticNetworkInterface" and attachment.get("status") not in _GONE
        for detail in attachment.get("details") or []
    ]
    return (*_values(details, "privateIPv4Address"), *_values(details, "ipv6Address"))


def _values(details: Sequence[Mapping[str, str]], name: str) -> tuple[str, ...]:
    return tuple(detail["value"] for detail in details if detail.get("name") == name and detail.get("value"))


def _unknown(claim: Claim, detail: str) -> TaskRefused:
    problem = f"cluster {claim.cluster} has no such task as the caller says it is"
    return TaskRefused("ecs", problem, "is the cluster's name right?", detail=f"{claim.arn}: {detail}")
