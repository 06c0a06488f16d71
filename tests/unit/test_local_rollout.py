"""How deployments fare, and the events that say so."""

import pytest

from outrig.local.planning import plan
from outrig.local.rollout import say_started, say_stopped, settle, threshold
from outrig.local.services import CircuitBreaker, Deployment, Service
from outrig.local.tasks import Task
from tests.unit.test_local_services import DEFINITION, a_service, a_task


def told(service: Service) -> list[str]:
    """The events, oldest first, without the service's name."""
    return [text.removeprefix("(service web) ") for _, _, text in reversed(service.events)]


def a_completed_service(desired: int = 1) -> tuple[Service, list[Task]]:
    service = a_service(desired)
    tasks = [a_task(service, service.primary) for _ in range(desired)]
    settle(service, tasks, stuck=False)
    return service, tasks


def failing(service: Service, times: int) -> Deployment:
    """A new deployment of which that many tasks have failed."""
    service.deployments.insert(0, Deployment(DEFINITION))
    for _ in range(times):
        service.primary.task_ended_early(now=0)
    return service.primary


def test_a_deployment_is_complete_when_all_its_tasks_and_no_others_are_there() -> None:
    service, (old,) = a_completed_service()
    assert service.primary.rollout == "COMPLETED"
    service.deployments.insert(0, Deployment(DEFINITION))
    new = a_task(service, service.primary)
    settle(service, [old, new], stuck=False)
    assert service.primary.rollout == "IN_PROGRESS"
    old.begin_stopping("", "")
    settle(service, [old, new], stuck=False)
    assert service.primary.rollout == "IN_PROGRESS"
    old.finish()
    settle(service, [old, new], stuck=False)
    assert (service.primary.rollout, len(service.deployments)) == ("COMPLETED", 1)
    assert told(service)[-2:] == [
        f"(deployment {service.primary.id}) deployment completed.",
        "has reached a steady state.",
    ]


def test_a_task_that_has_only_just_started_completes_nothing() -> None:
    service = a_service(1)
    task = a_task(service, service.primary)
    task.proven = False
    settle(service, [task], stuck=False)
    assert (service.primary.rollout, told(service)) == ("IN_PROGRESS", [])


@pytest.mark.parametrize(("desired", "failures"), [(0, 3), (1, 3), (7, 4), (8, 4), (1000, 200)])
def test_the_circuit_breaks_at_half_the_desired_count_within_bounds(desired: int, failures: int) -> None:
    assert threshold(desired) == failures


@pytest.mark.parametrize(
    ("breaker", "failures", "rollout"),
    [
        (CircuitBreaker(), 99, "IN_PROGRESS"),
        (CircuitBreaker(enable=True), 2, "IN_PROGRESS"),
        (CircuitBreaker(enable=True), 3, "FAILED"),
    ],
)
def test_without_a_rollback_a_failed_deployment_stays_and_starts_nothing(
    breaker: CircuitBreaker, failures: int, rollout: str
) -> None:
    service, tasks = a_completed_service()
    service.breaker = breaker
    failed = failing(service, failures)
    settle(service, tasks, stuck=False)
    assert (service.primary, failed.rollout) == (failed, rollout)
    assert plan(service, tasks, now=1e9).start == (0 if rollout == "FAILED" else 1)
    assert plan(service, tasks, now=1e9).stop == []


def test_a_rollback_brings_back_the_last_deployment_that_completed_even_if_its_tasks_are_gone() -> None:
    service, (task,) = a_completed_service()
    good, service.breaker = service.primary, CircuitBreaker(enable=True, rollback=True)
    failed = failing(service, 3)
    task.begin_stopping("", "")
    task.finish()
    settle(service, [task], stuck=False)
    assert service.deployments == [good, failed]
    assert good.rollout_reason == f"ECS deployment circuit breaker: rolling back to deploymentId {good.id}."
    assert told(service)[-2:] == [
        f"(deployment {failed.id}) deployment failed: tasks failed to start.",
        f"rolling back to deployment {good.id}.",
    ]
    assert plan(service, [task], now=0).start == 1
    for _ in range(3):
        good.task_ended_early(now=0)
    settle(service, [task], stuck=False)
    assert (service.primary, good.rollout) == (good, "FAILED")


def test_a_success_between_failures_starts_the_count_anew() -> None:
    service, tasks = a_completed_service()
    service.breaker = CircuitBreaker(enable=True)
    failing(service, 2).task_lived()
    service.primary.task_ended_early(now=0)
    settle(service, tasks, stuck=False)
    assert service.primary.rollout == "IN_PROGRESS"


def test_tasks_that_keep_failing_are_told_of_once_until_something_else_happens() -> None:
    service, tasks = a_completed_service()
    failing(service, 0)
    for now in (0, 100, 200):
        service.primary.task_ended_early(now=now)
        settle(service, tasks, stuck=False)
    settle(service, tasks, stuck=False)
    assert told(service).count("is unable to consistently start tasks successfully.") == 1


def test_events_name_tasks_together_and_give_the_reason_of_those_that_could_not_start() -> None:
    service = a_service(3)
    one, two, broken = (a_task(service, service.primary) for _ in range(3))
    broken.begin_stopping("CannotPullContainerError: no", "TaskFailedToStart")
    broken.finish()
    say_started(service, [one, two, broken])
    say_stopped(service, [one])
    say_started(service, [])
    assert told(service) == [
        "failed to launch a task with (error CannotPullContainerError: no).",
        f"has started 2 tasks: (task {one.id}) (task {two.id}).",
        f"has stopped 1 running tasks: (task {one.id}).",
    ]


def test_a_drained_service_is_inactive_once_its_tasks_are_gone() -> None:
    service, (task,) = a_completed_service()
    service.status = "DRAINING"
    settle(service, [task], stuck=False)
    assert service.status == "DRAINING"
    task.finish()
    settle(service, [task], stuck=False)
    assert service.status == "INACTIVE"
