"""The emulator's control socket: status, running a command in a container, signalling a main process.

In: one JSON request per connection, from the user who owns the state directory.  Out: one answer; a status comes in
a descriptor, since it has no bound. `execute` is handed to the task's supervisor together with the connection.
"""

import json
import os
import socket
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from outrig.local.channel import Channel, Document, close_all
from outrig.local.choosing import is_clear, meant
from outrig.local.engine import Engine
from outrig.local.hosts import Host, Hosts
from outrig.local.layout import Settings, StateDirectory
from outrig.local.tasks import Task


class Refused(Exception):
    """A request that cannot be met; its text is for the user."""


@dataclass(frozen=True, slots=True)
class Target:
    """A container that runs, and the way to its supervisor."""

    container: str
    channel: Channel


class Control:
    """Serves the socket; a thread per connection."""

    def __init__(self, settings: Settings, engine: Engine, hosts: Hosts) -> None:
        self._settings = settings
        self._engine = engine
        self._hosts = hosts

    def run(self) -> None:
        listener = socket.socket(fileno=self._settings.control)
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=self._serve, args=(Channel(connection),), daemon=True).start()

    def _serve(self, caller: Channel) -> None:
        received = caller.receive()
        if received is not None:
            request, descriptors = received
            try:
                self._answer(caller, request, descriptors)
            except Refused as refusal:
                caller.offer({"problem": str(refusal)})
            finally:
                close_all(descriptors)
        caller.close()

    def _answer(self, caller: Channel, request: Document, descriptors: list[int]) -> None:
        match request["do"]:
            case "status":
                caller.offer({}, [_as_file(self.status())])
            case "execute":
                target = self._target(str(request["task"]), cast("str | None", request["container"]))
                message: Document = {"do": "execute", "container": target.container, "command": request["command"]}
                self._hand_over(caller, target, message, descriptors)
            case "session":
                session = self._engine.sessions.take(str(request["token"]))
                if session is None:
                    raise Refused("no such session: its token was used, or never given")
                target = self._target(session.task, session.container)
                message = {
                    "do": "execute",
                    "container": target.container,
                    "command": session.command,
                    "terminal": request["terminal"],
                }
                self._hand_over(caller, target, message, descriptors)
            case "signal":
                target = self._target(str(request["task"]), cast("str | None", request["container"]), sure=True)
                target.channel.offer({"do": "signal", "container": target.container, "signal": request["signal"]})
                caller.offer({"container": target.container})
            case other:
                raise Refused(f"unknown request {other!r}")

    def _hand_over(self, caller: Channel, target: Target, message: Document, descriptors: list[int]) -> None:
        """Let the task's supervisor deal with the caller: it has the standard descriptors, and answers itself."""
        if not target.channel.offer(message, [*descriptors[:3], caller.fileno()]):
            raise Refused("the task has just ended")

    def status(self) -> dict[str, Any]:
        """Everything that runs. Pids are pairs (PID namespace, pid in it), which a client outside translates."""
        own = Path("/proc/self/ns/pid").stat().st_ino
        with self._engine.lock:
            return {
                "processes": {"launcher": self._settings.launcher, "vpcPid": [own, 1], "awsPid": [own, os.getpid()]},
                "tasks": [_task(task, self._settings.state) for task in self._engine.tasks.values()],
                "instances": [self._instance(host) for host in self._hosts.all.values()],
            }

    def _instance(self, host: Host) -> dict[str, Any]:
        listeners = self._settings.published.get(host.name, {})
        return {
            "name": host.name,
            "address": host.order.address,
            "ready": host.ready,
            "exits": host.exits,
            "pid": _pid(host.pid_namespace, host.pid),
            "supervisorPid": _pid(host.pid_namespace, 1),
            "published": {name: listener.host_port for name, listener in listeners.items()},
            "log": str(host.log),
        }

    def _target(self, name: str, container: str | None, *, sure: bool = False) -> Target:
        """`sure`: where it is not clear which container is meant, it has to be said."""
        with self._engine.lock:
            host = self._hosts.all.get(name)
            if host is not None and host.channel is not None:
                return Target(host.name, host.channel)
            task = self._task(name)
            running = [one.name for one in task.containers if one.status == "RUNNING"]
            if container is None and running:
                if sure and not is_clear(task.request.group, running):
                    raise Refused(f"task {task.id} has several containers, so say which: {', '.join(running)}")
                container = meant(task.request.group, running)
            if container not in running or task.channel is None:
                raise Refused(f"task {task.id} has no running container {container!r}; running: {', '.join(running)}")
            return Target(container, task.channel)

    def _task(self, name: str) -> Task:
        living = [task for task in self._engine.tasks.values() if task.last_status != "STOPPED"]
        by_id = [task for task in living if task.id.startswith(name)] if name else []
        by_service = [task for task in living if task.request.group == f"service:{name}"]
        by_service.sort(key=lambda task: (task.serving, task.created_at))
        if len(by_id) > 1:
            raise Refused(f"{name!r} is the beginning of {len(by_id)} task ids")
        found = by_id or by_service
        if not found:
            raise Refused(f"no living task, service or instance {name!r}")
        return found[-1]


def _task(task: Task, state: StateDirectory) -> dict[str, Any]:
    return {
        "id": task.id,
        "arn": task.arn,
        "group": task.request.group,
        "family": task.definition.family,
        "revision": task.definition.revision,
        "cluster": task.place.cluster,
        "lastStatus": task.last_status,
        "desiredStatus": task.desired_status,
        "stoppedReason": task.stopped_reason,
        "address": task.attachment.address,
        "zone": task.attachment.zone,
        "supervisorPid": _pid(task.pid_namespace, 1) if task.channel else None,
        "containers": [
            {
                "name": one.name,
                "status": one.status,
                "health": one.health,
                "exitCode": one.exit_code,
                "pid": _pid(task.pid_namespace, one.pid),
                "log": str(state.task_log(task.id, one.name)),
            }
            for one in task.containers
        ],
    }


def _pid(namespace: int | None, pid: int | None) -> list[int] | None:
    return [namespace, pid] if namespace is not None and pid is not None else None


def _as_file(document: dict[str, Any]) -> int:
    file = os.memfd_create("status")
    os.write(file, json.dumps(document).encode())
    os.lseek(file, 0, os.SEEK_SET)
    return file
