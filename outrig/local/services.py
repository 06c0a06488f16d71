"""A service, its deployments and what they have been through. No I/O: moments come as arguments, or from the clock."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from outrig.local.definition import Definition
from outrig.local.service_registry import Registry
from outrig.local.tasks import Place, Task

STEADY_AFTER = 10.0
PROVEN_AFTER = 1.0  # ECS waits 40 s
_LONGEST_PAUSE = 60.0
_EVENTS_KEPT = 100

Rollout = Literal["IN_PROGRESS", "COMPLETED", "FAILED"]


@dataclass(frozen=True, slots=True)
class Network:
    """Where a task's interface may go: a subnet and its zone."""

    subnet: str
    zone: str


@dataclass(frozen=True, slots=True)
class CircuitBreaker:
    """Whether a deployment gives up when its tasks keep failing, and whether the last good one comes back then."""

    enable: bool = False
    rollback: bool = False


@dataclass(slots=True, eq=False)
class Deployment:
    """One task definition being rolled out. `retry_at` is on the engine's monotonic clock, in seconds.

    `failed_tasks` counts tasks that ended early or failed their health check, until one has lived.
    """

    definition: Definition
    id: str = field(default_factory=lambda: f"ecs-svc/{secrets.randbelow(10**19):019d}")
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    updated_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    rollout: Rollout = "IN_PROGRESS"
    rollout_reason: str = ""
    failed_tasks: int = 0
    failures_in_a_row: int = 0
    retry_at: float = 0.0

    def __post_init__(self) -> None:
        self.rollout_reason = self.rollout_reason or f"ECS deployment {self.id} in progress."

    def task_ended_early(self, now: float) -> None:
        """Hold back the next start: at once after the first failure, then ever longer, as ECS throttles.

        Tasks that end together are one failure: while a pause lasts, it does not grow.
        """
        self.failed_tasks += 1
        if now >= self.retry_at:
            self.failures_in_a_row += 1
            self.retry_at = now + pause_after(self.failures_in_a_row)

    def task_lived(self) -> None:
        self.failed_tasks = self.failures_in_a_row = 0
        self.retry_at = 0.0

    def turn(self, rollout: Rollout, reason: str) -> None:
        self.rollout, self.rollout_reason = rollout, reason
        self.updated_at = datetime.now(UTC)


@dataclass(slots=True, eq=False)
class Service:
    """A service: how many tasks it should have, and its deployments, the newest (PRIMARY) first."""

    place: Place
    name: str
    desired: int
    deployments: list[Deployment]
    networks: list[Network]
    registry: Registry | None = None
    launch_type: str = "FARGATE"
    minimum_percent: int = 100
    maximum_percent: int = 200
    breaker: CircuitBreaker = field(default_factory=CircuitBreaker)
    last_completed: Deployment | None = None
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


def pause_after(failures: int) -> float:
    """Seconds before the next start after that many failures in a row."""
    return 0.0 if failures <= 1 else min(0.5 * 2 ** (failures - 2), _LONGEST_PAUSE)
