"""Finding and reading a container's log, whether or not the emulator still runs.

In: a state directory and a name.  Out: text, as it grows if wanted. An index beside the logs says which task had which
containers; it and they stay when the emulator ends, until the next one starts in the directory.
"""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from outrig.local.choosing import is_clear, meant
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


@dataclass(frozen=True, slots=True)
class Log:
    """A container's log, or an instance's."""

    container: str
    file: Path


def log_file(state: StateDirectory, task: str, container: str | None) -> tuple[Log, Sequence[str]]:
    """The log of a container of the newest task that `task` names, or of an instance; and which other containers there
    are, if it was not clear which was meant. Raises `LocalRefusal`."""
    if not state.logs.exists():
        raise NotRunning(str(state.path), "no emulator runs here, and none has left logs", "start one: outrig local up")
    of_instance = state.instance_log(task)
    if "/" not in task and of_instance.exists():
        return Log(task, of_instance), ()
    found = [one for one in _index(state) if one.task.startswith(task) or one.group == f"service:{task}"]
    if not found:
        raise LocalRefusal(task, "no such task or instance")
    newest = found[-1]
    name = meant(newest.group, newest.containers) if container is None else container
    if name not in newest.containers:
        raise LocalRefusal(task, f"no container {name!r}; it has {', '.join(newest.containers)}")
    others = [one for one in newest.containers if one != name]
    is_told = container is not None or is_clear(newest.group, newest.containers)
    return Log(name, state.task_log(newest.task, name)), () if is_told else others


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
