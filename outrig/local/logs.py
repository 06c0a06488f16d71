"""Finding and reading a container's log. In: a status document and a name.  Out: text, as it grows if wanted."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from outrig.local.client import LocalRefusal

_PAUSE = 0.1


def log_file(status: dict[str, Any], task: str, container: str | None) -> Path:
    """The log of a container of the newest task that `task` names, or of an instance. Raises `LocalRefusal`."""
    for instance in status["instances"]:
        if instance["name"] == task:
            return Path(instance["log"])
    found = [one for one in status["tasks"] if one["id"].startswith(task) or one["group"] == f"service:{task}"]
    containers = [one for found_task in found[-1:] for one in found_task["containers"]]
    for one in containers:
        if container in (None, one["name"]):
            return Path(one["log"])
    names = ", ".join(one["name"] for one in containers)
    raise LocalRefusal(task, f"no container {container!r}; it has {names}" if found else "no such task or instance")


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
