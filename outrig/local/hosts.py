"""The scene's instances: long-running processes behind fixed addresses, kept alive like EC2 hosts.

A supervisor restarts its process by itself, in the same namespaces. Only when the supervisor dies is the whole host
made anew, at the same address. `up` waits here until every instance is ready, or one has failed too often.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from outrig.local.channel import Channel, Document
from outrig.local.engine import Engine
from outrig.local.orders import LaunchOrder

_TRIES = 5
_LINES_SHOWN = 20


@dataclass(slots=True, eq=False)
class Host:
    """One instance as it runs. `pid` is in its own PID namespace; `exits` counts the ends of its process."""

    name: str
    order: LaunchOrder
    channel: Channel | None = None
    pid_namespace: int | None = None
    pid: int | None = None
    exits: int = 0
    ready: bool = False

    @property
    def log(self) -> Path:
        return Path(self.order.containers[0].log)


class HostFailed(Exception):
    """An instance that ended again and again before it was ready."""


class Hosts:
    """All instances. `engine.lock` guards them."""

    def __init__(self, engine: Engine, orders: list[LaunchOrder], say: Callable[[str], None]) -> None:
        self._engine = engine
        self._say = say
        self._changed = threading.Condition(engine.lock)
        self.all = {order.key: Host(order.key, order) for order in orders}

    def start(self) -> None:
        for host in self.all.values():
            self._launch(host)

    def wait_ready(self) -> None:
        """Return when all are ready. Raises `HostFailed` with the end of the log of one that keeps ending."""
        with self._changed:
            while not all(host.ready for host in self.all.values()):
                for host in self.all.values():
                    if not host.ready and host.exits >= _TRIES:
                        raise HostFailed(_obituary(host))
                self._changed.wait()

    def _launch(self, host: Host) -> None:
        host.channel = self._engine.launch(host.order, lambda event: self._event(host, event))

    def _event(self, host: Host, event: Document | None) -> None:
        match event["event"] if event else None:
            case None:
                host.pid = host.pid_namespace = None
                host.exits += 1
                if host.ready or host.exits < _TRIES:
                    self._launch(host)
            case "supervising" if event:
                host.pid_namespace = cast("int", event["pid_namespace"])
            case "started" if event:
                host.pid = cast("int", event["pid"])
                if host.order.ready is None:
                    self._is_ready(host)
            case "exited":
                host.pid, host.exits = None, host.exits + 1
            case "ready":
                self._is_ready(host)
        self._changed.notify_all()

    def _is_ready(self, host: Host) -> None:
        if not host.ready:
            host.ready = True
            self._say(f"instance {host.name} is ready")


def _obituary(host: Host) -> str:
    try:
        tail = host.log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LINES_SHOWN:]
    except OSError as error:
        tail = [str(error)]
    return "\n".join([f"instance {host.name} ended {host.exits} times before it was ready; {host.log}:", *tail])
