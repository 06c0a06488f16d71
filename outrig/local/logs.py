"""Finding and reading a container's log, whether or not the emulator still runs.

In: a state directory and a name.  Out: text, as it grows if wanted. An index beside the logs says which task had which
containers; it and they stay when the emulator ends, until the next one starts in the directory.
"""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from outrig.local.client import LocalRefusal, NotRunning
from outrig.local.layout import StateDirectory

_PAUSE = 0.1


@dataclass(frozen=True, slots=True)
class Logged:
    """A task that has logs: `group` is `service:NAME` or `family:NAME`."""

    task: str
    group: str
    containers: Sequence[str]


def note_task(state: StateDirectory, logged: Logged) -> None:
    """Add a task that is about to start to the index."""
    with state.log_index.open("a", encoding="utf-8") as index:
        index.write(json.dumps(asdict(logged)) + "\n")


def log_file(state: StateDirectory, task: str, container: str | None) -> Path:
    """The log of a container of the newest task that `task` names, or of an instance. Raises `LocalRefusal`."""
    if not state.logs.exists():
        raise NotRunning(str(state.path), "no emulator runs here, and none has left logs", "start one: outrig local up")
    of_instance = state.instance_log(task)
    if "/" not in task and of_instance.exists():
        return of_instance
    found = [one for one in _index(state) if one.task.startswith(task) or one.group == f"service:{task}"]
    if not found:
        raise LocalRefusal(task, "no such task or instance")
    newest = found[-1]
    name = newest.containers[0] if container is None else container
    if name not in newest.containers:
        raise LocalRefusal(task, f"no container {name!r}; it has {', '.join(newest.containers)}")
    return state.task_log(newest.task, name)


def follow(file: Path, *, on: bool) -> Iterator[str]:
    """The file's text; with `on`, what is added later too, until the caller stops asking."""
    try:
        with file.open(encoding="utf-8", errors="replace") as stream:
            while True:
                text = stream.read()
                if text:
                    yield text
                elif on:
                    time.sleep(_PAUSE)
                else:
                    return
    except FileNotFoundError:
        return


def _index(state: StateDirectory) -> list[Logged]:
    try:
        text = state.log_index.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    return [Logged(**json.loads(line)) for line in text.splitlines()]
