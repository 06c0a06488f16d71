"""What a service does next is decided without I/O."""

import pytest

from outrig.local.definition import ContainerDefinition, Definition
from outrig.local.planning import plan
from outrig.local.services import Deployment, Network, Service, pause_after
from outrig.local.tasks import Attachment, Place, Request, Task, TaskContainer

PLACE = Place("123456789012", "us-east-1", "demo")
CONTAINER = ContainerDefinition(
    name="app", image="idle", essential=True, entrypoint=None, command=None, environment={}, user="", directory="/",
    stop_timeout=30, depends_on=[], health=None, cpu="0", memory=None, labels={},
)  # fmt: skip
DEFINITION = Definition("arn:d", "app", 1, (CONTAINER,), None, "256", "512")


def a_service(desired: int, **settings: int) -> Service:
    return Service(PLACE, "web", desired, [Deployment(DEFINITION)], [Network("subnet-1", "us-east-1a")], **settings)


def a_task(service: Service, deployment: Deployment, status: str = "RUNNING") -> Task:
    request = Request("service:web", service=service.arn, deployment=deployment.id)
    task = Task(PLACE, DEFINITION, Attachment("10.7.1.1", "us-east-1a", "subnet-1"), request)
    task.containers = [TaskContainer(CONTAINER)]
    task.last_status, task.proven = status, True
    return task


def test_missing_tasks_are_started_and_surplus_ones_stopped_pending_first() -> None:
    service = a_service(2)
    running = a_task(service, service.primary)
    assert plan(service, [running], now=0).start == 1
    pending = a_task(service, service.primary, "PENDING")
    service.desired = 1
    step = plan(service, [running, pending], now=0)
    assert (step.start, step.stop) == (0, [pending])


def test_new_tasks_come_before_old_ones_leave() -> None:
    service = a_service(1)
    old = a_task(service, service.primary)
    service.deployments.insert(0, Deployment(DEFINITION))
    first = plan(service, [old], now=0)
    assert (first.start, first.stop) == (1, [])
    new = a_task(service, service.primary, "PENDING")
    assert plan(service, [old, new], now=0).stop == []
    new.last_status = "RUNNING"
    assert plan(service, [old, new], now=0).stop == [old]


def test_the_maximum_percent_bounds_what_is_alive() -> None:
    service = a_service(2, minimum_percent=0, maximum_percent=100)
    old = [a_task(service, service.primary) for _ in range(2)]
    service.deployments.insert(0, Deployment(DEFINITION))
    step = plan(service, old, now=0)
    assert (step.start, step.stop) == (0, old)


def test_old_tasks_stay_while_there_is_room_for_new_ones_whatever_the_minimum() -> None:
    service = a_service(4, minimum_percent=0, maximum_percent=200)
    old = [a_task(service, service.primary) for _ in range(4)]
    service.deployments.insert(0, Deployment(DEFINITION))
    step = plan(service, old, now=0)
    assert (step.start, step.stop) == (4, [])


def test_starting_tasks_of_a_deployment_that_was_overtaken_go_at_once() -> None:
    service = a_service(1)
    serving = a_task(service, service.primary)
    service.deployments.insert(0, Deployment(DEFINITION))
    starting = a_task(service, service.primary, "PENDING")
    service.deployments.insert(0, Deployment(DEFINITION))
    assert plan(service, [serving, starting], now=0).stop == [starting]


def test_a_task_that_has_only_just_started_replaces_nobody() -> None:
    service = a_service(1)
    old = a_task(service, service.primary)
    service.deployments.insert(0, Deployment(DEFINITION))
    new = a_task(service, service.primary)
    new.proven = False
    assert plan(service, [old, new], now=0).stop == []


def test_no_task_is_started_before_its_back_off_ends() -> None:
    service = a_service(1)
    for _ in range(3):
        service.primary.task_ended_early(now=100)
    retry_at = service.primary.retry_at
    assert retry_at > 100
    assert plan(service, [], now=100).start == 0
    assert plan(service, [], now=retry_at).start == 1


def test_tasks_that_end_together_are_one_failure() -> None:
    service = a_service(50)
    for _ in range(50):
        service.primary.task_ended_early(now=100)
    assert service.primary.failed_tasks == 50
    assert service.primary.retry_at - 100 <= pause_after(2)


def test_the_pause_grows_to_a_minute_and_the_first_replacement_is_immediate() -> None:
    pauses = [pause_after(failures) for failures in range(1, 20)]
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (0, 60)


@pytest.mark.parametrize("desired", [0, 1, 3])
def test_a_plan_followed_to_its_end_has_as_many_tasks_as_wanted(desired: int) -> None:
    service = a_service(desired)
    tasks = [a_task(service, service.primary) for _ in range(2)]
    service.deployments.insert(0, Deployment(DEFINITION))
    for _ in range(10):
        step = plan(service, tasks, now=0)
        tasks = [task for task in tasks if task not in step.stop]
        tasks += [a_task(service, service.primary) for _ in range(step.start)]
    assert [task.request.deployment for task in tasks] == [service.primary.id] * desired
