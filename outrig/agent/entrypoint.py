"""`outrig app-entrypoint -- COMMAND…`: first process of an application's container, so that it outlives the drain.

The signal that asks the application to stop is held back until the agent of the same task has drained, is gone, or
`OUTRIG_APP_WAIT_SECONDS` have passed. In turn the agent keeps Envoy until the application has ended, so that it can
call others to the last. Both hold in whatever order ECS stops the containers: the agent is told of a stop that it has
not heard of, and an application whose agent has drained is told to end.

As process 1 it passes all other signals on, reaps orphans and exits as the application does (128 + n for signal n).
Standard library and this file only: an image without Outrig may hold a copy of it.
"""

import os
import select
import signal
import socket
import sys
import time
from collections.abc import Mapping

WAIT_SECONDS = 20  # under ECS's default stopTimeout of 30: the rest is for the application
CONNECT_EVERY = 2.0  # seconds between looks for an agent that is not there (yet)
USAGE = "usage: outrig app-entrypoint -- COMMAND [ARGUMENT ...]"
STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)  # what ECS sends: SIGTERM, or the image's STOPSIGNAL
_OUR_OWN = {"SIGKILL", "SIGSTOP", "SIGCHLD", "SIGPIPE", "SIGTTIN", "SIGTTOU"}
_FAULTS = {"SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGTRAP", "SIGABRT", "SIGSYS", "SIGXCPU", "SIGXFSZ"}
_ASK = b"GET /drained HTTP/1.1\r\nHost: agent\r\n\r\n"
_TELL = b"POST /drain HTTP/1.1\r\nHost: agent\r\nContent-Length: 0\r\n\r\n"


def main(arguments: list[str], environment: Mapping[str, str]) -> int:
    """Run the command after `--` until it ends; its exit status, or 2 for a mistake in how this was called."""
    command = arguments[1:]
    if arguments[:1] != ["--"] or not command:
        return _refuse(USAGE)
    numbers = {}
    for name, default in (("OUTRIG_APP_WAIT_SECONDS", WAIT_SECONDS), ("OUTRIG_READINESS_PORT", 9902)):
        text = environment.get(name, "") or str(default)
        if not (text.isascii() and text.isdecimal()):
            return _refuse(f"{name}: expected a whole number, got {text!r}")
        numbers[name] = int(text)
    signals = _Signals()
    agent = _Agent(numbers["OUTRIG_READINESS_PORT"])
    return Entrypoint(start(command), signals, agent, wait=numbers["OUTRIG_APP_WAIT_SECONDS"]).run()


class Entrypoint:
    """The life of one application. `child`: its process id. `wait`: seconds that a stop may be held back."""

    def __init__(self, child: int, signals: "_Signals", agent: "_Agent", *, wait: float) -> None:
        self._child, self._signals, self._agent, self._wait = child, signals, agent, wait
        self._held_back = 0  # the signal that asked to stop
        self._until = 0.0
        self._stopped = False  # the application has been told

    def run(self) -> int:
        """Until the application has ended; its exit status."""
        while True:
            if not self._stopped and not self._agent.connected:
                self._agent.connect()
            heard, _, _ = select.select(self._speakers(), (), (), self._patience())
            if self._agent in heard:
                self._hear_agent()
            for number in self._signals.take():
                self._take(number)
            if self._held_back and time.monotonic() >= self._until:
                self._stop(f"not drained within {self._wait:g} s")
            if (status := reap(self._child)) is not None:
                return status

    def _speakers(self) -> "list[_Signals | _Agent]":
        return [self._signals, self._agent] if self._agent.connected and not self._stopped else [self._signals]

    def _patience(self) -> float | None:
        if self._stopped:
            return None
        if self._held_back:
            return max(0.0, self._until - time.monotonic())
        return None if self._agent.connected else CONNECT_EVERY

    def _take(self, number: int) -> None:
        if number not in STOPS or self._stopped:
            self._send(number)
        elif self._held_back:
            self._stop("told twice")
        else:
            self._held_back, self._until = number, time.monotonic() + self._wait
            if not self._agent.tell():
                self._stop("no agent to wait for")

    def _hear_agent(self) -> None:
        if self._agent.has_drained():
            self._stop("the agent has drained")
        elif self._held_back:
            self._stop("the agent is gone")

    def _stop(self, why: str) -> None:
        if not self._stopped:
            print(f"outrig app-entrypoint: {why}, stopping the application", file=sys.stderr, flush=True)
            self._stopped = True
            self._send(self._held_back or signal.SIGTERM)

    def _send(self, number: int) -> None:
        os.kill(self._child, number)  # not reaped yet, so the id is still its own


class _Agent:
    """The agent of this task. The connection stays open while both live: its end tells either that the other ended."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._connection: socket.socket | None = None

    @property
    def connected(self) -> bool:
        return self._connection is not None

    def fileno(self) -> int:
        """For `select`."""
        return self._connection.fileno() if self._connection else -1

    def connect(self) -> None:
        """Look for it; it will answer when it has drained."""
        self._connection = self._ask(_ASK)

    def tell(self) -> bool:
        """Tell it that this task is to stop; whether it is there."""
        if (told := self._ask(_TELL)) is None:
            return False
        told.close()
        if not self.connected:
            self.connect()
        return self.connected

    def has_drained(self) -> bool:
        """What it said: that it has drained, or nothing that makes sense, which ends the connection."""
        if self._connection is None:
            return False
        try:
            said = self._connection.recv(64)
        except OSError:
            said = b""
        if said.startswith(b"HTTP/1.1 200 "):
            return True  # and the connection stays: its end will tell the agent that the application has ended
        self._connection.close()
        self._connection = None
        return False

    def _ask(self, request: bytes) -> socket.socket | None:
        connection = socket.socket()
        connection.settimeout(1.0)
        try:
            connection.connect(("127.0.0.1", self._port))
            connection.sendall(request)
        except OSError:
            connection.close()
            return None
        return connection


class _Signals:
    """All signals that can be had, as something to select on."""

    def __init__(self) -> None:
        self._reader, writer = socket.socketpair()
        self._reader.setblocking(False)
        writer.setblocking(False)
        signal.set_wakeup_fd(writer.fileno())
        self._writer = writer  # kept open
        for number in signal.valid_signals():
            if _name(number) == "SIGCHLD" or _name(number) not in _OUR_OWN | _FAULTS:
                signal.signal(number, lambda _number, _frame: None)

    def fileno(self) -> int:
        """For `select`."""
        return self._reader.fileno()

    def take(self) -> list[int]:
        """Those that came, but for SIGCHLD."""
        try:
            return [number for number in self._reader.recv(4096) if number != signal.SIGCHLD]
        except BlockingIOError:
            return []


def start(command: list[str]) -> int:
    """The process id of the command, started with no trace of our signal handlers."""
    everything = signal.valid_signals()
    signal.pthread_sigmask(signal.SIG_BLOCK, everything)
    child = os.fork()
    if child == 0:
        _become(command, everything)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, everything)
    return child


def reap(child: int) -> int | None:
    """Bury all who have ended; the exit status of the child if it is among them."""
    status = None
    while True:
        try:
            ended, how = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return status
        if ended == 0:
            return status
        if ended == child:
            code = os.waitstatus_to_exitcode(how)
            status = code if code >= 0 else 128 - code


def _become(command: list[str], blocked: set[signal.Signals]) -> None:
    for number in blocked:
        if _name(number) not in ("SIGKILL", "SIGSTOP"):
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, blocked)
    try:
        os.execvp(command[0], command)  # noqa: S606 - the command is the container's own
    except OSError as error:
        print(f"outrig app-entrypoint: {command[0]}: {error.strerror}", file=sys.stderr, flush=True)
        os._exit(127 if isinstance(error, FileNotFoundError) else 126)


def _name(number: int) -> str:
    return getattr(number, "name", str(number))  # real-time signals between the first and the last have none


def _refuse(text: str) -> int:
    print(f"outrig app-entrypoint: {text}" if text != USAGE else text, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
