"""A command of a readiness probe, run beside the agent: bounded in time and output, and ended with all it started.

It has a process group of its own, an almost empty environment (no credentials, nothing of the agent's configuration)
and no input. What it forks outlives it only by leaving its process group.
"""

import asyncio
import os
import signal
from contextlib import suppress

_PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "TZ", "TMPDIR", "HOME", "LANG")
_KEPT = 200  # bytes of its output that are worth telling
_SLICE, _PAUSE = 64 * 1024, 0.01  # output is taken in slices with pauses, so that a flood costs little
_LAST_WAIT = 1.0  # seconds for killed processes to be gone


async def run(command: tuple[str, ...], seconds: float) -> str:
    """What is wrong; empty if the command ended with status 0 in time."""
    source, sink = os.pipe()
    os.set_blocking(source, False)
    try:
        try:
            process = await _start(command, sink)
        except (OSError, ValueError, RuntimeError) as error:  # the last where no thread can be had to wait for it
            return f"cannot be run: {getattr(error, 'strerror', None) or error}"
        finally:
            os.close(sink)
        return await _watch(process, source, seconds)
    finally:
        os.close(source)


async def _start(command: tuple[str, ...], output: int) -> asyncio.subprocess.Process:
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return await asyncio.create_subprocess_exec(
        *command, env=environment, stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output, process_group=0
    )


async def _watch(process: asyncio.subprocess.Process, source: int, seconds: float) -> str:
    said = bytearray()
    taking = asyncio.create_task(_take(source, said))
    try:
        async with asyncio.timeout(seconds):
            status = await process.wait()
    except TimeoutError:
        return f"did not end within {seconds:g} s"
    finally:
        taking.cancel()
        await asyncio.wait([taking])
        await _end(process)
    with suppress(BlockingIOError):
        said += os.read(source, _KEPT)
    return "" if status == 0 else _failure(status, bytes(said[:_KEPT]))


async def _take(source: int, said: bytearray) -> None:
    """Keep the first bytes that come, drop the others, until the end of them."""
    loop, readable = asyncio.get_running_loop(), asyncio.Event()
    while True:
        loop.add_reader(source, readable.set)
        try:
            await readable.wait()
        finally:
            loop.remove_reader(source)
        readable.clear()
        taken = os.read(source, _SLICE)
        if not taken:
            return
        said += taken[: _KEPT - len(said)] if len(said) < _KEPT else b""
        await asyncio.sleep(_PAUSE)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kill whatever is left of the group; wait for it, unless the kernel cannot end it."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with suppress(TimeoutError):
        async with asyncio.timeout(_LAST_WAIT):
            await process.wait()
            await _reap(process.pid)


async def _reap(group: int) -> None:
    """Where the agent is process 1 of its container, what the command left behind are its children now."""
    while _has_children(group):  # noqa: ASYNC110 - there is no event for somebody else's child
        await asyncio.sleep(_PAUSE)


def _has_children(group: int) -> bool:
    """Whether there are children in that process group, after collecting those that have ended."""
    try:
        while os.waitid(os.P_PGID, group, os.WEXITED | os.WNOHANG):
            pass
    except ChildProcessError:
        return False
    return True


def _failure(status: int, said: bytes) -> str:
    how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
    words = " ".join(said.decode(errors="replace").split())
    return f"{how}: {words}" if words else how
