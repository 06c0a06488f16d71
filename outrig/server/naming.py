"""What this process is called among the replicas of a control plane."""

import secrets
import socket


def replica_name(*, shared: bool) -> str:
    """The host's name. On a `shared` store with four random digits, so that no two processes ever have the same one.

    Where nobody else can be on the store, a process that starts again is the same replica: nothing is written anew.
    """
    host = socket.gethostname()
    return f"{host}-{secrets.token_hex(2)}" if shared else host
