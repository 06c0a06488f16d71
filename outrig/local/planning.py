"""What a service does next: how many tasks to start, and which to stop. No I/O: time comes as an argument.

In: a service and its tasks.  Out: a `Plan` that keeps to `deploymentConfiguration` at every moment: stopping never
takes the tasks that serve below the minimum, starting never takes those that are to run above the maximum.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from outrig.local.services import Service
from outrig.local.spreading import surplus
from outrig.local.tasks import Task


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now: how many tasks of the primary deployment to start, and which tasks to stop.

    `stuck` says that neither is possible although tasks are to be replaced: the percentages leave no room.
    """

    start: int
    stop: list[Task]
    stuck: bool = False


def plan(service: Service, tasks: Sequence[Task], *, now: float) -> Plan:
    """The next step. New tasks come before old or unhealthy ones leave, which they do as new ones serve.

    Where the maximum leaves no room for new ones, old ones that serve leave first, as far as the minimum allows. What
    serves nobody never blocks: starting tasks of an older deployment go at once, unhealthy ones where room is needed.
    """
    live = [task for task in tasks if task.desired_status == "RUNNING"]
    sound = [task for task in live if _is_new(service, task) and not task.unhealthy]
    superseded = [task for task in live if not _is_new(service, task) and not task.serving and not task.unhealthy]
    missing = max(0, service.desired - len(sound)) if service.primary.rollout != "FAILED" else 0
    room = service.desired * service.maximum_percent // 100 - len(live)
    start = max(0, min(missing, room)) if now >= service.primary.retry_at else 0
    excess = surplus(sound, max(0, len(sound) - service.desired))
    leaving = excess + superseded
    serving = sum(task.counted for task in live)
    leaving += _replaced(service, live, serving=serving, wanted=max(0, missing - room - len(leaving)))
    stuck = missing > 0 and room <= 0 and not leaving and len(live) >= service.desired
    return Plan(start, leaving, stuck)


def minimum_serving(service: Service) -> int:
    """How many tasks a deployment has to leave serving: a percentage of the desired count, rounded up."""
    return math.ceil(service.desired * service.minimum_percent / 100)


def _replaced(service: Service, live: Sequence[Task], *, serving: int, wanted: int) -> list[Task]:
    """Unhealthy tasks and serving ones of older deployments that can go; `wanted` is the room that new ones lack."""
    sick = [task for task in live if task.unhealthy]
    old = [task for task in live if task.counted and not _is_new(service, task)]
    enough = serving >= service.desired
    gone = sick if enough else sick[:wanted]
    spare = max(0, serving - minimum_serving(service))
    return gone + old[: min(spare, max(0, serving - service.desired) + max(0, wanted - len(gone)))]


def _is_new(service: Service, task: Task) -> bool:
    return task.request.deployment == service.primary.id
