"""Which container of a task is meant when nobody says: the application, not what stands beside it.

In: the task's group (`service:NAME` or `family:NAME`) and its containers in order. Out: one of them.
"""

from collections.abc import Sequence


def meant(group: str, containers: Sequence[str]) -> str:
    """The container named like the service, else the first."""
    name = group.partition(":")[2]
    return name if name in containers else containers[0]


def is_clear(group: str, containers: Sequence[str]) -> bool:
    """Whether there is no doubt about it."""
    return len(containers) == 1 or group.partition(":")[2] in containers


def beside(container: str, others: Sequence[str]) -> str:
    """What to tell somebody for whom the container was chosen."""
    return f"container {container}; --container chooses another: {', '.join(others)}"
