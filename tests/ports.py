"""Ports that are nobody else's: of each process a lot of its own, below those that the kernel gives away itself.

A port found by binding to 0 is free only at that moment. Envoy opens its listeners a second later and shares their
ports (SO_REUSEPORT), so two tests that were given the same one would both start, and answer each other's calls.
"""

import fcntl
import os
import socket
import tempfile
from collections.abc import Iterator
from functools import cache
from itertools import cycle
from pathlib import Path

_FIRST, _LAST, _LOT = 16_000, 32_000, 400
_held: list[int] = []  # the lock on the lot, until the process ends


def free_port() -> int:
    """A port of the loopback that is in no use, and that this process was not given lately."""
    return next(port for port in _lot() if _is_free(port))


@cache
def _lot() -> Iterator[int]:
    """Endless: every caller goes on where the one before stopped."""
    directory = Path(tempfile.gettempdir(), f"outrig-test-ports-{os.getuid()}")
    directory.mkdir(exist_ok=True)
    for first in range(_FIRST, _LAST, _LOT):
        lock = os.open(directory / str(first), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            continue
        _held.append(lock)
        return cycle(range(first, first + _LOT))
    raise RuntimeError(f"all lots of ports are taken; see {directory}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
