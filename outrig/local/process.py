"""One container's processes: starting them with its environment, user and log, and learning how they ended.

The supervisor is PID 1 of the task, so it reaps everything; children are known by pid in one table.
"""

import asyncio
import grp
import os
import pwd
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from outrig.local.orders import ContainerOrder

Standard = tuple[int, int, int]


class Children:
    """Every child of this process, and a future of each one's exit status. Make it inside a running loop."""

    def __init__(self) -> None:
        self._exits: dict[int, asyncio.Future[int]] = {}
        self._loop = asyncio.get_running_loop()
        self._loop.add_signal_handler(signal.SIGCHLD, self._reap)

    def start(self, container: ContainerOrder, command: Sequence[str], standard: Standard) -> "Child":
        """Run `command` as the container's user in its environment. Raises `OSError` if it cannot be started."""
        user = identity(container.user)
        child = subprocess.Popen(
            list(command),
            env=container.environment,
            cwd=container.directory,
            stdin=standard[0],
            stdout=standard[1],
            stderr=standard[2],
            start_new_session=True,
            user=user.uid,
            group=user.gid,
            extra_groups=user.groups,
        )
        exited = self._exits[child.pid] = self._loop.create_future()
        child.returncode = 0  # it is reaped here, never by Popen
        return Child(child.pid, exited)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            exited = self._exits.pop(pid, None)  # an orphan of a container is nobody's: only reaped
            if exited is not None and not exited.done():
                exited.set_result(exit_code(status))


@dataclass(frozen=True, slots=True)
class Child:
    """A running process; `exited` gives its exit code as ECS counts it."""

    pid: int
    exited: asyncio.Future[int]

    def signal(self, number: int) -> None:
        """Signal the main process alone, as ECS does. A process already gone is left alone."""
        if not self.exited.done():
            os.kill(self.pid, number)

    def kill_group(self) -> None:
        if not self.exited.done():
            os.killpg(self.pid, signal.SIGKILL)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a process runs as; `None` leaves the supervisor's own, which is all there is in a rootless namespace."""

    uid: int | None = None
    gid: int | None = None
    groups: list[int] | None = None


def identity(user: str) -> Identity:
    """`uid`, `uid:gid`, `name` or `name:group`, as in a task definition. Raises `KeyError` for an unknown name."""
    if not user or only_one_user():
        return Identity()
    name, _, group = user.partition(":")
    if name.isdigit():
        return Identity(int(name), _group(group, default=0), [])
    entry = pwd.getpwnam(name)
    return Identity(entry.pw_uid, _group(group, default=entry.pw_gid), [])


def only_one_user() -> bool:
    """Whether this user namespace maps a single user, as an ordinary user's does: nobody else to become."""
    with Path("/proc/self/uid_map").open(encoding="ascii") as table:
        return sum(int(line.split()[2]) for line in table) == 1


def exit_code(status: int) -> int:
    """A wait status as the exit code that ECS reports: 128 + N for a process ended by signal N."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def open_log(container: ContainerOrder) -> int:
    """The container's log, open for appending."""
    return os.open(container.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)


def give_log(log: int, user: str) -> None:
    """Make the user own the log, who may then open /dev/stdout again. Raises `KeyError` for an unknown name."""
    owner = identity(user)
    if owner.uid is not None:
        os.fchown(log, owner.uid, owner.gid or 0)


def _group(group: str, *, default: int) -> int:
    if not group:
        return default
    return int(group) if group.isdigit() else grp.getgrnam(group).gr_gid
