"""Pids as the host counts them, for processes that only know their own PID namespace's count.

A namespace's inode number is the same seen from everywhere, and `NSpid` in /proc lists a process's pid in each
namespace it is in: together they find the process. Reads /proc alone.
"""

from collections.abc import Iterator
from pathlib import Path

Inner = tuple[int, int]


def host_pids() -> dict[Inner, int]:
    """(PID namespace inode, pid in it) to host pid, for every process this user may look at."""
    return {inner: pid for pid, inner in _inner_pids()}


def parent_of(pid: int) -> int | None:
    """The host pid of a process's parent, or `None` if the process is gone."""
    value = _status_field(Path(f"/proc/{pid}"), "PPid:")
    return int(value[0]) if value else None


def _inner_pids() -> Iterator[tuple[int, Inner]]:
    for process in Path("/proc").glob("[0-9]*"):
        pids = _status_field(process, "NSpid:")
        try:
            namespace = (process / "ns" / "pid").stat().st_ino
        except OSError:
            continue  # gone meanwhile, or another user's
        if pids:
            yield int(process.name), (namespace, int(pids[-1]))


def _status_field(process: Path, name: str) -> list[str]:
    try:
        text = (process / "status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return next((line.split()[1:] for line in text.splitlines() if line.startswith(name)), [])
