"""Whether a task has ended, as ECS says. Asked when a task's agent has vanished; no part of letting anybody in.

Source: Amazon ECS developer guide, "Task lifecycle"; API reference, DescribeTasks.
"""

from outrig.attest.aws import Answer, AnswerError, Aws
from outrig.attest.evidence import claim_of
from outrig.attest.refusals import AwsUnavailable
from outrig.attest.settings import AttestSettings

_ENDED = ("DEPROVISIONING", "STOPPED", "DELETED")  # in DEPROVISIONING the containers have stopped already


class TaskEndings:
    """Asks ECS, as the control plane."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws

    async def is_stopped(self, task: str) -> bool:
        """Whether the containers of the task of that ARN have stopped for good.

        Raises AwsUnavailable, NoCredentials where ECS does not say, so also about tasks it does not know; Malformed.
        """
        claim = claim_of(task)
        try:
            answer = await self._aws.call("ecs", claim.region, "describe_tasks", cluster=claim.cluster, tasks=[task])
        except AnswerError as error:
            raise _unknown(task, error.code) from None
        return read_ending(answer, task)


def read_ending(answer: Answer, task: str) -> bool:
    """Whether DescribeTasks' answer says that the one task has stopped. Raises AwsUnavailable if it is not about it."""
    found = [one.get("taskArn") for one in answer.get("tasks") or []]
    if found != [task]:
        raise _unknown(task, f"described: {found}, failures: {answer.get('failures')}")
    return answer["tasks"][0].get("lastStatus") in _ENDED


def open_endings(settings: AttestSettings) -> TaskEndings:
    """Endings as AWS knows them, or the emulator of the settings."""
    return TaskEndings(Aws(settings.aws_endpoint_url))


def _unknown(task: str, detail: str) -> AwsUnavailable:
    return AwsUnavailable(task, "ECS does not say whether the task has stopped", detail=detail)
