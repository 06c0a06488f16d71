"""Cleans up after a demo that could not do it itself: waits for standard input to end, which the demo holds open.

usage: python -m demo.janitor LAUNCHER_PID DIRECTORY
"""

import os
import shutil
import signal
import sys
import time
from pathlib import Path

PATIENCE = 20.0


def gone(pid: int) -> bool:
    """Whether there is no such process any more."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state == "Z"


def end(pid: int) -> None:
    """Ask the process to end; insist when it does not."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if gone(pid):
            return
        os.kill(pid, number)
        deadline = time.monotonic() + PATIENCE
        while not gone(pid) and time.monotonic() < deadline:
            time.sleep(0.05)


def main() -> None:
    """Wait, end, remove. After a demo that ended well there is nothing left to do."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.stdin.buffer.read()
    directory = Path(sys.argv[2])
    if directory.exists():
        end(int(sys.argv[1]))
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
