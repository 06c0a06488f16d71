"""What ECS says of the health of this task's other containers, from their own health checks.

The task metadata endpoint is asked every few seconds. The agent's own container does not count: its health check may
ask whether the workload is ready. While the endpoint is away, what was known last holds.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from outrig.agent.problems import TaskEndpointFailed
from outrig.agent.setup import TaskAddress
from outrig.agent.task import fetch_metadata

_UNHEALTHY = "UNHEALTHY"
_log = logging.getLogger(__name__)


class Containers:
    """The containers that ECS calls unhealthy, by name; `on_news` is called whenever that changes."""

    def __init__(self, task: TaskAddress, on_news: Callable[[], None], *, every: float) -> None:
        self._task, self._on_news, self._every = task, on_news, every
        self._own: Mapping[str, Any] | None = None
        self._silent = False
        self.unhealthy: tuple[str, ...] = ()

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            try:
                await self._look()
                self._silent = False
            except TaskEndpointFailed as error:
                if not self._silent:
                    _log.warning("%s; the health of containers stays as it was last known", error)
                self._silent = True
            await asyncio.sleep(self._every)

    async def _look(self) -> None:
        if self._own is None:
            self._own = await fetch_metadata(self._task)
        found = unhealthy(await fetch_metadata(self._task, "/task"), self._own)
        if found != self.unhealthy:
            self.unhealthy = found
            self._on_news()


def unhealthy(task: Mapping[str, Any], own: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the containers of a task that are UNHEALTHY, but for `own`. Both are documents of the endpoint.

    One that has stopped has no health any more, whatever was said of it last.
    """
    listed = task.get("Containers")
    containers = [one for one in listed if isinstance(one, Mapping)] if isinstance(listed, list) else []
    return tuple(sorted(str(one.get("Name", "?")) for one in containers if _is_unhealthy(one) and not _same(one, own)))


def _is_unhealthy(container: Mapping[str, Any]) -> bool:
    health = container.get("Health")
    running = container.get("KnownStatus") != "STOPPED"
    return running and isinstance(health, Mapping) and health.get("status") == _UNHEALTHY


def _same(container: Mapping[str, Any], own: Mapping[str, Any]) -> bool:
    return any(own.get(name) and container.get(name) == own.get(name) for name in ("DockerId", "ContainerARN"))
