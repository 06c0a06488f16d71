"""The `awslogs` driver: what containers write to their log files, line by line, as events in CloudWatch Logs.

In: tasks that start and end.  Out: events in moto's logs backend, in the stream `PREFIX/CONTAINER/TASK`; the file
has everything whatever the driver. What is kept of it in memory is bounded: the oldest events go first.
"""

import logging
import threading
import time
from collections import deque
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any

from moto.core.exceptions import JsonRESTError
from moto.logs.models import logs_backends

from outrig.local.definition import AwsLogs
from outrig.local.identities import refusal
from outrig.local.layout import StateDirectory
from outrig.local.secret_values import CannotInitialize
from outrig.local.tasks import Task, TaskContainer

KEPT = 16 << 20
_PAUSE = 0.2
_CHUNK = 1 << 16
_LONGEST_EVENT = 256 << 10  # CloudWatch's: a longer line becomes several events
_EVENT_OVERHEAD = 400  # bytes, about


@dataclass(slots=True, eq=False)
class _Followed:
    """One container's file on its way to a stream. `task_over` means that nothing more will be written."""

    task: str
    account: str
    logs: AwsLogs
    stream: str
    file: BufferedReader
    begun: bytes = b""
    task_over: bool = False


class LogDelivery:
    """Follows the files of all containers with the `awslogs` driver. `run()` never returns."""

    def __init__(self, state: StateDirectory) -> None:
        self._state = state
        self._changed = threading.Condition()
        self._followed: list[_Followed] = []
        self._kept: deque[tuple[Any, int, int]] = deque()  # (moto's stream, events, bytes), oldest first
        self._size = 0

    def open(self, task: Task) -> None:
        """Make the streams of a task about to start. Raises `CannotInitialize` where ECS would not start it."""
        for container in task.containers:
            definition, file = container.definition, self._state.task_log(task.id, container.name)
            if definition.logs is not None:
                self._follow(task, container, definition.logs, file)
            elif definition.log_driver:
                _tell(file, f"log driver {definition.log_driver!r} delivers nothing here: all is in this file")

    def close(self, task: Task) -> None:
        """Deliver what a task that is gone has left, and forget it."""
        with self._changed:
            for one in self._followed:
                one.task_over = one.task_over or one.task == task.id

    def run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._followed)
                followed = [(one, one.task_over) for one in self._followed]
            for one, over in followed:
                self._deliver(one, over=over)
            with self._changed:
                self._followed = [one for one in self._followed if not one.file.closed]
            time.sleep(_PAUSE)

    def _follow(self, task: Task, container: TaskContainer, logs: AwsLogs, file: Path) -> None:
        stream = f"{logs.prefix}/{container.name}/{task.id}"
        _create_stream(task, logs, stream)
        denied = _denied(task, "logs:PutLogEvents", _arn(task, logs, stream))
        if denied:
            _tell(file, f"nothing of this reaches the log group {logs.group}: {denied}")
            return
        file.touch()
        with self._changed:
            self._followed.append(_Followed(task.id, task.place.account, logs, stream, file.open("rb")))
            self._changed.notify()

    def _deliver(self, one: _Followed, *, over: bool) -> None:
        """Pass on what was written since; an unfinished line waits for its end, or the task's."""
        try:
            while chunk := one.file.read(_CHUNK):
                *lines, one.begun = (one.begun + chunk).split(b"\n")
                if len(one.begun) >= _LONGEST_EVENT:
                    lines, one.begun = [*lines, one.begun], b""
                self._put(one, lines)
            if over:
                self._put(one, [one.begun])
        except Exception:  # the edge of moto's code, its subscription filters included: one stream's end, not ours
            logging.exception("no more of task %s goes to the log stream %s", one.task, one.stream)
            over = True
        if over:
            one.file.close()

    def _put(self, one: _Followed, lines: list[bytes]) -> None:
        now = int(time.time() * 1000)
        texts = [text for line in lines if (text := line.decode(errors="replace").rstrip("\r"))]
        if not texts:
            return
        backend = logs_backends[one.account][one.logs.region]
        events = [{"timestamp": now, "message": text} for text in texts]
        backend.put_log_events(one.logs.group, one.stream, events)
        size = sum(len(text) + _EVENT_OVERHEAD for text in texts)
        self._kept.append((backend.groups[one.logs.group].streams[one.stream], len(texts), size))
        self._size += size
        while self._size > KEPT:
            stream, count, size = self._kept.popleft()
            del stream.events[:count]
            self._size -= size


def _create_stream(task: Task, logs: AwsLogs, stream: str) -> None:
    try:
        backend = logs_backends[task.place.account][logs.region]
    except KeyError as error:
        raise _no_stream(f"there is no region {error}") from error
    arn = _arn(task, logs, stream)
    if logs.create and logs.group not in backend.groups:
        _require(task, "logs:CreateLogGroup", arn.partition(":log-stream:")[0])
        backend.create_log_group(logs.group, {})
    _require(task, "logs:CreateLogStream", arn)
    try:
        backend.create_log_stream(logs.group, stream)
    except JsonRESTError as error:
        raise _no_stream(f"{error.error_type}: {error.message}") from error


def _require(task: Task, action: str, resource: str) -> None:
    denied = _denied(task, action, resource)
    if denied:
        raise _no_stream(denied)


def _denied(task: Task, action: str, resource: str) -> str | None:
    return refusal(task.execution_role_arn or "", task.id, action=action, resource=resource)


def _arn(task: Task, logs: AwsLogs, stream: str) -> str:
    place = task.place
    return f"arn:{place.partition}:logs:{logs.region}:{place.account}:log-group:{logs.group}:log-stream:{stream}"


def _no_stream(problem: str) -> CannotInitialize:
    return CannotInitialize(
        "ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times: "
        f"failed to create Cloudwatch log stream: {problem} : exit status 1"
    )


def _tell(file: Path, text: str) -> None:
    with file.open("a", encoding="utf-8") as log:
        log.write(f"outrig local: {text}\n")
