"""Become another program that the kernel kills when the one that started it dies, even by SIGKILL.

Run as a script, `leash.py PARENT PROGRAM ARGUMENT…`, with the parent's process id: between fork and exec only a
program of its own is safe from the parent's threads. Source: prctl(2), PR_SET_PDEATHSIG.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(parent: int, command: list[str]) -> None:
    """Never returns. Ends at once if the parent is already gone, since no signal would come then."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(1)
    try:
        os.execv(command[0], command)  # noqa: S606 - the command is the agent's own
    except OSError as error:
        sys.exit(f"{command[0]}: {error.strerror}")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
