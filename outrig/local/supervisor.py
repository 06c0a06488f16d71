"""PID 1 of a task: starts its containers in order, watches them, and ends them as ECS does.

In: a `LaunchOrder` and a channel to the emulator.  Out: events on the channel, exit codes among them.  When this
process ends, for whatever reason, the kernel ends whatever is left in the task's PID namespace.
"""

import asyncio
import signal
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import cast

from outrig.kit.aio import jittered_backoff
from outrig.local.awaiting import wait_ready
from outrig.local.channel import Channel, Document, close_all
from outrig.local.container import Container, DependencyFailed
from outrig.local.execution import execute
from outrig.local.orders import LaunchOrder
from outrig.local.process import Children
from outrig.local.pump import serve_published

ESSENTIAL_EXITED = "Essential container in task exited"
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 10.0


def supervise(order: LaunchOrder, channel: Channel, logs: Mapping[str, int]) -> None:
    """Run the task to its end. Returns when all its containers have ended, or the emulator is gone.

    `logs` are descriptors, by container: the files they lead to cannot be seen from in here.
    """
    asyncio.run(Supervisor(order, channel, logs).run())


class Supervisor:
    """One task while it lives. `run()` returns when the task has stopped."""

    def __init__(self, order: LaunchOrder, channel: Channel, logs: Mapping[str, int]) -> None:
        self._order = order
        self._logs = logs
        self._channel = channel
        self._containers: dict[str, Container] = {}
        self._stopping = asyncio.Event()
        self._work: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        children = Children()
        self._containers = {
            container.name: Container(container, self._logs[container.name], children=children, report=self._report)
            for container in self._order.containers
        }
        self._report({"event": "supervising", "pid_namespace": _pid_namespace()})
        asyncio.get_running_loop().add_reader(self._channel.fileno(), self._receive, children)
        for listener, port in [(entry.listener, entry.port) for entry in self._order.publish]:
            self._spawn(serve_published(listener, port))
        for container in self._containers.values():
            self._spawn(self._keep_running(container) if self._order.restart else self._run(container))
        if self._order.ready is not None:
            self._spawn(self._announce_ready())
        await self._stopping.wait()
        await asyncio.gather(*(self._end(container) for container in self._containers.values()))

    async def _run(self, container: Container) -> None:
        try:
            await container.start(self._containers)
        except DependencyFailed as failure:
            self._not_started(container, str(failure))
            return
        except (OSError, KeyError) as error:
            self._not_started(container, f"CannotStartContainerError: {container.name}: {error}")
            return
        self._spawn(container.watch_health())
        await container.wait_exited()
        if container.order.essential:
            self._stop(ESSENTIAL_EXITED)

    def _not_started(self, container: Container, reason: str) -> None:
        """The task's end is told first: with its last container accounted for it would count as running."""
        if container.order.essential:
            self._stop(reason)
        container.give_up(reason)

    async def _keep_running(self, container: Container) -> None:
        """An instance's process: started again whenever it ends, ever more slowly if it ends at once."""
        loop = asyncio.get_running_loop()
        pauses = jittered_backoff(first=_FIRST_PAUSE, ceiling=_LONGEST_PAUSE)
        while not self._stopping.is_set():
            born = loop.time()
            try:
                await container.start_again()
                await container.wait_exited()
            except (OSError, KeyError) as error:
                container.give_up(str(error))
            if loop.time() - born > _LONGEST_PAUSE:
                pauses = jittered_backoff(first=_FIRST_PAUSE, ceiling=_LONGEST_PAUSE)
            await asyncio.sleep(next(pauses))

    async def _end(self, container: Container) -> None:
        """Stop one container once those that depend on it are gone: the reverse of the order they started in."""
        dependents = [other for other in self._containers.values() if other.depends_on(container.name)]
        await asyncio.gather(*(other.wait_ended() for other in dependents))
        await container.stop()

    async def _announce_ready(self) -> None:
        if self._order.ready is not None:
            await wait_ready(self._order.ready)
            self._report({"event": "ready"})

    def _stop(self, reason: str) -> None:
        if not self._stopping.is_set():
            self._report({"event": "stopping", "reason": reason})
            self._stopping.set()

    def _receive(self, children: Children) -> None:
        received = self._channel.receive()
        if received is None:
            raise SystemExit(1)
        message, descriptors = received
        match message["do"]:
            case "stop":
                self._stop(str(message["reason"]))
            case "signal":
                self._containers[str(message["container"])].signal(signal.Signals(cast("int", message["signal"])))
            case "execute":
                container = self._containers[str(message["container"])]
                command = cast("list[str]", message["command"])
                terminal = bool(message.get("terminal"))
                self._spawn(execute(children, container.order, command, descriptors, terminal=terminal))
            case _:
                close_all(descriptors)

    def _report(self, event: Document) -> None:
        self._channel.send(event)

    def _spawn(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(work)
        self._work.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        """A bug in one container's care must end the task, not leave it half watched."""
        self._work.discard(task)
        if not task.cancelled() and task.exception() is not None:
            asyncio.get_running_loop().call_exception_handler({"message": "task failed", "exception": task.exception()})
            self._stop(f"InternalError: {task.exception()}")


def _pid_namespace() -> int:
    return Path("/proc/self/ns/pid").stat().st_ino
