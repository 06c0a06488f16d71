"""A service and its deployments, and the decision which tasks to start and stop. No I/O: time comes as an argument."""

import math
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from outrig.local.definition import Definition
from outrig.local.tasks import Place, Task

STEADY_AFTER = 10.0
_LONGEST_PAUSE = 60.0
_EVENTS_KEPT = 100


@dataclass(frozen=True, slots=True)
class Network:
    """Where a task's interface may go: a subnet and its zone."""

    subnet: str
    zone: str


@dataclass(slots=True)
class Deployment:
    """One task definition being rolled out. `retry_at` is on the engine's monotonic clock, in seconds."""

    definition: Definition
    id: str = field(default_factory=lambda: f"ecs-svc/{secrets.randbelow(10**19):019d}")
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    updated_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    failed_tasks: int = 0
    failures_in_a_row: int = 0
    retry_at: float = 0.0

    def task_ended_early(self, now: float) -> None:
        """Hold back the next start: at once after the first failure, then ever longer, as ECS throttles.

        Tasks that end together are one failure: while a pause lasts, it does not grow.
        """
        self.failed_tasks += 1
        if now >= self.retry_at:
            self.failures_in_a_row += 1
            self.retry_at = now + pause_after(self.failures_in_a_row)

    def task_lived(self) -> None:
        self.failures_in_a_row = 0
        self.retry_at = 0.0


@dataclass(slots=True, eq=False)
class Service:
    """A service: how many tasks it should have, and its deployments, the newest (PRIMARY) first."""

    place: Place
    name: str
    desired: int
    deployments: list[Deployment]
    networks: list[Network]
    launch_type: str = "FARGATE"
    minimum_percent: int = 100
    maximum_percent: int = 200
    execute_command: bool = False
    propagate_tags: str = "NONE"
    tags: list[dict[str, str]] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)
    status: str = "ACTIVE"
    events: list[tuple[str, datetime, str]] = field(default_factory=list)
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def arn(self) -> str:
        return self.place.arn("service", f"{self.place.cluster}/{self.name}")

    @property
    def primary(self) -> Deployment:
        return self.deployments[0]

    def say(self, message: str) -> None:
        """Add an event, newest first, unless it repeats the last one."""
        text = f"(service {self.name}) {message}"
        if not self.events or self.events[0][2] != text:
            self.events.insert(0, (secrets.token_hex(16), datetime.now(UTC), text))
            del self.events[_EVENTS_KEPT:]

    def forget_empty_deployments(self, tasks: Sequence[Task]) -> None:
        used = {task.request.deployment for task in tasks if task.last_status != "STOPPED"}
        self.deployments = [one for one in self.deployments if one is self.primary or one.id in used]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now: how many tasks of the primary deployment to start, and which tasks to stop."""

    start: int
    stop: list[Task]


def pause_after(failures: int) -> float:
    """Seconds before the next start after that many failures in a row."""
    return 0.0 if failures <= 1 else min(0.5 * 2 ** (failures - 2), _LONGEST_PAUSE)


def plan(service: Service, tasks: Sequence[Task], *, now: float) -> Plan:
    """The next step of a rolling deployment: new tasks first, old ones leave as new ones serve.

    `tasks` are the service's own. The bounds are those of `deploymentConfiguration`: the number serving stays at or
    above the minimum, the number alive at or below the maximum.
    """
    live = [task for task in tasks if task.desired_status == "RUNNING"]
    new = [task for task in live if task.request.deployment == service.primary.id]
    old = [task for task in live if task.request.deployment != service.primary.id]
    room = service.desired * service.maximum_percent // 100 - len(live)
    missing = service.desired - len(new)
    start = max(0, min(missing, room)) if now >= service.primary.retry_at else 0
    surplus = sorted(new, key=lambda task: task.serving)[: max(0, -missing)]
    serving = sum(task.serving for task in live) - sum(task.serving for task in surplus)
    return Plan(start, surplus + _leaving(service, old, serving=serving))


def _leaving(service: Service, old: Sequence[Task], *, serving: int) -> list[Task]:
    spare = max(0, serving - math.ceil(service.desired * service.minimum_percent / 100))
    idle = [task for task in old if not task.serving]
    busy = [task for task in old if task.serving]
    return idle + busy[:spare]
