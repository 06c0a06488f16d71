"""`outrig app-entrypoint`: who is told to end when, as real processes against the agent's own readiness server."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from outrig.agent import entrypoint, probe
from outrig.agent.leaving import Applications
from outrig.agent.status import Status

pytestmark = pytest.mark.slow

BOUND = 20.0
SAYS_HOW_IT_ENDS = "trap 'echo TERM; exit 5' TERM; trap 'echo QUIT; exit 6' QUIT; echo up; while :; do sleep 0.02; done"


class Wrapped:
    """A running entrypoint."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def says(self) -> str:
        assert self.process.stdout is not None
        async with asyncio.timeout(BOUND):
            return (await self.process.stdout.readline()).decode().strip()

    async def ended(self) -> int:
        async with asyncio.timeout(BOUND):
            return await self.process.wait()

    def signal(self, number: int) -> None:
        self.process.send_signal(number)


@asynccontextmanager
async def wrapped(*command: str, port: int = 1, wait: str = "") -> AsyncIterator[Wrapped]:
    """The command under an entrypoint. Port 1: nobody listens there."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", entrypoint.__file__, "--", *command),
        env={"PATH": os.environ["PATH"], "OUTRIG_READINESS_PORT": str(port), "OUTRIG_APP_WAIT_SECONDS": wait},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield Wrapped(process)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.communicate()


@asynccontextmanager
async def application(port: int = 1, wait: str = "") -> AsyncIterator[Wrapped]:
    """A shell that says by which signal it ends, once it is up."""
    async with wrapped("sh", "-c", SAYS_HOW_IT_ENDS, port=port, wait=wait) as found:
        assert await found.says() == "up"
        yield found


@asynccontextmanager
async def agent() -> AsyncIterator[tuple[Applications, int, asyncio.Event]]:
    """The agent's half: its applications, its port, and whether it was told to stop."""
    asked = asyncio.Event()
    applications = Applications(on_stop=asked.set)
    async with probe.serving(Status(), 0, applications) as port:
        yield applications, port, asked


async def known(applications: Applications, number: int = 1) -> None:
    async with asyncio.timeout(BOUND):
        while applications.waiting != number:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(("script", "status"), [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137), ("kill $$", 143)])
async def test_it_exits_as_the_application_does(script: str, status: int) -> None:
    async with wrapped("sh", "-c", script) as found:
        assert await found.ended() == status


@pytest.mark.parametrize(("command", "status"), [("/nowhere/at-all", 127), (__file__, 126)])
async def test_a_command_that_cannot_be_run_has_the_shells_status(command: str, status: int) -> None:
    async with wrapped(command) as found:
        assert await found.ended() == status


@pytest.mark.parametrize("arguments", [[], ["--"], ["sleep", "1"]])
def test_a_call_without_a_command_is_refused_with_the_usage(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert entrypoint.main(arguments, {}) == 2
    assert entrypoint.USAGE in capsys.readouterr().err


@pytest.mark.parametrize("name", ["OUTRIG_APP_WAIT_SECONDS", "OUTRIG_READINESS_PORT"])
def test_a_wrong_setting_is_named(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert entrypoint.main(["--", "true"], {name: "soon"}) == 2
    assert f"{name}: expected a whole number, got 'soon'" in capsys.readouterr().err


async def test_the_application_inherits_no_ignored_and_no_blocked_signal() -> None:
    script = "grep -E 'Sig(Blk|Ign)' /proc/self/status"
    async with wrapped("sh", "-c", script) as found:
        masks = [int((await found.says()).split()[1], 16) for _ in range(2)]
    own = 1 << 31 | 1 << 32  # 32 and 33 are the C library's: it has them ignored in what it spawns
    assert [mask & ~own for mask in masks] == [0, 0]


async def test_signals_that_do_not_stop_are_passed_on_at_once() -> None:
    async with wrapped("sh", "-c", "trap 'echo usr1; exit 3' USR1; echo up; while :; do sleep 0.02; done") as found:
        await found.says()
        found.signal(signal.SIGUSR1)
        assert await found.says() == "usr1"
        assert await found.ended() == 3


async def test_orphans_are_reaped_while_the_application_runs() -> None:
    """As process 1 of a container; here the orphans come to it because it asks to be their subreaper."""
    subreaper = (
        "import ctypes, sys; ctypes.CDLL(None).prctl(36, 1); sys.argv[:1] = ['x'];"
        f"sys.path.insert(0, {str(Path(entrypoint.__file__).parent)!r}); import entrypoint;"
        "sys.exit(entrypoint.main(sys.argv[1:], {'OUTRIG_READINESS_PORT': '1'}))"
    )
    script = "(sh -c 'exit 0' & exit 0); sleep 0.2; echo up; while :; do sleep 0.02; done"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-c", subreaper, "--", "sh", "-c", script), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert (await process.stdout.readline()).strip() == b"up"
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        assert len(children) == 1, "only the application itself"
    finally:
        process.terminate()
        await process.communicate()


async def test_without_an_agent_a_stop_is_passed_on_at_once() -> None:
    async with application() as app:
        app.signal(signal.SIGQUIT)
        assert await app.says() == "QUIT"
        assert await app.ended() == 6


async def test_the_application_is_stopped_once_the_agent_has_drained_and_the_agent_waits_for_its_end() -> None:
    async with agent() as (applications, port, asked), application(port) as app:
        await known(applications)
        app.signal(signal.SIGQUIT)
        async with asyncio.timeout(BOUND):
            await asked.wait()
        assert app.process.returncode is None
        await applications.end(BOUND)
        assert applications.waiting == 0
        assert await app.says() == "QUIT"
        assert await app.ended() == 6


async def test_an_agent_that_was_stopped_alone_ends_the_application_after_its_drain() -> None:
    async with agent() as (applications, port, asked), application(port) as app:
        await known(applications)
        await applications.end(BOUND)
        assert await app.ended() == 5
        assert not asked.is_set()


async def test_an_agent_that_came_later_than_the_application_is_asked_too() -> None:
    async with agent() as (applications, port, _):
        pass
    async with application(port) as app:
        applications = Applications()
        async with probe.serving(Status(), port, applications):
            app.signal(signal.SIGTERM)
            await known(applications)
            await applications.end(BOUND)
            assert await app.ended() == 5


async def test_an_agent_that_is_gone_is_not_waited_for() -> None:
    async def vanish(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(vanish, "127.0.0.1", 0)
    async with server, application(server.sockets[0].getsockname()[1]) as app:
        app.signal(signal.SIGTERM)
        assert await app.ended() == 5


async def test_an_agent_that_never_drains_is_waited_for_no_longer_than_told() -> None:
    async with agent() as (applications, port, asked), application(port, wait="1") as app:
        await known(applications)
        app.signal(signal.SIGTERM)
        async with asyncio.timeout(BOUND):
            await asked.wait()
        assert await app.ended() == 5


async def test_who_is_told_to_stop_twice_waits_no_longer() -> None:
    async with agent() as (applications, port, asked), application(port) as app:
        await known(applications)
        app.signal(signal.SIGTERM)
        async with asyncio.timeout(BOUND):
            await asked.wait()
        app.signal(signal.SIGTERM)
        assert await app.ended() == 5


async def test_the_agent_waits_no_longer_than_its_bound_for_an_application_that_does_not_end() -> None:
    stubborn = ("sh", "-c", "trap '' TERM; echo up; sleep 60")
    async with agent() as (applications, port, _), wrapped(*stubborn, port=port) as app:
        assert await app.says() == "up"
        await known(applications)
        await applications.end(0.05)
        assert applications.waiting == 1
