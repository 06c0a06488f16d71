"""The agent's parts, wired: join, run Envoy, watch, stay connected, and leave in order.

`run` is the whole life of an agent. It returns an exit status; it raises `Fatal` where trying again cannot help.
"""

import asyncio
import logging
import signal
import ssl
from functools import partial
from pathlib import Path

from outrig import __version__
from outrig.agent import bootstrap, envoy, probe, rundir
from outrig.agent.admin import Admin
from outrig.agent.control_plane import ControlPlane
from outrig.agent.dataplane import ProxySeat
from outrig.agent.draining import Drain
from outrig.agent.identity import has_another_proof, identity_of
from outrig.agent.installing import CONTROL_CHAIN, Installer
from outrig.agent.joining import Joined, Joiner
from outrig.agent.leaving import Applications
from outrig.agent.link import Link, load_identity
from outrig.agent.membership import Membership
from outrig.agent.memory import memory
from outrig.agent.problems import Fatal
from outrig.agent.readiness import Verdict
from outrig.agent.setup import Setup
from outrig.agent.status import Status
from outrig.agent.watching import Watcher
from outrig.wire.stream import State

EXIT_AT_ONCE = 128 + signal.SIGTERM
NOT_ROUTED = "a zone proxy joins and stays connected, but carries no traffic: routing is not supported yet"
_log = logging.getLogger(__name__)


async def run(setup: Setup) -> int:
    """Be the sidecar of one task until told to stop. Raises Fatal."""
    with rundir.opened(setup.directory) as directory:
        binary = envoy.find(setup.envoy)
        version = await envoy.version_of(binary)
        status, stop = Status(), Stop()
        applications = Applications(on_stop=stop.ask)
        words = probe.KUMA if isinstance(setup.seat, ProxySeat) else probe.PLAIN
        async with probe.serving(status, setup.readiness_port, applications, words) as port:
            _announce(setup, version, directory.path, port)
            sidecar = Sidecar(setup, directory, status=status, binary=binary, envoy_version=version)
            return await sidecar.run(stop, applications)


class Stop:
    """SIGTERM or SIGINT: the first asks to drain, the second to leave at once. Applications can ask, not insist."""

    def __init__(self) -> None:
        self.asked, self.insisted = asyncio.Event(), asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._heard, number)
        self._signalled = False

    def ask(self) -> None:
        """An application was told to stop: the whole task is to."""
        if not self.asked.is_set():
            _log.info("the application is to stop: draining")
        self.asked.set()

    def _heard(self, number: signal.Signals) -> None:
        """The signal itself may come after an application's word, and is then no second one."""
        _log.info("%s: %s", number.name, "leaving at once" if self._signalled else "draining")
        (self.insisted if self._signalled else self.asked).set()
        self._signalled = True


class Sidecar:
    """One task's agent. Construct without I/O; `run()` once."""

    def __init__(self, setup: Setup, directory: rundir.RunDirectory, *, status: Status,
                 binary: str, envoy_version: str) -> None:  # fmt: skip
        self._setup, self._directory, self._status, self._binary = setup, directory, status, binary
        key = directory.key()
        self._control_plane = ControlPlane(setup.seat.endpoint, setup.roots)
        me = identity_of(setup)
        joiner = Joiner(self._control_plane, setup.seat, key=key, identity=me, envoy_version=envoy_version)
        another = partial(has_another_proof, me)
        self._membership = Membership(Installer(joiner, key, directory, setup.seat), status, another)
        self._link = Link(self._control_plane, self._membership, status=status, identity=self._identity,
                          has_another_proof=another)  # fmt: skip
        self._admin = Admin(str(directory.path / bootstrap.ADMIN_SOCKET))
        self._envoy: envoy.Envoy | None = None
        self._watcher: Watcher | None = None
        self._started_with = ""

    async def run(self, stop: Stop, applications: Applications) -> int:
        """Serve until told to stop, then drain. Returns the exit status; raises Fatal."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, self._say_memory)
        serving = asyncio.create_task(self._serve())
        try:
            await first(serving, stop.asked)
            if serving.done():
                raise reason_of(serving)
            leaving = asyncio.create_task(self._drain(applications))
            await first(leaving, stop.insisted)
            if stop.insisted.is_set():
                leaving.cancel()
                return EXIT_AT_ONCE
            leaving.result()
            return 0
        finally:
            serving.cancel()
            await asyncio.wait([serving])  # its end kills Envoy, if it still runs
            if self._envoy is not None:
                await self._envoy.stop()

    async def _serve(self) -> None:
        async with asyncio.TaskGroup() as parts:
            parts.create_task(self._link.run())
            async for joined in self._membership.joins():
                if self._setup.seat.routed:
                    self._proxy(joined, parts)
                else:
                    self._status.update(Verdict(State.STARTING, NOT_ROUTED))
                self._link.use(joined.response.uid)

    def _proxy(self, joined: Joined, parts: asyncio.TaskGroup) -> None:
        """Have an Envoy, and watch it, as the join's answer says."""
        present = self._directory.read(bootstrap.BOOTSTRAP)
        if self._envoy is None or self._watcher is None:
            self._envoy = envoy.Envoy(self._command(joined))
            self._watcher = Watcher(self._envoy, self._admin, status=self._status, task=self._setup.task)
            for part in (self._envoy.run(), self._watcher.run(), self._say_memory_when_ready()):
                parts.create_task(part)
        elif present != self._started_with:
            _log.warning("the proxy's identity changed: starting Envoy anew")
            self._envoy.restart()
        self._started_with = present
        if isinstance(self._setup.seat, ProxySeat):
            self._watcher.use_inbounds(joined.response.probes)
        else:
            self._watcher.use(joined.response.probe)

    def _command(self, joined: Joined) -> envoy.Command:
        threads = self._setup.concurrency or bootstrap.concurrency(joined.task.cpus)
        arguments = bootstrap.envoy_arguments(concurrency=threads, log_level=self._setup.envoy_log_level)
        return envoy.Command(self._binary, arguments, self._directory.path, self._setup.output)

    async def _drain(self, applications: Applications) -> None:
        drain = Drain(self._admin, link=self._link, status=self._status, applications=applications)
        await drain.run(self._envoy, self._setup.drain_seconds)

    def _identity(self) -> ssl.SSLContext:
        path = self._directory.path
        return load_identity(self._control_plane.tls(), str(path / CONTROL_CHAIN), str(path / rundir.KEY))

    async def _say_memory_when_ready(self) -> None:
        await self._status.wait_state(State.READY)
        self._say_memory()

    def _say_memory(self) -> None:
        _log.info("memory of the agent: %s", memory())
        if self._envoy and self._envoy.running:
            _log.info("memory of Envoy: %s", memory(self._envoy.pid))


async def first(work: "asyncio.Task[None]", event: asyncio.Event) -> None:
    """Wait for the work's end or for the event. Raises nothing of the work's."""
    waiting = asyncio.create_task(event.wait())
    try:
        await asyncio.wait([work, waiting], return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()


def reason_of(ended: "asyncio.Task[None]") -> BaseException:
    """Why a task that should never end did: the `Fatal` in it if there is one."""
    error: BaseException = ended.exception() or RuntimeError("the agent's work ended by itself")
    if isinstance(error, BaseExceptionGroup):
        return next((e for e in error.exceptions if isinstance(e, Fatal)), error)
    return error


def _announce(setup: Setup, envoy_version: str, directory: Path, port: int) -> None:
    seat = setup.seat
    _log.info("outrig agent %s with Envoy %s", __version__, envoy_version)
    _log.info("joining %s at %s", seat, seat.endpoint)
    _log.info("readiness on 127.0.0.1:%d, files in %s", port, directory)
    for notice in setup.notices:
        _log.warning("%s", notice)
    if not seat.endpoint.verify:
        _log.warning("INSECURE: verification is off, so whoever answers at %s is believed: for development only",
                     seat.endpoint)  # fmt: skip
    if not seat.routed:
        _log.warning("%s", NOT_ROUTED)
