"""Commands that `ExecuteCommand` has allowed and whose client has not come for them yet.

In: a task, a container and a command.  Out: a session whose token, shown at the control socket, runs it once. It
refuses, as ECS does, tasks without `enableExecuteCommand`, task roles that may not use SSM, and unnamed containers.
"""

import secrets
import shlex
from collections import OrderedDict
from dataclasses import dataclass, field

from moto.core.exceptions import ServiceException
from moto.ecs.exceptions import InvalidParameterException

from outrig.local.identities import refusal
from outrig.local.tasks import Task, TaskContainer

_KEPT = 100
_CHANNELS = ("CreateControlChannel", "CreateDataChannel", "OpenControlChannel", "OpenDataChannel")
_NOT_ENABLED = (
    "The execute command failed because execute command was not enabled when the task was run or the execute command "
    "agent isn't running. Wait and try again or run a new task with execute command enabled and try again."
)
_NO_TARGET = "The execute command failed due to an internal error. Try again later."


class TargetNotConnected(ServiceException):  # type: ignore[misc]
    """ECS's answer when nothing in the container listens; what follows its sentence is ours."""

    def __init__(self, why: str) -> None:
        super().__init__("TargetNotConnectedException", f"{_NO_TARGET} ({why})")


@dataclass(frozen=True, slots=True)
class Session:
    """One command, allowed once, for whoever has the token."""

    task: str
    container: str
    command: list[str]
    id: str = field(default_factory=lambda: f"ecs-execute-command-{secrets.token_hex(9)}")
    token: str = field(default_factory=secrets.token_urlsafe)


class Sessions:
    """Sessions by token; of those that nobody comes for, the newest are kept."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, Session] = OrderedDict()

    def open(self, task: Task, container: TaskContainer, command: str) -> Session:
        """Allow `command`, split into words as a shell would, but run by none."""
        try:
            words = shlex.split(command)
        except ValueError as error:
            raise InvalidParameterException(f"The command cannot be split into words: {error}.") from error
        if not words:
            raise InvalidParameterException("The command is empty.")
        session = Session(task.id, container.name, words)
        self._waiting[session.token] = session
        while len(self._waiting) > _KEPT:
            self._waiting.popitem(last=False)
        return session

    def take(self, token: str) -> Session | None:
        return self._waiting.pop(token, None)


def check_role(what: str, role_arn: str | None, *, enabled: bool) -> None:
    """Refuse to start `what`, a task or a service, with commands enabled and no role for its agent to use SSM with."""
    if enabled and not role_arn:
        raise InvalidParameterException(
            f"The {what} couldn't be created because a valid taskRoleArn is not being used. "
            "Specify a valid task role in your task definition and try again."
        )


def container_for(task: Task, name: str | None) -> TaskContainer:
    """The container a command may run in. Raises the exceptions of ECS's API where there is none."""
    if not task.request.execute_command:
        raise InvalidParameterException(_NOT_ENABLED)
    if name is None and len(task.containers) > 1:
        raise InvalidParameterException("A container name is required for a task with more than one container.")
    container = task.container(name) if name else task.containers[0]
    if container is None:
        raise InvalidParameterException(f"The task has no container named {name}.")
    if container.status != "RUNNING" or task.channel is None:
        raise TargetNotConnected(f"container {container.name} is {container.status}")
    for action in _CHANNELS:
        denied = refusal(task.role_arn or "", task.id, action=f"ssmmessages:{action}", resource="*")
        if denied:
            raise TargetNotConnected(denied)
    return container
