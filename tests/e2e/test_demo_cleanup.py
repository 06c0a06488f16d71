"""Whatever ends the demo, nothing of it stays: no process, no directory."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
DEADLINE = 60.0


@pytest.fixture
def demo(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """A demo whose stage is set and that plays; its files are under `tmp_path`."""
    process = subprocess.Popen(
        [sys.executable, "-m", "demo"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        start_new_session=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(" 1 "):
            break
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def until(look: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + DEADLINE
    while not look():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def processes_of(directory: Path) -> list[str]:
    """Command lines of the processes that name the directory."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(directory) in line:
            found.append(line)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_a_demo_that_is_ended_leaves_nothing_behind(
    demo: "subprocess.Popen[str]", tmp_path: Path, number: signal.Signals
) -> None:
    assert processes_of(tmp_path)
    demo.send_signal(number)
    until(lambda: not any(tmp_path.iterdir()), "the demo's directory is still there")
    until(lambda: not processes_of(tmp_path), "processes of the demo are still there")
    assert demo.wait(timeout=DEADLINE) != 0
