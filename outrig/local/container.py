"""One container of a task as its supervisor sees it: not started, running, ended; healthy or not."""

import asyncio
import os
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress

from outrig.local.channel import Document
from outrig.local.orders import Condition, ContainerOrder
from outrig.local.process import Child, Children, Standard, give_log, only_one_user

_CMD_SHELL = ["/bin/sh", "-c"]


class DependencyFailed(Exception):
    """A condition in `dependsOn` that can no longer come true."""


class Container:
    """A container's process through its life, restarts included. It writes to `log`; events go to `report`."""

    def __init__(
        self, order: ContainerOrder, log: int, *, children: Children, report: Callable[[Document], None]
    ) -> None:
        self.order = order
        self._log = log
        self.name = order.name
        self._children = children
        self._report = report
        self._child: Child | None = None
        self._started = asyncio.Event()
        self._healthy = asyncio.Event()
        self._ended = asyncio.Event()
        self._health = "UNKNOWN"
        self._code: int | None = None
        self._stopping = False

    async def start(self, others: "Mapping[str, Container]") -> None:
        """Wait for what this one depends on, then start it. Raises `OSError`, `KeyError`, `DependencyFailed`."""
        try:
            for name, condition in self.order.depends_on:
                await others[name].reach(condition)
        except DependencyFailed:
            if not self._stopping:
                raise
        if not self._stopping:
            await self.start_again()

    async def start_again(self) -> None:
        give_log(self._log, self.order.user)
        self._warn_about_user()
        empty = os.open(os.devnull, os.O_RDONLY)
        try:
            self._child = self._children.start(self.order, self.order.command, (empty, self._log, self._log))
        finally:
            os.close(empty)
        self._started.set()
        self._report({"event": "started", "container": self.name, "pid": self._child.pid})

    async def wait_exited(self) -> None:
        """Wait for the process to end, and report its exit code."""
        if self._child is None:
            return
        self._code = await self._child.exited
        self._report({"event": "exited", "container": self.name, "code": self._code, "reason": ""})
        self._ended.set()

    async def wait_ended(self) -> None:
        await self._ended.wait()

    async def reach(self, condition: Condition) -> None:
        """Wait until this container is where another one wants it, or raise `DependencyFailed` once it cannot be."""
        goals = {"START": self._started, "HEALTHY": self._healthy, "COMPLETE": self._ended, "SUCCESS": self._ended}
        goal = asyncio.ensure_future(goals[condition].wait())
        ended = asyncio.ensure_future(self._ended.wait())
        try:
            patience = self.order.start_timeout
            await asyncio.wait([goal, ended], timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        finally:
            goal.cancel()
            ended.cancel()
        if not goals[condition].is_set() or (condition == "SUCCESS" and self._code != 0):
            why = f"its exit code is {self._code}" if self._ended.is_set() else f"not within its {patience} s"
            raise DependencyFailed(f"TaskFailedToStart: container {self.name} did not reach {condition}: {why}")

    async def stop(self) -> None:
        """SIGTERM to the main process, SIGKILL after the stop timeout. One that never started just ends."""
        self._stopping = True
        child = self._child
        if child is None:
            self._ended.set()
            return
        child.signal(signal.SIGTERM)
        await asyncio.wait([child.exited], timeout=self.order.stop_timeout)
        child.signal(signal.SIGKILL)
        await child.exited
        await self._ended.wait()

    def give_up(self, reason: str) -> None:
        """Mark a container that could not be started as over, and say why."""
        self._report({"event": "exited", "container": self.name, "code": None, "reason": reason})
        self._ended.set()

    def signal(self, number: int) -> None:
        if self._child is not None:
            self._child.signal(number)

    def depends_on(self, name: str) -> bool:
        return any(name == other for other, _ in self.order.depends_on)

    async def watch_health(self) -> None:
        """Probe until the process ends. Failures within the start period do not count."""
        check, loop = self.order.health, asyncio.get_running_loop()
        if check is None or check.command[:1] == ["NONE"]:
            return
        born, failures = loop.time(), 0
        while not self._ended.is_set():
            if await self._probe(check.command, check.timeout):
                failures = 0
                self._set_health("HEALTHY")
            elif loop.time() - born >= check.start_period or self._healthy.is_set():
                failures += 1
                if failures >= check.retries:
                    self._set_health("UNHEALTHY")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), timeout=check.interval)

    def _set_health(self, status: str) -> None:
        if status == "HEALTHY":
            self._healthy.set()
        if status != self._health:
            self._health = status
            self._report({"event": "health", "container": self.name, "status": status})

    async def _probe(self, command: list[str], timeout: float) -> bool:
        argv = [*_CMD_SHELL, command[1]] if command[0] == "CMD-SHELL" else command[1:]
        null = os.open(os.devnull, os.O_RDWR)
        standard: Standard = (null, null, null)
        try:
            probe = self._children.start(self.order, argv, standard)
        except OSError:
            return False
        finally:
            os.close(null)
        await asyncio.wait([probe.exited], timeout=timeout)
        probe.kill_group()
        return await probe.exited == 0

    def _warn_about_user(self) -> None:
        if self.order.user not in ("", "0", "root") and only_one_user():
            os.write(
                self._log, f"outrig local: user {self.order.user!r} ignored: rootless, there is one user\n".encode()
            )
