"""Tasks are spread over zones by a choice without I/O."""

from collections import Counter

from outrig.local.definition import Definition
from outrig.local.services import Network
from outrig.local.spreading import emptiest, surplus
from outrig.local.tasks import Attachment, Place, Request, Task

PLACE = Place("123456789012", "us-east-1", "demo")
DEFINITION = Definition(
    arn="arn:d", family="web", revision=1, containers=(), role_arn=None, cpu="256", memory="512"
)  # fmt: skip
A1, A2, B = Network("a1", "zone-a"), Network("a2", "zone-a"), Network("b", "zone-b")


def a_task(network: Network, deployment: str = "new", status: str = "RUNNING", service: str = "web") -> Task:
    attachment = Attachment("10.7.1.1", network.zone, network.subnet)
    task = Task(PLACE, DEFINITION, attachment, Request("service:web", deployment=deployment, service=service))
    task.last_status = status
    return task


def started(count: int, networks: list[Network], *others: Task) -> list[Task]:
    """The tasks of a deployment that starts `count` one after the other."""
    tasks = list(others)
    for _ in range(count):
        tasks.append(a_task(emptiest(networks, tasks, service="web", deployment="new")))
    return tasks[len(others) :]


def zones(tasks: list[Task]) -> Counter[str]:
    return Counter(task.attachment.zone for task in tasks)


def test_each_task_goes_to_the_zone_with_the_fewest_and_there_to_the_emptiest_subnet() -> None:
    tasks = started(4, [A1, A2, B])
    assert zones(tasks) == {"zone-a": 2, "zone-b": 2}
    assert Counter(task.attachment.subnet for task in tasks) == {"a1": 1, "a2": 1, "b": 2}


def test_a_replacement_goes_where_the_lost_task_was() -> None:
    tasks = started(3, [A1, B])
    tasks[1].begin_stopping("gone", "EssentialContainerExited")
    assert emptiest([A1, B], tasks, service="web", deployment="new") == B


def test_a_rolling_deployment_ends_as_even_as_it_began() -> None:
    old = [a_task(A1, "old"), a_task(B, "old")]
    (first,) = started(1, [A1, B], *old)
    old[0].begin_stopping("replaced", "ServiceSchedulerInitiated")
    assert emptiest([A1, B], [*old, first], service="web", deployment="new").zone != first.attachment.zone


def test_a_deployment_of_one_prefers_the_zone_without_tasks_of_the_service() -> None:
    assert emptiest([A1, A2, B], [a_task(A2, "old")], service="web", deployment="new") == B


def test_the_only_task_of_a_service_goes_where_others_have_fewest() -> None:
    assert emptiest([A1, B], [a_task(A1, "other", service="details")], service="web", deployment="new") == B


def test_tasks_leave_the_fullest_zone_first_and_the_oldest_there() -> None:
    tasks = [a_task(A1), a_task(A1), a_task(A1), a_task(B)]
    assert surplus(tasks, 2) == tasks[:2]
    assert zones([task for task in tasks if task not in surplus(tasks, 2)]) == {"zone-a": 1, "zone-b": 1}
    assert surplus(tasks, 9) == [*tasks[:2], tasks[2], tasks[3]]


def test_what_does_not_serve_leaves_before_zones_are_looked_at() -> None:
    tasks = [a_task(A1), a_task(A1), a_task(B, status="PENDING")]
    assert surplus(tasks, 1) == [tasks[2]]
