"""How a service's deployments fare: completed, failed, rolled back; and the events that say so, in ECS's words.

In: a service and its tasks, after each step of its plan.  Out: the service's deployments, status and events, changed.
No I/O.
"""

import math
from collections.abc import Sequence

from outrig.local.services import Deployment, Service
from outrig.local.tasks import Task

_THROTTLED = 3
_INCONSISTENT = "is unable to consistently start tasks successfully."
_FAILED = "tasks failed to start."
_BLOCKED = (
    "was unable to stop or start tasks during a deployment because of the service deployment configuration. "
    "Update the minimumHealthyPercent or maximumPercent value and try again."
)


def threshold(desired: int) -> int:
    """How many failed tasks trip the circuit breaker: half of the desired count, at least 3, at most 200."""
    return min(max(3, math.ceil(desired / 2)), 200)


def say_started(service: Service, tasks: Sequence[Task]) -> None:
    """Tell of tasks just started; one that could not start at all is told with its reason."""
    for task in tasks:
        if task.last_status == "STOPPED":
            service.say(f"failed to launch a task with (error {task.stopped_reason}).")
    started = [task for task in tasks if task.last_status != "STOPPED"]
    if started:
        service.say(f"has started {len(started)} tasks: {_names(started)}.")


def say_stopped(service: Service, tasks: Sequence[Task]) -> None:
    for task in tasks:
        if task.unhealthy:
            service.say(f"(task {task.id}) failed container health checks.")
    if tasks:
        service.say(f"has stopped {len(tasks)} running tasks: {_names(tasks)}.")


def settle(service: Service, tasks: Sequence[Task], *, stuck: bool) -> None:
    """Note where the service has come to: a deployment's end, its failure, a steady state, its own end."""
    service.forget_empty_deployments(tasks)
    alive = [task for task in tasks if task.last_status != "STOPPED"]
    if service.status == "DRAINING":
        service.status = "DRAINING" if alive else "INACTIVE"
        return
    primary = service.primary
    if primary.rollout == "IN_PROGRESS" and service.breaker.enable:
        _break_circuit(service, primary)
    if stuck:
        service.say(_BLOCKED)
    if primary.failures_in_a_row >= _THROTTLED and primary.rollout != "FAILED":
        service.say(_INCONSISTENT)
    if len(alive) == service.desired == sum(task.counted and _of(primary, task) for task in alive):
        _complete(service, primary)
        service.say("has reached a steady state.")


def _complete(service: Service, primary: Deployment) -> None:
    if primary.rollout == "COMPLETED":
        return
    primary.turn("COMPLETED", f"ECS deployment {primary.id} completed.")
    service.last_completed = primary
    service.say(f"(deployment {primary.id}) deployment completed.")


def _break_circuit(service: Service, failed: Deployment) -> None:
    if failed.failed_tasks < threshold(service.desired):
        return
    failed.turn("FAILED", f"ECS deployment circuit breaker: {_FAILED}")
    service.say(f"(deployment {failed.id}) deployment failed: {_FAILED}")
    good = service.last_completed
    if good is None or good is failed or not service.breaker.rollback:
        return
    service.deployments = [good, *(one for one in service.deployments if one is not good)]
    good.task_lived()
    good.turn("IN_PROGRESS", f"ECS deployment circuit breaker: rolling back to deploymentId {good.id}.")
    service.say(f"rolling back to deployment {good.id}.")


def _of(deployment: Deployment, task: Task) -> bool:
    return task.request.deployment == deployment.id


def _names(tasks: Sequence[Task]) -> str:
    return " ".join(f"(task {task.id})" for task in tasks)
