"""Whether this workload may take calls, decided from what was seen. Pure.

Ready is: Envoy has its configuration from the control plane, its inbound listeners are open, the application is
healthy by its probe (without one: accepts connections where Envoy will forward to), and ECS calls no container of
the task unhealthy. Once that was so, losing the control plane changes nothing: the last good configuration serves on.
"""

from dataclasses import dataclass

from outrig.wire.stream import State


@dataclass(frozen=True, slots=True)
class Listener:
    """A listener as Envoy has it. `active`: warmed and open. `refused`: why Envoy did not accept it, or empty."""

    name: str
    inbound: bool
    active: bool
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Fitness:
    """What is known of the application. `problem`: why it cannot take calls, in words.

    `unproven`: what it has yet to show. That keeps a workload from getting ready, and takes nothing from a ready one.
    `unready_ports`: inbounds whose own probes do not succeed, in ascending order; the others are not touched by them.
    """

    problem: str = ""
    unproven: str = ""
    unready_ports: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Observed:
    """What was seen of the sidecar. `silent`: Envoy runs, but has not answered for too long."""

    running: bool
    silent: bool = False
    workers_started: bool = False
    connected: bool = False
    configured: bool = False
    listeners: tuple[Listener, ...] = ()
    fitness: Fitness = Fitness()

    @property
    def inbound(self) -> tuple[Listener, ...]:
        """The listeners on which peers call."""
        return tuple(listener for listener in self.listeners if listener.inbound)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The workload's state, and one line that says why it is not ready. `unready_ports`: see `Fitness`."""

    state: State
    reason: str = ""
    unready_ports: tuple[int, ...] = ()

    def __str__(self) -> str:
        return f"{self.state}: {self.reason}" if self.reason else str(self.state)


def judge(before: State, seen: Observed) -> Verdict:
    """The state after a look. What was ready once and is not now is unhealthy, not starting; draining is final."""
    if before is State.DRAINING:
        return Verdict(State.DRAINING)
    reason = _lost(seen) if before is State.READY else _missing(seen, first=before is State.STARTING)
    worse = State.STARTING if before is State.STARTING else State.UNHEALTHY
    return Verdict(worse if reason else State.READY, reason, seen.fitness.unready_ports)


def _missing(seen: Observed, *, first: bool) -> str:
    """What is wanting before the workload may take calls."""
    if stopped := _stopped(seen):
        return stopped
    for listener in seen.listeners:
        if listener.refused and not listener.active:
            return f"Envoy refused listener {listener.name}: {listener.refused}"
    if not seen.configured or (first and not seen.connected):
        return "Envoy waits for its configuration from the control plane"
    if not seen.workers_started:
        return "Envoy waits for a part of its configuration"
    if late := next((listener.name for listener in seen.inbound if not listener.active), ""):
        return f"listener {late} is not open yet"
    return seen.fitness.problem or seen.fitness.unproven


def _lost(seen: Observed) -> str:
    """What a ready workload can no longer do. A change that Envoy refuses or still warms takes nothing from it."""
    if stopped := _stopped(seen):
        return stopped
    if seen.inbound and not any(listener.active for listener in seen.inbound):
        return "no inbound listener is open"
    return seen.fitness.problem


def _stopped(seen: Observed) -> str:
    if not seen.running:
        return "Envoy is not running"
    return "Envoy does not answer" if seen.silent else ""
