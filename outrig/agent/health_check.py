"""`outrig agent healthy`, for a container health check: asks the agent of this task whether the workload is ready.

In: the environment. Out: an exit status, 0 only when it says `ready`, and a line that says what it says.
It runs in every task every few seconds, so it is a socket and nothing else.
"""

import os
import socket
from collections.abc import Mapping

PORT = 9902
PATIENCE = 2.0  # seconds
_ASK = b"GET /ready HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n\r\n"


def main(environment: Mapping[str, str] = os.environ) -> int:
    """The exit status."""
    text = environment.get("OUTRIG_READINESS_PORT", "") or environment.get("KUMA_READINESS_PORT", "") or str(PORT)
    if not (text.isascii() and text.isdecimal() and int(text) <= 65535):
        print(f"OUTRIG_READINESS_PORT: expected a whole number from 0 to 65535, got {text!r}")
        return 1
    ready, line = ask(int(text))
    print(line)
    return 0 if ready else 1


def ask(port: int) -> tuple[bool, str]:
    """Whether an agent on this machine says it is ready, and what it says."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
            connection.sendall(_ASK)
            head, _, body = connection.makefile("rb").read(4096).partition(b"\r\n\r\n")
    except OSError as error:
        return False, f"no agent answers on 127.0.0.1:{port}: {error}"
    return head.startswith(b"HTTP/1.1 200 "), body.decode(errors="replace").strip()
