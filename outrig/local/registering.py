"""What ECS refuses when a task definition is registered: container definitions that could never run as they say.

In: `containerDefinitions` and the execution role.  Out: nothing, or moto's `EcsClientException`, a 400 in words.
"""

from collections.abc import Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any

from moto.ecs.exceptions import EcsClientException

Container = Mapping[str, Any]
_REQUIRED_LOG_OPTIONS = ("awslogs-group", "awslogs-region", "awslogs-stream-prefix")
_PROBES = ("CMD", "CMD-SHELL")


def check_containers(containers: Sequence[Container], execution_role: str | None) -> None:
    """Raise `EcsClientException` for the first thing that is wrong."""
    for problem in _problems(containers, execution_role):
        raise EcsClientException(problem)


def _problems(containers: Sequence[Container], execution_role: str | None) -> Iterator[str]:
    for field in ("name", "image"):
        if not all(entry.get(field) for entry in containers):
            yield f"Container.{field} should not be null or empty."
    by_name = {entry["name"]: entry for entry in containers}
    if len(by_name) < len(containers):
        yield "Container names must be unique within a task definition."
    if not any(entry.get("essential", True) for entry in containers):
        yield "At least one container of a task definition must be essential."
    for entry in containers:
        yield from _secret_problems(entry, execution_role)
        yield from _log_problems(entry, execution_role)
        yield from _health_problems(entry)
        yield from _dependency_problems(entry, by_name)
    try:
        TopologicalSorter({name: _dependencies(entry) for name, entry in by_name.items()}).prepare()
    except CycleError as error:
        yield f"dependsOn has a cycle: {' -> '.join(reversed(error.args[1]))}."


def _secret_problems(entry: Container, execution_role: str | None) -> Iterator[str]:
    names = [secret["name"] for secret in entry.get("secrets") or []]
    if names and not execution_role:
        yield "When you are specifying container secrets, you must also specify a value for 'executionRoleArn'."
    taken = {pair["name"] for pair in entry.get("environment") or []}
    for name in names:
        if name in taken or names.count(name) > 1:
            yield f"Container {entry['name']!r}: the secret name {name!r} is that of another variable too."


def _log_problems(entry: Container, execution_role: str | None) -> Iterator[str]:
    logging = entry.get("logConfiguration") or {}
    if logging.get("logDriver") != "awslogs":
        return
    if not execution_role:
        yield "Fargate requires task definition to have execution role ARN to support log driver awslogs."
    missing = [name for name in _REQUIRED_LOG_OPTIONS if not (logging.get("options") or {}).get(name)]
    if missing:
        yield f"Log driver awslogs requires options: {', '.join(missing)}"


def _health_problems(entry: Container) -> Iterator[str]:
    check = entry.get("healthCheck")
    command = (check or {}).get("command") or []
    if check and command != ["NONE"] and (len(command) < 2 or command[0] not in _PROBES):
        yield f"Container {entry['name']!r}: a health check's command begins with CMD or CMD-SHELL, then what to run."


def _dependency_problems(entry: Container, by_name: Mapping[str, Container]) -> Iterator[str]:
    for dependency in entry.get("dependsOn") or []:
        name, condition = dependency["containerName"], dependency["condition"]
        place = f"Container {entry['name']!r} depends on {name!r} being {condition}"
        other = by_name.get(name)
        if other is None:
            yield f"{place}, but there is no such container."
        elif condition in ("COMPLETE", "SUCCESS") and other.get("essential", True):
            yield f"{place}, but it is essential: its end would end the task."
        elif condition == "HEALTHY" and not other.get("healthCheck"):
            yield f"{place}, but it has no health check."


def _dependencies(entry: Container) -> list[str]:
    return [dependency["containerName"] for dependency in entry.get("dependsOn") or []]
