"""A task as ECS knows it: its identity, where it is in its life, and what became of its containers."""

import secrets
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime

from outrig.local.channel import Channel
from outrig.local.definition import ContainerDefinition, Definition, Overrides
from outrig.local.network import mac_of


@dataclass(frozen=True, slots=True)
class Place:
    """The cluster a task runs in: everything its ARNs are made of."""

    account: str
    region: str
    cluster: str
    partition: str = "aws"

    def arn(self, kind: str, name: str) -> str:
        return f"arn:{self.partition}:ecs:{self.region}:{self.account}:{kind}/{name}"

    @property
    def cluster_arn(self) -> str:
        return self.arn("cluster", self.cluster)


@dataclass(frozen=True, slots=True)
class Attachment:
    """The task's network interface."""

    address: str
    zone: str
    subnet: str
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    interface: str = field(default_factory=lambda: f"eni-{secrets.token_hex(8)}1")

    @property
    def mac(self) -> str:
        return mac_of(self.address).hex(":")

    @property
    def hostname(self) -> str:
        return "ip-" + self.address.replace(".", "-")


@dataclass(frozen=True, slots=True)
class Request:
    """Who asked for a task, and how: what `run-task` or a service's deployment says besides the definition."""

    group: str
    started_by: str = ""
    service: str | None = None
    deployment: str | None = None
    overrides: Overrides = field(default_factory=Overrides)
    tags: list[dict[str, str]] = field(default_factory=list)
    execute_command: bool = False


@dataclass(slots=True)
class TaskContainer:
    """One container of a task, as far as its supervisor has told. `pid` is in the task's own PID namespace."""

    definition: ContainerDefinition
    environment: dict[str, str] = field(default_factory=dict)
    metadata_id: str = field(default_factory=lambda: secrets.token_hex(16))
    arn_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    status: str = "PENDING"
    health: str = "UNKNOWN"
    pid: int | None = None
    exit_code: int | None = None
    reason: str = ""
    started_at: datetime | None = None
    health_since: datetime | None = None

    @property
    def name(self) -> str:
        return self.definition.name


@dataclass(slots=True, eq=False)
class Task:
    """One task, living or stopped. `channel` leads to its supervisor while that lives.

    `proven` is the engine's note that the task has run for long enough to be counted on without a health check.
    """

    place: Place
    definition: Definition
    attachment: Attachment
    request: Request
    id: str = field(default_factory=lambda: secrets.token_hex(16))
    credentials_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    containers: list[TaskContainer] = field(default_factory=list)
    channel: Channel | None = None
    pid_namespace: int | None = None
    last_status: str = "PROVISIONING"
    desired_status: str = "RUNNING"
    stop_code: str | None = None
    stopped_reason: str = ""
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    started_at: datetime | None = None
    stopping_at: datetime | None = None
    stopped_at: datetime | None = None
    proven: bool = False

    @property
    def arn(self) -> str:
        return self.place.arn("task", f"{self.place.cluster}/{self.id}")

    @property
    def role_arn(self) -> str | None:
        return self.request.overrides.role_arn or self.definition.role_arn

    @property
    def execution_role_arn(self) -> str | None:
        return self.request.overrides.execution_role_arn or self.definition.execution_role_arn

    @property
    def health(self) -> str:
        """ECS counts essential containers with a health check; with none of them the answer is UNKNOWN."""
        found = {c.health for c in self.containers if c.definition.health and c.definition.essential}
        if "UNHEALTHY" in found:
            return "UNHEALTHY"
        return "HEALTHY" if found == {"HEALTHY"} else "UNKNOWN"

    @property
    def unhealthy(self) -> bool:
        """Whether it is meant to run and its health checks have given up on it."""
        return self.desired_status == "RUNNING" and self.health == "UNHEALTHY"

    @property
    def checked(self) -> bool:
        """Whether its health is known from an essential container's check."""
        return any(one.definition.health and one.definition.essential for one in self.containers)

    @property
    def serving(self) -> bool:
        """Whether it runs, is to go on running, and is healthy as far as is known."""
        wanted = self.last_status == "RUNNING" and self.desired_status == "RUNNING"
        return wanted and (self.health == "HEALTHY" or not self.checked)

    @property
    def counted(self) -> bool:
        """Whether a deployment may count on it: without a health check it has to have run for a while."""
        return self.serving and (self.checked or self.proven)

    def age(self, now: datetime) -> float:
        """Seconds since it was first RUNNING; 0 before."""
        return (now - self.started_at).total_seconds() if self.started_at else 0.0

    def container(self, name: str) -> TaskContainer | None:
        return next((container for container in self.containers if container.name == name), None)

    def begin_stopping(self, reason: str, code: str) -> None:
        """Note that the task is to end; what was noted first stays."""
        if self.desired_status == "RUNNING":
            self.desired_status = "STOPPED"
            self.last_status = "STOPPING"
            self.stopped_reason, self.stop_code = reason, code
            self.stopping_at = datetime.now(UTC)

    def finish(self) -> None:
        """Nothing of the task is left: containers that were running died with it."""
        self.last_status = "STOPPED"
        self.stopped_at = datetime.now(UTC)
        self.channel = None
        for container in self.containers:
            if container.status == "RUNNING":
                container.exit_code = 137
            container.status, container.pid = "STOPPED", None
