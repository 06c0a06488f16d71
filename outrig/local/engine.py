"""The ECS engine: starts tasks, follows them through their supervisors, and keeps services at their desired count.

State is changed under one lock, by API requests and by the engine's own thread, which reads the supervisors' events
and wakes for the next back-off. AWS facts (clusters, definitions, roles) stay in moto; tasks and services live here.
"""

import os
import selectors
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from outrig.local.addresses import Addresses
from outrig.local.awslogs import LogDelivery
from outrig.local.channel import Channel, Document
from outrig.local.definition import Definition
from outrig.local.discovery import Registrations
from outrig.local.identities import RoleCredentials, role_exists
from outrig.local.launching import CannotPull, Launcher
from outrig.local.logs import Logged, note_task
from outrig.local.orders import LaunchOrder
from outrig.local.planning import plan
from outrig.local.rollout import say_started, say_stopped, settle
from outrig.local.secret_values import CannotInitialize
from outrig.local.services import PROVEN_AFTER, STEADY_AFTER, Deployment, Network, Service
from outrig.local.sessions import Sessions
from outrig.local.spreading import emptiest
from outrig.local.tasks import Attachment, Place, Request, Task, TaskContainer

_STOPPED_KEPT = 100
_NO_ROLE = (
    "ECS was unable to assume the role '{role}' that was provided for this task. Please verify that the role being "
    "passed has the proper trust relationship and permissions and that your IAM user has permissions to pass this role."
)
_SUPERVISOR_ENDED = "The task's supervisor ended"

Listener = Callable[[Document | None], None]


class Engine:
    """Everything that runs. `lock` guards all of it; `run()` never returns."""

    def __init__(self, launcher: Launcher, orders: Channel) -> None:
        self.lock = threading.RLock()
        self.tasks: dict[str, Task] = {}
        self.services: list[Service] = []
        self.credentials = RoleCredentials()
        self.log_delivery = LogDelivery(launcher.state)
        self.sessions = Sessions()
        self._launcher = launcher
        self._orders = orders
        self._addresses = Addresses()
        self._registrations = Registrations()
        self._selector = selectors.DefaultSelector()
        self._woken, self._wake = os.pipe()
        self._selector.register(self._woken, selectors.EVENT_READ, None)

    def run(self) -> None:
        """Read events and reconcile, for ever."""
        while True:
            for key, _ in self._selector.select(self._pause()):
                if key.data is None:
                    os.read(self._woken, 4096)
                else:
                    self._receive(cast("Channel", key.fileobj), key.data)
            with self.lock:
                for service in list(self.services):
                    self._reconcile(service)
                    self._registrations.follow(service, self.tasks_of(service))

    @property
    def control(self) -> Path:
        """The control socket, where clients with a session's token come."""
        return self._launcher.state.control

    def changed(self) -> None:
        """Have the engine look at its services again."""
        os.write(self._wake, b".")

    def launch(self, order: LaunchOrder, listener: Listener) -> Channel:
        """Fork a supervisor for `order`; `listener` gets its events, and `None` when it is gone."""
        ours, theirs = Channel.pair()
        self._orders.send(order.encode(), [theirs.fileno()])
        theirs.close()
        self._selector.register(ours, selectors.EVENT_READ, listener)
        self.changed()
        return ours

    def start_task(self, place: Place, definition: Definition, network: Network, request: Request) -> Task:
        """Start one task, or make one that is STOPPED and says why it could not start."""
        with self.lock:
            attachment = Attachment(self._addresses.take(), network.zone, network.subnet)
            task = Task(place, definition, attachment, request)
            task.containers = [TaskContainer(container) for container in definition.containers]
            self.tasks[task.id] = task
            for role in filter(None, (task.role_arn, task.execution_role_arn)):
                if not role_exists(role):
                    return self._refuse(task, _NO_ROLE.format(role=role))
            try:
                order = self._launcher.task_order(task)
                self.log_delivery.open(task)
            except (CannotPull, CannotInitialize) as error:
                return self._refuse(task, str(error))
            note_task(self._launcher.state, Logged(task.id, request.group, [one.name for one in task.containers]))
            task.last_status = "PENDING"
            task.channel = self.launch(order, lambda event: self._task_event(task, event))
            return task

    def stop_task(self, task: Task, reason: str, code: str) -> None:
        """Ask the task to end; it is STOPPED once its containers are gone."""
        with self.lock:
            task.begin_stopping(reason, code)
            self._registrations.withdraw(task)
            if task.channel is not None:
                task.channel.offer({"do": "stop", "reason": reason})

    def tasks_of(self, service: Service) -> list[Task]:
        return [task for task in self.tasks.values() if task.request.service == service.arn]

    def task_at(self, address: str) -> Task | None:
        """The living task behind an address of the VPC."""
        alive = (task for task in self.tasks.values() if task.last_status != "STOPPED")
        return next((task for task in alive if task.attachment.address == address), None)

    def _receive(self, channel: Channel, listener: Listener) -> None:
        received = channel.receive()
        with self.lock:
            if received is None:
                self._selector.unregister(channel)
                channel.close()
                listener(None)
            else:
                listener(received[0])

    def _task_event(self, task: Task, event: Document | None) -> None:
        if event is None:
            self._ended_by_itself(task, _SUPERVISOR_ENDED)
            self._finish(task)
            return
        match event["event"]:
            case "supervising":
                task.pid_namespace = cast("int", event["pid_namespace"])
            case "stopping":
                self._ended_by_itself(task, str(event["reason"]))
            case "started" | "exited" | "health":
                _container_event(task, event)
                if task.checked and task.serving:
                    self._each_deployment_of(task, Deployment.task_lived)

    def _refuse(self, task: Task, reason: str) -> Task:
        self._ended_by_itself(task, reason)
        self._finish(task)
        self.changed()
        return task

    def _finish(self, task: Task) -> None:
        task.finish()
        self._addresses.give_back(task.attachment.address)
        self.credentials.forget(task.id)
        self.log_delivery.close(task)
        stopped = [one for one in self.tasks.values() if one.last_status == "STOPPED"]
        for old in stopped[:-_STOPPED_KEPT]:
            del self.tasks[old.id]

    def _ended_by_itself(self, task: Task, reason: str) -> None:
        """Nobody asked the task to end: one that did so early in life slows its deployment down."""
        if task.desired_status != "RUNNING":
            return
        task.begin_stopping(reason, "EssentialContainerExited" if task.started_at else "TaskFailedToStart")
        self._registrations.withdraw(task)
        if task.age(datetime.now(UTC)) > STEADY_AFTER:
            self._each_deployment_of(task, Deployment.task_lived)
        else:
            self._failed(task)

    def _failed(self, task: Task) -> None:
        now = time.monotonic()
        self._each_deployment_of(task, lambda deployment: deployment.task_ended_early(now))

    def _each_deployment_of(self, task: Task, note: Callable[[Deployment], None]) -> None:
        deployments = [one for service in self.services for one in service.deployments]
        for deployment in deployments:
            if deployment.id == task.request.deployment:
                note(deployment)

    def _pause(self) -> float | None:
        """Seconds until the next back-off ends or the next task is proven; `None` if there is nothing to wait for."""
        with self.lock:
            now = time.monotonic()
            ends = [service.primary.retry_at - now for service in self.services if service.status == "ACTIVE"]
            unproven = [one for one in self.tasks.values() if one.serving and not one.proven and one.request.service]
            ends += [max(PROVEN_AFTER - one.age(datetime.now(UTC)), 0.05) for one in unproven]
        return min((end for end in ends if end > 0), default=None)

    def _reconcile(self, service: Service) -> None:
        tasks = self.tasks_of(service)
        for task in tasks:
            task.proven = task.proven or task.age(datetime.now(UTC)) >= PROVEN_AFTER
        step = plan(service, tasks, now=time.monotonic())
        say_stopped(service, step.stop)
        for task in step.stop:
            self._replace(task)
        say_started(service, [self._start_for(service, service.primary) for _ in range(step.start)])
        settle(service, self.tasks_of(service), stuck=step.stuck)

    def _replace(self, task: Task) -> None:
        """Stop a task that its service does not want, or that its health check gave up on."""
        reason = f"Scaling activity initiated by (deployment {task.request.deployment})"
        if task.unhealthy:
            self._failed(task)
            reason = "Task failed container health checks"
        self.stop_task(task, reason, "ServiceSchedulerInitiated")

    def _start_for(self, service: Service, deployment: Deployment) -> Task:
        request = Request(
            group=f"service:{service.name}",
            started_by=deployment.id,
            service=service.arn,
            deployment=deployment.id,
            tags=service.tags if service.propagate_tags == "SERVICE" else [],
            execute_command=service.execute_command,
        )
        everybody = list(self.tasks.values())
        network = emptiest(service.networks, everybody, service=service.arn, deployment=deployment.id)
        return self.start_task(service.place, deployment.definition, network, request)


def _container_event(task: Task, event: Document) -> None:
    container = task.container(str(event["container"]))
    if container is None:
        return
    match event["event"]:
        case "started":
            container.status, container.pid = "RUNNING", cast("int", event["pid"])
            container.started_at = datetime.now(UTC)
        case "exited":
            container.status, container.pid = "STOPPED", None
            container.exit_code, container.reason = cast("int | None", event["code"]), str(event["reason"])
        case "health":
            container.health, container.health_since = str(event["status"]), datetime.now(UTC)
    everything_started = all(one.status != "PENDING" for one in task.containers)
    if task.last_status == "PENDING" and task.desired_status == "RUNNING" and everything_started:
        task.last_status, task.started_at = "RUNNING", datetime.now(UTC)
