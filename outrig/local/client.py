"""Talking to a running emulator: its status, commands in its containers, signals, and how to reach its AWS.

In: a state directory.  Out: plain data.  It refuses, with `NotRunning` or `LocalRefusal`, what the emulator refuses.
"""

import contextlib
import fcntl
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, cast

from outrig.errors import OutrigError
from outrig.local.channel import Channel, Document, close_all
from outrig.local.hostpids import host_pids, parent_of
from outrig.local.layout import StateDirectory, default_directory

_PATIENCE = 30.0


class NotRunning(OutrigError):
    """No emulator answers in the directory."""

    code: ClassVar[str] = "OUT804"


class LocalRefusal(OutrigError):
    """What was asked of the emulator cannot be done: no such task, no such container."""

    code: ClassVar[str] = "OUT805"


class LocalEcs:
    """The emulator whose state is in `directory`. Every method raises `NotRunning` if there is none."""

    def __init__(self, directory: Path | None = None) -> None:
        self._state = StateDirectory((directory or default_directory()).absolute())

    def status(self) -> dict[str, Any]:
        """Processes, tasks with their containers, and instances; pids are the host's."""
        _, descriptors = self._ask({"do": "status"})
        with os.fdopen(descriptors[0], encoding="utf-8") as file:
            document = json.load(file)
        return self._with_host_pids(document)

    def exec(
        self, task: str, command: Sequence[str], *, container: str | None = None, stdio: Sequence[int] = (0, 1, 2)
    ) -> int:
        """Run `command` in a container on the descriptors `stdio`; returns its exit code.

        `task` is a task id, the beginning of one, a service's name or an instance's. Killing the caller kills it too.
        """
        request: Document = {"do": "execute", "task": task, "container": container, "command": list(command)}
        answer, _ = self._ask(request, stdio)
        if "problem" in answer:
            os.write(stdio[2], f"{answer['problem']}\n".encode())
        return int(str(answer["exit"]))

    def run(
        self, task: str, command: Sequence[str], *, container: str | None = None, text: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """`exec` with `text` as standard input and the output kept."""
        with (
            tempfile.TemporaryFile("w+") as given,
            tempfile.TemporaryFile("w+") as out,
            tempfile.TemporaryFile("w+") as err,
        ):
            given.write(text)
            given.seek(0)
            stdio = (given.fileno(), out.fileno(), err.fileno())
            code = self.exec(task, command, container=container, stdio=stdio)
            out.seek(0)
            err.seek(0)
            return subprocess.CompletedProcess(list(command), code, out.read(), err.read())

    def attach(self, token: str, stdio: Sequence[int], *, terminal: bool) -> Channel:
        """Begin the session that `token` allows, on the descriptors `stdio`; its end comes on the channel returned."""
        channel = self._connect()
        if not channel.offer({"do": "session", "token": token, "terminal": terminal}, stdio):
            raise self._not_running()
        return channel

    def kill(self, task: str, *, container: str | None = None, number: int = signal.SIGKILL) -> str:
        """Signal the main process of a container or instance; returns the container's name."""
        answer, _ = self._ask({"do": "signal", "task": task, "container": container, "signal": int(number)})
        return str(answer["container"])

    def aws_environment(self) -> dict[str, str]:
        """`AWS_ENDPOINT_URL`, region and the administrator's keys, for any AWS client on this machine."""
        try:
            return cast("dict[str, str]", json.loads(self._state.credentials.read_text(encoding="utf-8")))
        except FileNotFoundError as error:
            raise self._not_running() from error

    @property
    def kube_cache(self) -> Path:
        """Where kubectl may keep what it learns of this emulator's control plane."""
        return self._state.path / "kube-cache"

    def exports(self) -> str:
        """What a user's shell has to be told, as shell text: written when all steps of the scene are done."""
        if self.launcher_pid() is None:
            raise self._not_running()
        try:
            return self._state.exports.read_text(encoding="utf-8")
        except FileNotFoundError:
            problem = "the emulator here is coming up: the steps of its scene are not done yet"
            raise NotRunning(str(self._state.path), problem, "wait until `outrig local up` says `ready`") from None

    def search_path(self, path: str) -> str:
        """`PATH` with this emulator's programs and the interpreter's in front of `path`."""
        return f"{self._state.programs}:{Path(sys.executable).parent}:{path}"

    def published(self) -> dict[str, dict[str, int]]:
        """Host ports by instance and name."""
        try:
            text = self._state.published.read_text(encoding="utf-8")
        except FileNotFoundError as error:
            raise self._not_running() from error
        return cast("dict[str, dict[str, int]]", json.loads(text))

    def log(self, name: str) -> Path:
        """A file in the emulator's `logs` directory."""
        return self._state.logs / name

    def launcher_pid(self) -> int | None:
        """The launcher's pid while it holds its lock, else `None`."""
        try:
            with self._state.mark.open(encoding="ascii") as mark:
                fcntl.flock(mark, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except BlockingIOError:
            text = self._state.mark.read_text(encoding="ascii")
            return int(text) if text else None
        return None

    def down(self) -> bool:
        """End the emulator and wait until it is gone; `False` if none was running: then what one that was killed has
        left is removed."""
        pid = self.launcher_pid()
        if pid is None:
            self._sweep()
            return False
        try:
            launcher = os.pidfd_open(pid)
        except ProcessLookupError:
            return False
        try:
            if self.launcher_pid() == pid:  # still the same process, and not another that got its pid
                signal.pidfd_send_signal(launcher, signal.SIGTERM)
            ended, _, _ = select.select([launcher], [], [], _PATIENCE)
        finally:
            os.close(launcher)
        if not ended:
            raise LocalRefusal(str(self._state.path), f"the launcher, pid {pid}, does not end")
        return True

    def _sweep(self) -> None:
        try:
            with self._state.mark.open(encoding="ascii") as mark:
                fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._state.sweep()
        except (FileNotFoundError, NotADirectoryError, BlockingIOError):
            return  # never ours, or another emulator has just begun

    def _ask(self, request: Document, descriptors: Sequence[int] = ()) -> tuple[Document, list[int]]:
        with contextlib.closing(self._connect()) as channel:
            if not channel.offer(request, descriptors):
                raise self._not_running()
            received = channel.receive()
        if received is None:
            raise LocalRefusal(str(request.get("task", self._state.path)), "it ended before it could answer")
        answer, returned = received
        if "problem" in answer and "exit" not in answer:
            close_all(returned)
            raise LocalRefusal(str(request.get("task", self._state.path)), str(answer["problem"]))
        return received

    def _connect(self) -> Channel:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            directory = os.open(self._state.path, os.O_PATH)
        except OSError as error:
            raise self._not_running() from error
        try:
            connection.connect(f"/proc/self/fd/{directory}/{self._state.control.name}")
        except OSError as error:
            connection.close()
            raise self._not_running() from error
        finally:
            os.close(directory)
        return Channel(connection)

    def _not_running(self) -> NotRunning:
        if self.launcher_pid() is not None:
            return NotRunning(str(self._state.path), "an emulator is starting or ending here", "try again in a moment")
        return NotRunning(str(self._state.path), "no emulator runs here", "start one: outrig local up SCENE")

    def _with_host_pids(self, document: dict[str, Any]) -> dict[str, Any]:
        """Replace every (namespace, pid) pair by the pid that this process would see."""
        pids = host_pids()

        def translate(value: Any) -> Any:
            if isinstance(value, dict):
                return {key: _host(pids, entry) if _is_pid(key) else translate(entry) for key, entry in value.items()}
            return [translate(entry) for entry in value] if isinstance(value, list) else value

        found = cast("dict[str, Any]", translate(document))
        processes = found["processes"]
        found["processes"] = {
            "launcher": processes["launcher"],
            "unshare": parent_of(processes["vpcPid"] or 0),
            "vpc": processes["vpcPid"],
            "aws": processes["awsPid"],
        }
        return found


def _is_pid(name: str) -> bool:
    return name.lower().endswith("pid")


def _host(pids: dict[tuple[int, int], int], pair: list[int] | None) -> int | None:
    return pids.get((pair[0], pair[1])) if pair else None
