"""The ECS API's task and service calls, answered by the engine; everything else of ECS stays moto's.

In: requests whose signature and IAM permission moto has checked.  Out: what AWS would answer.  These calls replace
moto's own, which start nothing: RunTask, StopTask, DescribeTasks, ListTasks, and the service calls.
"""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from moto.core.responses import ActionResult
from moto.ec2.models import ec2_backends
from moto.ecs.exceptions import (
    ClusterNotFoundException,
    EcsClientException,
    InvalidParameterException,
    ServiceNotFoundException,
)
from moto.ecs.responses import DESCRIBE_SERVICES_TAGS, DESCRIBE_TASKS_TAGS, EC2ContainerServiceResponse

from outrig.local.definition import Definition, parse_definition, parse_overrides
from outrig.local.documents import service_document, session_document, task_document
from outrig.local.engine import Engine
from outrig.local.registering import check_containers
from outrig.local.service_registry import parse_registry
from outrig.local.services import CircuitBreaker, Deployment, Network, Service
from outrig.local.sessions import check_role, container_for
from outrig.local.tasks import Place, Request, Task

Answer = Any  # an `ActionResult`: moto's types are not followed


class EcsResponse(EC2ContainerServiceResponse):  # type: ignore[misc]
    """One request. `engine` and `zones` are set by `bound_to`, since moto makes an object per request."""

    engine: ClassVar[Engine]
    zones: ClassVar[list[str]]

    @classmethod
    def bound_to(cls, engine: Engine, zones: list[str]) -> "type[EcsResponse]":
        return type("BoundEcsResponse", (cls,), {"engine": engine, "zones": zones})

    def register_task_definition(self) -> Answer:
        check_containers(self._get_param("containerDefinitions") or [], self._get_param("executionRoleArn"))
        return super().register_task_definition()

    def run_task(self) -> Answer:
        place, definition = self._place(), self._definition()
        networks = self._networks(self._get_param("networkConfiguration"))
        request = Request(
            group=self._get_param("group") or f"family:{definition.family}",
            started_by=self._get_param("startedBy") or "",
            overrides=parse_overrides(self._get_param("overrides")),
            tags=self._get_param("tags") or [],
            execute_command=bool(self._get_param("enableExecuteCommand")),
        )
        check_role("task", request.overrides.role_arn or definition.role_arn, enabled=request.execute_command)
        count = self._get_int_param("count", 1)
        if not 1 <= count <= 10:
            raise InvalidParameterException("Count must be between 1 and 10.")
        with self.engine.lock:
            started = [
                self.engine.start_task(place, definition, networks[number % len(networks)], request)
                for number in range(count)
            ]
            return ActionResult({"tasks": [task_document(task) for task in started], "failures": []})

    def stop_task(self) -> Answer:
        place = self._place()
        with self.engine.lock:
            task = self._find_task(place, self._get_param("task"))
            if task is None:
                raise InvalidParameterException("The referenced task was not found.")
            reason = self._get_param("reason") or "Task stopped by user"
            self.engine.stop_task(task, reason, "UserInitiated")
            return ActionResult({"task": task_document(task)})

    def execute_command(self) -> Answer:
        place = self._place()
        if not self._get_param("interactive"):
            raise InvalidParameterException("Interactive is the only mode supported currently.")
        with self.engine.lock:
            task = self._find_task(place, self._get_param("task"))
            if task is None:
                raise InvalidParameterException("The referenced task was not found.")
            container = container_for(task, self._get_param("container"))
            session = self.engine.sessions.open(task, container, self._get_param("command"))
            return ActionResult(session_document(task, container, session, control=self.engine.control))

    def describe_tasks(self) -> Answer:
        place, names = self._place(), self._get_param("tasks") or []
        if not names or len(names) > 100:
            raise InvalidParameterException("Tasks must hold 1 to 100 entries.")
        self._answer_tags(DESCRIBE_TASKS_TAGS)
        with self.engine.lock:
            found = {name: self._find_task(place, name) for name in names}
            tasks = [task_document(task) for task in found.values() if task]
            missing = [name for name, task in found.items() if task is None]
        failures = [{"arn": _task_arn(place, name), "reason": "MISSING"} for name in missing]
        return ActionResult({"tasks": tasks, "failures": failures})

    def list_tasks(self) -> Answer:
        place = self._place()
        wanted: dict[str, Callable[[Task, str], bool]] = {
            "family": lambda task, value: task.definition.family == value,
            "startedBy": lambda task, value: task.request.started_by == value,
            "serviceName": lambda task, value: task.request.service == self._service(place, value).arn,
            "launchType": lambda _task, value: value == "FARGATE",
        }
        status = self._get_param("desiredStatus") or "RUNNING"
        with self.engine.lock:
            tasks = [task for task in self._tasks_in(place) if task.desired_status == status]
            for parameter, matches in wanted.items():
                value = self._get_param(parameter)
                tasks = [task for task in tasks if value is None or matches(task, value)]
            return ActionResult({"taskArns": [task.arn for task in tasks]})

    def create_service(self) -> Answer:
        self._refuse_other_schedulers()
        place, definition, name = self._place(), self._definition(), self._get_param("serviceName")
        network = self._get_param("networkConfiguration")
        service = Service(
            place=place,
            name=name,
            desired=self._count(default=0 if self._get_param("desiredCount") is None else None),
            deployments=[Deployment(definition)],
            networks=self._networks(network),
            registry=parse_registry(self._get_param("serviceRegistries"), definition),
            execute_command=bool(self._get_param("enableExecuteCommand")),
            propagate_tags=self._get_param("propagateTags") or "NONE",
            tags=self._get_param("tags") or [],
            extra=_echoed(self._get_params()),
        )
        _configure(service, self._get_param("deploymentConfiguration"))
        check_role("service", definition.role_arn, enabled=service.execute_command)
        with self.engine.lock:
            existing = self._lookup(place, name)
            if existing is not None and existing.status != "INACTIVE":
                raise InvalidParameterException("Creation of service was not idempotent.")
            if existing is not None:
                self.engine.services.remove(existing)
            self.engine.services.append(service)
            self.engine.changed()
            return ActionResult({"service": self._document(service)})

    def update_service(self) -> Answer:
        place = self._place()
        definition = self._definition() if self._get_param("taskDefinition") else None
        network = self._get_param("networkConfiguration")
        networks = self._networks(network) if network else None
        with self.engine.lock:
            service = self._active_service(place, self._get_param("service"))
            current = service.primary.definition
            changed = definition is not None and definition.arn != current.arn
            definition = definition or current
            registries, registry = self._get_param("serviceRegistries"), service.registry
            if registries is not None:
                registry = parse_registry(registries, definition)
            desired = self._count(default=service.desired)
            enabled = self._get_param("enableExecuteCommand")
            enabled = service.execute_command if enabled is None else bool(enabled)
            check_role("service", definition.role_arn, enabled=enabled)
            _configure(service, self._get_param("deploymentConfiguration"))
            service.desired, service.registry, service.execute_command = desired, registry, enabled
            service.networks = networks or service.networks
            service.extra.update(_echoed(self._get_params()))
            if changed or networks or self._get_param("forceNewDeployment"):
                service.deployments.insert(0, Deployment(definition))
            service.primary.retry_at = 0.0
            self.engine.changed()
            return ActionResult({"service": self._document(service)})

    def delete_service(self) -> Answer:
        place = self._place()
        with self.engine.lock:
            service = self._active_service(place, self._get_param("service"))
            if service.desired > 0 and not self._get_param("force"):
                raise InvalidParameterException("The service cannot be stopped while it is scaled above 0.")
            service.status, service.desired = "DRAINING", 0
            self.engine.changed()
            return ActionResult({"service": self._document(service)})

    def describe_services(self) -> Answer:
        place, names = self._place(), self._get_param("services") or []
        self._answer_tags(DESCRIBE_SERVICES_TAGS)
        with self.engine.lock:
            found = {name: self._lookup(place, name) for name in names}
            services = [self._document(service) for service in found.values() if service]
        missing = [name for name, service in found.items() if service is None]
        arns = [place.arn("service", f"{place.cluster}/{_last(name)}") for name in missing]
        return ActionResult({"services": services, "failures": [{"arn": a, "reason": "MISSING"} for a in arns]})

    def list_services(self) -> Answer:
        place = self._place()
        with self.engine.lock:
            services = [one for one in self.engine.services if one.place == place and one.status != "INACTIVE"]
        return ActionResult({"serviceArns": sorted(service.arn for service in services)})

    def describe_clusters(self) -> Answer:
        with self.engine.lock:
            for cluster in self.ecs_backend.clusters.values():
                place = Place(self.current_account, self.region, cluster.name, self.partition)
                statuses = [task.last_status for task in self._tasks_in(place)]
                cluster.running_tasks_count = statuses.count("RUNNING")
                cluster.pending_tasks_count = statuses.count("PENDING")
                cluster.active_services_count = sum(
                    one.place == place and one.status == "ACTIVE" for one in self.engine.services
                )
        return super().describe_clusters()

    def delete_cluster(self) -> Answer:
        place = self._place()
        with self.engine.lock:
            if any(one.place == place and one.status != "INACTIVE" for one in self.engine.services):
                raise EcsClientException("The Cluster cannot be deleted while Services are active.")
            if any(task.last_status != "STOPPED" for task in self._tasks_in(place)):
                raise EcsClientException("The Cluster cannot be deleted while Tasks are active.")
        return super().delete_cluster()

    def _refuse_other_schedulers(self) -> None:
        controller = (self._get_param("deploymentController") or {}).get("type", "ECS")
        if controller != "ECS":
            raise InvalidParameterException(f"The deployment controller {controller} is not supported by outrig local.")
        if self._get_param("schedulingStrategy") == "DAEMON":
            raise InvalidParameterException("The daemon scheduling strategy is not supported for AWS Fargate.")

    def _place(self) -> Place:
        name = _last(self._get_param("cluster") or "default")
        cluster = self.ecs_backend.clusters.get(name)
        if cluster is None or cluster.status != "ACTIVE":
            raise ClusterNotFoundException
        return Place(self.current_account, self.region, name, self.partition)

    def _definition(self) -> Definition:
        stored = self.ecs_backend.describe_task_definition(self._get_param("taskDefinition") or "")
        if stored.status != "ACTIVE":
            raise EcsClientException("TaskDefinition is inactive")
        return parse_definition(stored)

    def _networks(self, configuration: Mapping[str, Any] | None) -> list[Network]:
        subnets = ((configuration or {}).get("awsvpcConfiguration") or {}).get("subnets")
        if not subnets:
            raise InvalidParameterException(
                "Network Configuration must be provided when networkMode 'awsvpc' is specified."
            )
        known = ec2_backends[self.current_account][self.region].subnets
        zones = {key: subnet for zone in known.values() for key, subnet in zone.items()}
        return [
            Network(subnet, zones[subnet].availability_zone if subnet in zones else self.zones[n % len(self.zones)])
            for n, subnet in enumerate(subnets)
        ]

    def _count(self, *, default: int | None) -> int:
        value = self._get_param("desiredCount")
        count = default if value is None else int(value)
        if count is None or count < 0:
            raise InvalidParameterException("desiredCount cannot be negative.")
        return count

    def _tasks_in(self, place: Place) -> list[Task]:
        return [task for task in self.engine.tasks.values() if task.place == place]

    def _find_task(self, place: Place, name: str) -> Task | None:
        task = self.engine.tasks.get(_last(name))
        return task if task is not None and task.place == place else None

    def _lookup(self, place: Place, name: str) -> Service | None:
        found = (one for one in self.engine.services if one.place == place and one.name == _last(name))
        return next(found, None)

    def _service(self, place: Place, name: str) -> Service:
        service = self._lookup(place, name)
        if service is None:
            raise ServiceNotFoundException
        return service

    def _active_service(self, place: Place, name: str) -> Service:
        service = self._service(place, name)
        if service.status != "ACTIVE":
            raise EcsClientException("Service was not ACTIVE.")
        return service

    def _document(self, service: Service) -> dict[str, Any]:
        return service_document(service, self.engine.tasks_of(service))

    def _answer_tags(self, path: str) -> None:
        if "TAGS" in (self._get_param("include") or []):
            self._include_in_response(path)
        else:
            self._exclude_from_response(path)


def _configure(service: Service, configuration: Mapping[str, Any] | None) -> None:
    configuration = configuration or {}
    minimum = int(configuration.get("minimumHealthyPercent", service.minimum_percent))
    maximum = int(configuration.get("maximumPercent", service.maximum_percent))
    if not 0 <= minimum <= 100 <= maximum:
        raise InvalidParameterException("minimumHealthyPercent must be 0 to 100, and maximumPercent at least 100.")
    if minimum == maximum:
        raise InvalidParameterException(
            f"Both maximumPercent and minimumHealthyPercent cannot be {maximum} as this will block deployments."
        )
    service.minimum_percent, service.maximum_percent = minimum, maximum
    breaker = configuration.get("deploymentCircuitBreaker")
    if breaker:
        service.breaker = CircuitBreaker(bool(breaker.get("enable")), bool(breaker.get("rollback")))


def _echoed(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """What a service answers back as it was given, without meaning anything here."""
    echoed = ("networkConfiguration", "loadBalancers", "serviceRegistries", "healthCheckGracePeriodSeconds")
    return {name: parameters[name] for name in echoed if parameters.get(name) is not None}


def _task_arn(place: Place, name: str) -> str:
    return name if name.startswith("arn:") else place.arn("task", f"{place.cluster}/{name}")


def _last(name: str) -> str:
    return name.rsplit("/", 1)[-1]
