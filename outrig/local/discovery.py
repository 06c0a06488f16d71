"""Tasks in Cloud Map: each is an instance of its service's registry from when it serves to when it leaves.

In: services and their tasks, after each change.  Out: instances under the tasks' ids, with the attributes ECS gives
them, and their health where the registry keeps one.
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from moto.core.exceptions import JsonRESTError
from moto.servicediscovery.exceptions import InstanceNotFound, ServiceNotFound

from outrig.local.service_registry import Registry
from outrig.local.services import Service
from outrig.local.tasks import Task


@dataclass(frozen=True, slots=True)
class Registered:
    """Where a task is registered, and what is said there of its health."""

    registry: Registry
    healthy: bool


class Registrations:
    """What is registered, by task id. The engine's lock guards it."""

    def __init__(self) -> None:
        self._registered: dict[str, Registered] = {}

    def follow(self, service: Service, tasks: Iterable[Task]) -> None:
        """Register the tasks of `service` that serve. One that turns unhealthy stays, and the registry is told."""
        for task in tasks:
            known = self._registered.get(task.id)
            if known is not None and known.registry != service.registry:
                self.withdraw(task)
                known = None
            runs = task.last_status == "RUNNING" and task.desired_status == "RUNNING"
            if (
                service.registry is not None
                and runs
                and (task.serving if known is None else known.healthy != task.serving)
            ):
                self._register(service, service.registry, task)

    def withdraw(self, task: Task) -> None:
        """Take a task out: it is about to stop, or has ended."""
        known = self._registered.pop(task.id, None)
        if known is not None:
            with suppress(InstanceNotFound, ServiceNotFound):  # somebody has already taken it out
                known.registry.cloud_map.deregister_instance(known.registry.service_id, task.id)

    def _register(self, service: Service, registry: Registry, task: Task) -> None:
        """What Cloud Map refuses becomes one of the service's events."""
        try:
            if task.id not in self._registered:
                attributes = _attributes(service, registry, task)
                registry.cloud_map.register_instance(registry.service_id, task.id, None, attributes)
            if registry.cloud_map.get_service(registry.service_id).health_check_custom_config is not None:
                status = "HEALTHY" if task.serving else "UNHEALTHY"
                registry.cloud_map.update_instance_custom_health_status(registry.service_id, task.id, status)
        except JsonRESTError as error:
            service.say(f"was unable to register (task {task.id}) in {registry.arn}: {error.message}")
        else:
            self._registered[task.id] = Registered(registry, task.serving)


def _attributes(service: Service, registry: Registry, task: Task) -> dict[str, str]:
    attributes = {
        "AVAILABILITY_ZONE": task.attachment.zone,
        "AWS_INSTANCE_IPV4": task.attachment.address,
        "ECS_CLUSTER_NAME": task.place.cluster,
        "ECS_SERVICE_NAME": service.name,
        "ECS_TASK_DEFINITION_FAMILY": task.definition.family,
        "REGION": task.place.region,
    }
    return {**attributes, "AWS_INSTANCE_PORT": str(registry.port)} if registry.port else attributes
