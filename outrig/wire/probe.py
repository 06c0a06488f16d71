"""The readiness probes that a joining workload is given: one for a task, with exactly one method, or one for each port.

Defaults are filled in already. An empty host means the workload itself.
"""

from dataclasses import dataclass

from outrig.wire.codec import WireError

LONGEST = 86_400.0  # seconds between two probes of a port, and for one of them


@dataclass(frozen=True, slots=True)
class Header:
    """A header to send."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class HttpGet:
    """Healthy: a status from 200 to 399. `tls`: over TLS, without verification."""

    port: int
    path: str
    host: str = ""
    tls: bool = False
    headers: tuple[Header, ...] = ()


@dataclass(frozen=True, slots=True)
class TcpSocket:
    """Healthy: the connection opens."""

    port: int
    host: str = ""


@dataclass(frozen=True, slots=True)
class Exec:
    """Healthy: the command, run beside the agent, ends with status 0."""

    command: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Grpc:
    """Healthy: `grpc.health.v1.Health/Check` answers SERVING for `service`."""

    port: int
    service: str = ""


Method = HttpGet | TcpSocket | Exec | Grpc


@dataclass(frozen=True, slots=True)
class Probe:
    """Times in seconds. Thresholds: tries in a row until the application counts as healthy, or as unhealthy.

    Raises WireError for a probe without a method or with several, and for numbers that mean nothing.
    """

    initial_delay: int
    period: int
    timeout: int
    success_threshold: int
    failure_threshold: int
    http_get: HttpGet | None = None
    tcp_socket: TcpSocket | None = None
    exec: Exec | None = None
    grpc: Grpc | None = None

    def __post_init__(self) -> None:
        given = [method for method in self._methods if method is not None]
        if len(given) != 1 or (self.exec and not self.exec.command):
            raise WireError("probe: expected exactly one method")
        if self.initial_delay < 0 or min(self.period, self.timeout, self.success_threshold, self.failure_threshold) < 1:
            raise WireError("probe: expected positive times and thresholds")

    @property
    def method(self) -> Method:
        """The one that is given."""
        return next(method for method in self._methods if method is not None)

    @property
    def _methods(self) -> tuple[Method | None, ...]:
        return (self.http_get, self.tcp_socket, self.exec, self.grpc)


@dataclass(frozen=True, slots=True)
class PortProbe:
    """Whether the application behind one inbound accepts TCP connections, at `host` and `target_port`.

    `port` is the inbound's, by which it is reported. `interval`, `timeout`: seconds. Thresholds: tries in a row until
    the inbound counts as healthy, or as unhealthy; it starts as unhealthy. Raises WireError for numbers that mean
    nothing.
    """

    port: int
    host: str
    target_port: int
    interval: float
    timeout: float
    healthy_threshold: int
    unhealthy_threshold: int

    def __post_init__(self) -> None:
        times_fit = 0 < self.interval < LONGEST and 0 < self.timeout < LONGEST
        if not times_fit or min(self.healthy_threshold, self.unhealthy_threshold) < 1:
            raise WireError("probes: expected positive times, under a day, and positive thresholds")
