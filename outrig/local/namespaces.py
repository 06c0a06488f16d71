"""Linux namespaces: whether this user may have them, making them, and the private view of files inside.

Python 3.11 has no `os.unshare`, and no version has `mount`: both go through the C library. Raises `OSError`,
or `NamespacesUnavailable` where the machine does not allow what is asked.
"""

import contextlib
import ctypes
import os
import shutil
import stat
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from outrig.errors import OutrigError

NEWNS, NEWUTS, NEWIPC, NEWPID, NEWNET = 0x00020000, 0x04000000, 0x08000000, 0x20000000, 0x40000000
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_BIND, _MS_REC, _MS_PRIVATE = 0x2, 0x4, 0x8, 0x1000, 0x4000, 0x40000


class NamespacesUnavailable(OutrigError):
    """This machine, or this user on it, may not make the namespaces that tasks live in."""

    code: ClassVar[str] = "OUT801"


def unshare_command() -> list[str]:
    """The start of a command line that runs the rest of it as PID 1 of new namespaces, killed with its parent.

    Raises `NamespacesUnavailable` with one sentence that says what is missing.
    """
    flags = "-nmpf" if os.geteuid() == 0 else "-Urnmpf"
    tool = shutil.which("unshare")
    if tool is None:
        raise NamespacesUnavailable("outrig local", "the program 'unshare' is missing", "install util-linux")
    probe = subprocess.run([tool, flags, "--kill-child", "true"], capture_output=True, text=True, check=False)
    if probe.returncode != 0:
        raise NamespacesUnavailable(
            "outrig local",
            f"this machine does not let this user make network, mount and PID namespaces: {probe.stderr.strip()}",
            "run as root, or allow unprivileged user namespaces",
        )
    return [tool, flags, "--kill-child"]


def unshare(flags: int) -> None:
    """Leave the namespaces named by `flags` for new ones; a new PID namespace begins with the next child."""
    if _libc().unshare(flags) != 0:
        raise _last_error("unshare")


def mount(source: str, target: str, kind: str = "", *, flags: int = 0, data: str = "") -> None:
    if _libc().mount(source.encode(), target.encode(), kind.encode(), flags, data.encode()) != 0:
        raise _last_error(f"mount {target}")


def make_mounts_private() -> None:
    """Keep what is mounted from here on out of the namespace we came from."""
    mount("none", "/", flags=_MS_REC | _MS_PRIVATE)


def mount_proc() -> None:
    """A /proc that names the processes of this PID namespace. Refused on hosts that mask /proc: then `ps` is wrong."""
    with contextlib.suppress(PermissionError):
        mount("proc", "/proc", "proc", flags=_MS_NOSUID | _MS_NODEV | _MS_NOEXEC)


def bind(source: str, target: str) -> None:
    mount(source, target, flags=_MS_BIND | _MS_REC)


def show_only(directory: Path, keep: Iterable[Path], *, mode: int = 0o755) -> None:
    """Replace `directory` by an empty one of its own, in which only the paths in `keep` below it still appear."""
    kept = _outermost(path for path in keep if directory in path.parents and appears(path))
    handles = [os.open(path, os.O_PATH) for path in kept]
    mount("tmpfs", str(directory), "tmpfs", flags=_MS_NOSUID | _MS_NODEV, data=f"mode={mode:o}")
    for path, handle in zip(kept, handles, strict=True):
        _make_place(path, directory=stat.S_ISDIR(os.fstat(handle).st_mode))
        bind(f"/proc/self/fd/{handle}", str(path))
        os.close(handle)


def closed_ancestors(paths: Iterable[Path]) -> set[Path]:
    """The outermost directory above each path that other users may not pass through, where there is one."""
    found = set()
    for path in paths:
        above = (parent for parent in reversed(path.parents) if not parent.stat().st_mode & stat.S_IXOTH)
        first = next(above, None)
        if first is not None:
            found.add(first)
    return found


def appears(path: Path) -> bool:
    """Whether this user can see `path`; one behind a closed directory does not appear."""
    try:
        path.stat()
    except OSError:
        return False
    return True


def _make_place(path: Path, *, directory: bool) -> None:
    if directory:
        path.mkdir(parents=True, exist_ok=True)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def _outermost(paths: Iterable[Path]) -> list[Path]:
    found: list[Path] = []
    for path in sorted(set(paths)):
        if not any(kept in path.parents for kept in found):
            found.append(path)
    return found


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _last_error(what: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{what}: {os.strerror(number)}")
