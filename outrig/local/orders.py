"""What the emulator tells a task's supervisor: the containers to run, and how. Plain data, JSON on the wire."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self

from outrig.local.channel import Document

Condition = Literal["START", "HEALTHY", "COMPLETE", "SUCCESS"]


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """A probe run inside the container; durations in seconds, defaults of ECS."""

    command: list[str]
    interval: float = 30
    timeout: float = 5
    retries: int = 3
    start_period: float = 0


@dataclass(frozen=True, slots=True)
class Await:
    """What says that a long-running process is ready: a file that exists, or a URL that answers 2xx inside."""

    file: str | None = None
    http: str | None = None


@dataclass(frozen=True, slots=True)
class Publication:
    """A port of the task served on a listener that the launcher bound in the host; `listener` is inherited."""

    listener: int
    port: int


@dataclass(frozen=True, slots=True)
class ContainerOrder:
    """One container as a process. `depends_on` holds (container, condition) pairs; timeouts are in seconds.

    `start_timeout` is how long others wait for it to be where they want it; `None` is for ever.
    """

    name: str
    command: list[str]
    environment: dict[str, str]
    log: str
    user: str = ""
    directory: str = "/"
    essential: bool = True
    start_timeout: float | None = None
    stop_timeout: float = 30
    depends_on: list[tuple[str, Condition]] = field(default_factory=list)
    health: HealthCheck | None = None


@dataclass(frozen=True, slots=True)
class LaunchOrder:
    """A task for the zygote to fork. In its private view of files `hidden` is empty, but `visible` paths stay."""

    key: str
    address: str
    hostname: str
    region: str
    containers: list[ContainerOrder]
    hidden: str
    visible: list[str] = field(default_factory=list)
    restart: bool = False
    publish: list[Publication] = field(default_factory=list)
    ready: Await | None = None

    def encode(self) -> Document:
        return asdict(self)

    @classmethod
    def decode(cls, document: Any) -> Self:  # JSON of our own making, from the other end of a private socket
        containers = [_container(container) for container in document["containers"]]
        publish = [Publication(**entry) for entry in document["publish"]]
        ready = Await(**document["ready"]) if document["ready"] else None
        return cls(**{**document, "containers": containers, "publish": publish, "ready": ready})


def _container(document: Any) -> ContainerOrder:
    health = HealthCheck(**document["health"]) if document["health"] else None
    depends_on = [(name, condition) for name, condition in document["depends_on"]]
    return ContainerOrder(**{**document, "health": health, "depends_on": depends_on})
