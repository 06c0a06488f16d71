"""The one part of the emulator that lives in the host: binds its sockets, starts the VPC and holds its lifeline.

In: a scene, a state directory, a pipe for reports and one to whoever started this.  When this process ends, even by
SIGKILL, the kernel closes the lifeline and the VPC goes. It ends with the VPC, on SIGTERM, or with its starter.
"""

import fcntl
import json
import os
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, TextIO

from outrig.errors import OutrigError
from outrig.local.layout import Listener, Settings, StateDirectory
from outrig.local.namespaces import unshare_command
from outrig.local.reports import Reporter
from outrig.local.scene import Scene, load_scene
from outrig.local.surroundings import neutral

STAY = b"stay"
_PATIENCE = 10.0


class DirectoryInUse(OutrigError):
    """A state directory that is not ours, or whose emulator is running."""

    code: ClassVar[str] = "OUT803"


@dataclass(frozen=True, slots=True)
class Birth:
    """What the starting command hands over: `owner` is a pipe from it, `report` a pipe to it."""

    scene: str
    directory: str
    report: int
    owner: int


def main(birth: Birth) -> None:
    """Start the emulator and stay until it ends or is to end."""
    reporter = Reporter(birth.report)
    wakeup = _wake_on_signals()
    try:
        state = StateDirectory(Path(birth.directory))
        scene = load_scene(Path(birth.scene), state.path)
        lock = claim(state)
        _make_places(state, scene)
        held, lifeline = os.pipe()
        child = _start(birth, scene, state, held)
    except (OutrigError, OSError) as error:
        reporter.failed(str(error))
        raise SystemExit(1) from error
    os.close(held)
    os.close(birth.report)
    _wait(child, birth.owner, wakeup)
    os.close(lifeline)
    _end(child)
    _leave(state)
    lock.close()


def claim(state: StateDirectory) -> TextIO:
    """Lock and empty the directory. Raises `DirectoryInUse` if it holds something else or an emulator runs in it."""
    try:
        state.path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DirectoryInUse(str(state.path), f"cannot be made: {error.strerror}", "name another with --dir") from error
    if not state.mark.exists() and any(state.path.iterdir()):
        raise DirectoryInUse(str(state.path), "this directory holds other things", "name an empty one with --dir")
    lock = state.mark.open("a", encoding="ascii")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise DirectoryInUse(str(state.path), "an emulator is running here", "end it: outrig local down") from error
    state.sweep()
    _make_logs(state)
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


def _make_places(state: StateDirectory, scene: Scene) -> None:
    """What tasks and instances see of the directory; an instance's is closed to other users of this machine."""
    _make_programs(state)
    state.files.mkdir()
    for name in scene.instances:
        state.instance(name).mkdir(mode=0o700)


def _make_programs(state: StateDirectory) -> None:
    """What `aws ecs execute-command` looks for on PATH: ours answers this emulator's sessions alone."""
    plugin = state.programs / "session-manager-plugin"
    state.programs.mkdir()
    plugin.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m outrig.local.plugin "$@"\n', encoding="utf-8")
    plugin.chmod(0o755)


def _make_logs(state: StateDirectory) -> None:
    """An empty directory of logs, the first of which takes what this process and the emulator write."""
    if state.logs.exists():
        shutil.rmtree(state.logs)
    state.logs.mkdir()
    log = os.open(state.logs / "emulator.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log, sys.stdout.fileno())
    os.dup2(log, sys.stderr.fileno())
    os.close(log)


def _start(birth: Birth, scene: Scene, state: StateDirectory, lifeline: int) -> subprocess.Popen[bytes]:
    api, control = socket.create_server(("127.0.0.1", 0), backlog=128), _control_socket(state)
    published = {name: _listeners(instance.publish) for name, instance in scene.instances.items()}
    settings = Settings(
        directory=str(state.path),
        scene=birth.scene,
        api=api.fileno(),
        api_port=api.getsockname()[1],
        control=control.fileno(),
        lifeline=lifeline,
        report=birth.report,
        launcher=os.getpid(),
        published=published,
    )
    ports = {name: {key: one.host_port for key, one in listeners.items()} for name, listeners in published.items()}
    state.published.write_text(json.dumps(ports, indent=2), encoding="utf-8")
    command = [*unshare_command(), sys.executable, "-m", "outrig.local.zygote", json.dumps(settings.encode())]
    environment = neutral(os.environ)
    child = subprocess.Popen(
        command, pass_fds=settings.descriptors(), cwd="/", stdin=subprocess.DEVNULL, env=environment
    )
    for descriptor in settings.descriptors():
        if descriptor not in (lifeline, birth.report, api.fileno(), control.fileno()):
            os.close(descriptor)
    api.close()
    control.close()
    return child


def _listeners(publish: dict[str, int]) -> dict[str, Listener]:
    found = {}
    for name, port in publish.items():
        listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        host_port = listener.getsockname()[1]
        found[name] = Listener(listener.detach(), port, host_port)
    return found


def _control_socket(state: StateDirectory) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(f"/proc/self/fd/{_directory(state)}/{state.control.name}")
    state.control.chmod(0o600)
    listener.listen(128)
    return listener


def _directory(state: StateDirectory) -> int:
    """A descriptor of the directory: a Unix socket's path has at most 107 bytes, and one through this is short."""
    return os.open(state.path, os.O_PATH)


def _wake_on_signals() -> int:
    """A descriptor that becomes readable on a child's end, SIGTERM or SIGINT."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    return read


def _wait(child: subprocess.Popen[bytes], owner: int, wakeup: int) -> None:
    """Return when the emulator has ended or should."""
    watched = [owner, wakeup]
    while True:
        readable, _, _ = select.select(watched, [], [])
        if wakeup in readable and (set(os.read(wakeup, 64)) - {signal.SIGCHLD} or child.poll() is not None):
            return
        if owner in readable:
            if os.read(owner, len(STAY)) != STAY:
                return
            watched.remove(owner)


def _end(child: subprocess.Popen[bytes]) -> None:
    try:
        child.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _leave(state: StateDirectory) -> None:
    """Remove all but the mark, which is locked, and the logs."""
    state.sweep()


if __name__ == "__main__":
    main(Birth(**json.loads(sys.argv[1])))
