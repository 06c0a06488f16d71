"""Tasks spread over availability zones: where the next one goes, and which leave first, so that zones stay even.

In: a service's networks and tasks.  Out: a choice. No I/O.
"""

from collections import Counter
from collections.abc import Sequence

from outrig.local.services import Network
from outrig.local.tasks import Task


def emptiest(networks: Sequence[Network], tasks: Sequence[Task], *, service: str, deployment: str) -> Network:
    """The network of the zone with the fewest tasks of the deployment, then of the service, then of all; then the
    emptiest subnet.

    `tasks` are all there are; what is stopping does not count. The deployment comes first so that a rolling one ends
    as evenly spread as it began.
    """
    live = [task for task in tasks if task.desired_status == "RUNNING"]
    own = Counter(task.attachment.zone for task in live if task.request.deployment == deployment)
    zones = Counter(task.attachment.zone for task in live if task.request.service == service)
    everybody = Counter(task.attachment.zone for task in live)
    subnets = Counter(task.attachment.subnet for task in live)
    return min(networks, key=lambda one: (own[one.zone], zones[one.zone], everybody[one.zone], subnets[one.subnet]))


def surplus(tasks: Sequence[Task], count: int) -> list[Task]:
    """`count` tasks to stop: those that do not serve, then the oldest of whichever zone has most."""
    left, leaving = list(tasks), []
    for _ in range(min(count, len(left))):
        zones = Counter(task.attachment.zone for task in left)
        first = min(left, key=lambda task: (task.counted, task.serving, -zones[task.attachment.zone]))
        left.remove(first)
        leaving.append(first)
    return leaving
