"""What ECS says about a task: it runs, where, with which address and role.

The ARN asked for and compared with is built from what STS vouched for; of the caller's word only cluster and task id
are used, and ECS must confirm both. Source: Amazon ECS API reference, DescribeTasks, DescribeTaskDefinition.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from outrig.attest.aws import Answer, AnswerError, Aws
from outrig.attest.descriptions import Descriptions
from outrig.attest.evidence import Claim
from outrig.attest.refusals import TaskNotRunning, TaskRefused
from outrig.attest.roles import Role

_GONE = ("DETACHING", "DETACHED", "DELETED")
_ALIVE = ("PENDING", "ACTIVATING", "RUNNING")


@dataclass(frozen=True, slots=True)
class Task:
    """A running task as ECS describes it. `role`: of its overrides, empty if the task definition says.

    `interfaces`: ids of its network interfaces.
    """

    arn: str
    zone: str
    definition: str
    role: str
    addresses: tuple[str, ...]
    interfaces: tuple[str, ...] = ()


class Tasks:
    """Asks ECS about tasks. Task definitions never change, so their roles are remembered."""

    def __init__(self, aws: Aws) -> None:
        self._aws, self._descriptions = aws, Descriptions(aws)
        self._roles: dict[str, str] = {}

    async def find(self, claim: Claim, role: Role) -> Task:
        """The running task of that claim, which has that role. Raises TaskRefused, TaskNotRunning, AwsUnavailable, …"""
        try:
            answer = await self._descriptions.of(claim)
        except AnswerError as error:
            raise _unknown(claim, error.code) from None
        task = read_task(answer, claim)
        stated = task.role or await self._role_of(task.definition, claim.region)
        if not role.is_named(stated):
            problem = f"the task does not run with role {role.name}"
            raise TaskRefused("ecs", problem, detail=f"{task.arn} has {stated!r}")
        return task

    async def public_address(self, task: Task, region: str) -> str:
        """The public IPv4 address of a task's network interface, empty if it has none. Raises AwsUnavailable, …

        Source: Amazon EC2 API reference, DescribeNetworkInterfaces.
        """
        wanted = list(task.interfaces)
        try:
            answer = await self._aws.call("ec2", region, "describe_network_interfaces", NetworkInterfaceIds=wanted)
        except AnswerError as error:
            raise TaskRefused("ecs", "the task's network interface cannot be found", detail=error.code) from None
        found = [one for one in answer.get("NetworkInterfaces") or [] if one.get("NetworkInterfaceId") in wanted]
        addresses = [str((one.get("Association") or {}).get("PublicIp") or "") for one in found]
        return next(filter(None, addresses), "")

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
    details = _interface_details(task)
    zone, addresses = str(task.get("availabilityZone", "")), _addresses(details)
    if not zone.startswith(claim.region):
        raise TaskRefused("ecs", "ECS names no availability zone of the task in its region", detail=zone)
    if not addresses:
        raise TaskRefused("ecs", "the task has no network interface of its own", "use network mode awsvpc")
    override = str((task.get("overrides") or {}).get("taskRoleArn") or "")
    interfaces = _values(details, "networkInterfaceId")
    return Task(claim.arn, zone, str(task.get("taskDefinitionArn", "")), override, addresses, interfaces)


def _check_alive(task: Answer) -> None:
    last, desired = task.get("lastStatus"), task.get("desiredStatus")
    if last not in _ALIVE or desired != "RUNNING" or task.get("stoppingAt"):
        raise TaskNotRunning("ecs", f"the task is {last}, and to become {desired}", "only running tasks may join")


def _interface_details(task: Answer) -> Sequence[Mapping[str, str]]:
    """What ECS says of the task's network interfaces."""
    return [
        detail
        for attachment in task.get("attachments") or []
        if attachment.get("type") == "ElasticNetworkInterface" and attachment.get("status") not in _GONE
        for detail in attachment.get("details") or []
    ]


def _addresses(details: Sequence[Mapping[str, str]]) -> tuple[str, ...]:
    """All addresses of the task's network interfaces, IPv4 first."""
    return (*_values(details, "privateIPv4Address"), *_values(details, "ipv6Address"))


def _values(details: Sequence[Mapping[str, str]], name: str) -> tuple[str, ...]:
    return tuple(detail["value"] for detail in details if detail.get("name") == name and detail.get("value"))


def _unknown(claim: Claim, detail: str) -> TaskRefused:
    problem = f"cluster {claim.cluster} has no such task as the caller says it is"
    return TaskRefused("ecs", problem, "is the cluster's name right?", detail=f"{claim.arn}: {detail}")
