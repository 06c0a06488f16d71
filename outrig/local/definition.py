"""Task definitions as they are run: parsed once from what `register-task-definition` stored.

In: moto's task definition.  Out: a frozen `Definition`.  It refuses network modes that Fargate lacks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from moto.ecs.exceptions import EcsClientException
from moto.ecs.models import TaskDefinition

from outrig.local.orders import Condition, HealthCheck
from outrig.local.registering import check_containers

_STOP_TIMEOUT = 30
_UNSUPPORTED = ("environmentFiles", "mountPoints", "volumesFrom")


@dataclass(frozen=True, slots=True)
class AwsLogs:
    """Where the `awslogs` driver sends what a container writes; `create` makes the group if there is none."""

    group: str
    region: str
    prefix: str
    create: bool


@dataclass(frozen=True, slots=True)
class ContainerDefinition:
    """One entry of `containerDefinitions`; `None` for a command or entry point means the image's own."""

    name: str
    image: str
    essential: bool
    entrypoint: list[str] | None
    command: list[str] | None
    environment: dict[str, str]
    user: str
    directory: str
    stop_timeout: float
    depends_on: list[tuple[str, Condition]]
    health: HealthCheck | None
    cpu: str
    memory: str | None
    labels: dict[str, str]
    start_timeout: float | None = None
    secrets: dict[str, str] = field(default_factory=dict)
    log_driver: str = ""
    logs: AwsLogs | None = None


@dataclass(frozen=True, slots=True)
class Definition:
    """One revision of a task definition."""

    arn: str
    family: str
    revision: int
    containers: tuple[ContainerDefinition, ...]
    role_arn: str | None
    cpu: str | None
    memory: str | None
    execution_role_arn: str | None = None


@dataclass(frozen=True, slots=True)
class Overrides:
    """What `run-task --overrides` changes: commands and environments by container name, and the role."""

    commands: dict[str, list[str]] = field(default_factory=dict)
    environments: dict[str, dict[str, str]] = field(default_factory=dict)
    role_arn: str | None = None
    execution_role_arn: str | None = None


def parse_definition(stored: TaskDefinition) -> Definition:
    """Raises moto's `EcsClientException` (a 400 for the caller) where the definition cannot run here."""
    if stored.network_mode != "awsvpc":
        raise EcsClientException(
            f"Network mode {stored.network_mode!r} is not supported: tasks run as on Fargate, awsvpc."
        )
    for entry in stored.container_definitions:
        unsupported = [name for name in _UNSUPPORTED if entry.get(name)]
        if unsupported:
            raise EcsClientException(f"Container {entry['name']!r}: {unsupported[0]} is not supported by outrig local.")
    execution_role = getattr(stored, "execution_role_arn", None)
    check_containers(stored.container_definitions, execution_role)
    return Definition(
        arn=stored.arn,
        family=stored.family,
        revision=stored.revision,
        containers=tuple(_container(entry) for entry in stored.container_definitions),
        role_arn=getattr(stored, "task_role_arn", None),
        cpu=stored.cpu,
        memory=stored.memory,
        execution_role_arn=execution_role,
    )


def parse_overrides(document: Mapping[str, Any] | None) -> Overrides:
    document = document or {}
    containers = [entry for entry in document.get("containerOverrides") or [] if "name" in entry]
    return Overrides(
        commands={entry["name"]: list(entry["command"]) for entry in containers if entry.get("command")},
        environments={entry["name"]: _pairs(entry.get("environment")) for entry in containers},
        role_arn=document.get("taskRoleArn"),
        execution_role_arn=document.get("executionRoleArn"),
    )


def _container(entry: Mapping[str, Any]) -> ContainerDefinition:
    health, logging = entry.get("healthCheck"), entry.get("logConfiguration") or {}
    return ContainerDefinition(
        name=entry["name"],
        image=entry["image"],
        essential=bool(entry.get("essential", True)),
        entrypoint=entry.get("entryPoint") or None,
        command=entry.get("command") or None,
        environment=_pairs(entry.get("environment")),
        user=str(entry.get("user") or ""),
        directory=entry.get("workingDirectory") or "/",
        stop_timeout=float(entry.get("stopTimeout") or _STOP_TIMEOUT),
        depends_on=[(one["containerName"], one["condition"]) for one in entry.get("dependsOn") or []],
        health=_health(health) if health else None,
        cpu=str(entry.get("cpu", 0)),
        memory=str(entry["memory"]) if entry.get("memory") else None,
        labels=dict(entry.get("dockerLabels") or {}),
        start_timeout=entry.get("startTimeout"),
        secrets={one["name"]: one["valueFrom"] for one in entry.get("secrets") or []},
        log_driver=logging.get("logDriver") or "",
        logs=_logs(logging.get("options") or {}) if logging.get("logDriver") == "awslogs" else None,
    )


def _logs(options: Mapping[str, str]) -> AwsLogs:
    return AwsLogs(
        group=options["awslogs-group"],
        region=options["awslogs-region"],
        prefix=options["awslogs-stream-prefix"],
        create=options.get("awslogs-create-group") == "true",
    )


def _health(entry: Mapping[str, Any]) -> HealthCheck:
    return HealthCheck(
        command=list(entry["command"]),
        interval=entry.get("interval") or 30,
        timeout=entry.get("timeout") or 5,
        retries=entry.get("retries") or 3,
        start_period=entry.get("startPeriod") or 0,
    )


def _pairs(entries: Sequence[Mapping[str, str]] | None) -> dict[str, str]:
    return {entry["name"]: entry.get("value", "") for entry in entries or []}
