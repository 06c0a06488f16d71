"""Whatever happens to a service's tasks, its plan keeps to the percentages, and it gets there."""

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from outrig.local.definition import ContainerDefinition, Definition
from outrig.local.orders import HealthCheck
from outrig.local.planning import minimum_serving, plan
from outrig.local.services import Deployment, Network, Service
from outrig.local.tasks import Attachment, Place, Request, Task, TaskContainer

PLACE = Place("123456789012", "us-east-1", "demo")
CONTAINER = ContainerDefinition(
    name="app", image="idle", essential=True, entrypoint=None, command=None, environment={}, user="", directory="/",
    stop_timeout=30, depends_on=[], health=HealthCheck(["CMD", "true"]), cpu="0", memory=None, labels={},
)  # fmt: skip
DEFINITION = Definition("arn:d", "app", 1, (CONTAINER,), None, "256", "512")


@dataclass
class World:
    """A service and its tasks, with the scheduler's bounds checked at every step."""

    service: Service
    tasks: list[Task] = field(default_factory=list)

    def live(self) -> list[Task]:
        return [task for task in self.tasks if task.desired_status == "RUNNING"]

    def serving(self) -> int:
        return sum(task.serving for task in self.tasks)

    def step(self) -> bool:
        """Follow the plan once, stopping before starting; whether it did anything."""
        service, serving = self.service, self.serving()
        wanted = plan(service, self.tasks, now=0)
        for task in wanted.stop:
            assert task.desired_status == "RUNNING"
            task.begin_stopping("", "")
        assert self.serving() >= min(serving, minimum_serving(service))
        live = len(self.live())
        for _ in range(wanted.start):
            self.start()
        assert len(self.live()) <= max(live, service.desired * service.maximum_percent // 100)
        return bool(wanted.start or wanted.stop)

    def start(self) -> None:
        request = Request("service:web", service=self.service.arn, deployment=self.service.primary.id)
        task = Task(PLACE, DEFINITION, Attachment("10.7.1.1", "us-east-1a", "subnet-1"), request)
        task.containers = [TaskContainer(CONTAINER)]
        task.last_status = "PENDING"
        self.tasks.append(task)

    def happen(self, event: str, number: int) -> None:
        service, live = self.service, self.live()
        match event:
            case "deploy":
                service.deployments.insert(0, Deployment(DEFINITION))
            case "scale":
                service.desired = number % 8
            case _ if live:
                befall(live[number % len(live)], event)


def befall(task: Task, event: str) -> None:
    match event:
        case "healthy" | "sick":
            task.last_status = "RUNNING"
            task.containers[0].health = "HEALTHY" if event == "healthy" else "UNHEALTHY"
        case "die":
            task.begin_stopping("", "")


PERCENTAGES = st.sampled_from([(100, 200), (0, 100), (50, 200), (50, 150), (50, 100), (100, 150), (0, 200), (75, 125)])
EVENTS = st.lists(
    st.tuples(st.sampled_from(["healthy", "healthy", "sick", "die", "deploy", "scale"]), st.integers(0, 50)),
    max_size=30,
)


def a_world(desired: int, percentages: tuple[int, int]) -> World:
    service = Service(PLACE, "web", desired, [Deployment(DEFINITION)], [Network("subnet-1", "us-east-1a")])
    service.minimum_percent, service.maximum_percent = percentages
    return World(service)


def after(events: list[tuple[str, int]], desired: int, percentages: tuple[int, int]) -> World:
    """A world to which all that has happened, with a step of the plan before each; the step itself checks bounds."""
    world = a_world(desired, percentages)
    for event, number in events:
        world.step()
        world.happen(event, number)
    return world


@settings(deadline=None)
@given(st.integers(0, 7), PERCENTAGES, EVENTS)
def test_a_plan_never_goes_below_the_minimum_or_above_the_maximum(
    desired: int, percentages: tuple[int, int], events: list[tuple[str, int]]
) -> None:
    after(events, desired, percentages)  # every step of the way asserts both


def settle_down(world: World) -> None:
    """Follow the plan, with every task becoming healthy, until there is nothing left to do."""
    for _ in range(60):
        moved = world.step()
        starting = [task for task in world.live() if not task.serving and not task.unhealthy]
        for task in starting:
            befall(task, "healthy")
        if not moved and not starting:
            return


@settings(deadline=None)
@given(st.integers(0, 7), PERCENTAGES, EVENTS)
def test_once_tasks_become_healthy_only_as_many_as_wanted_of_the_newest_deployment_remain(
    desired: int, percentages: tuple[int, int], events: list[tuple[str, int]]
) -> None:
    world = after(events, desired, percentages)
    service = world.service
    if minimum_serving(service) >= service.desired * service.maximum_percent // 100 > 0:
        return  # such percentages let nothing be replaced: the plan says so, which the next test shows
    for _ in range(2):
        settle_down(world)
        assert [task.request.deployment for task in world.live()] == [service.primary.id] * service.desired
        assert world.serving() == service.desired
        world.happen("deploy", 0)


def test_percentages_that_leave_no_room_are_said_to_be_stuck() -> None:
    world = a_world(1, (50, 100))
    world.step()
    befall(world.tasks[0], "healthy")
    world.happen("deploy", 0)
    step = plan(world.service, world.tasks, now=0)
    assert (step.start, step.stop, step.stuck) == (0, [], True)
