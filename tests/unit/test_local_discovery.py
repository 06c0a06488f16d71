"""Tasks follow their life into Cloud Map and out of it."""

from typing import Any

import pytest
from moto.ecs.exceptions import InvalidParameterException
from moto.servicediscovery.models import Service as CloudMapService
from moto.servicediscovery.models import servicediscovery_backends

from outrig.local import cloud_map, route53
from outrig.local.definition import ContainerDefinition, Definition
from outrig.local.discovery import Registrations
from outrig.local.orders import HealthCheck
from outrig.local.service_registry import parse_registry
from outrig.local.services import Deployment, Network, Service
from outrig.local.tasks import Attachment, Place, Request, Task, TaskContainer

ACCOUNT = "222233334444"
PLACE = Place(ACCOUNT, "us-east-1", "demo")
CHECK = HealthCheck(command=["CMD", "true"], interval=1, timeout=1, retries=1, start_period=0)
CONTAINER = ContainerDefinition(
    name="app", image="idle", essential=True, entrypoint=None, command=None, environment={}, user="", directory="/",
    stop_timeout=30, depends_on=[], health=CHECK, cpu="0", memory=None, labels={},
)  # fmt: skip
DEFINITION = Definition("arn:d", "app", 1, (CONTAINER,), None, "256", "512")


@pytest.fixture
def registry() -> CloudMapService:
    """A Cloud Map service with A and SRV records and custom health."""
    return a_registry("web")


def a_registry(name: str, *types: str, custom: bool = True) -> CloudMapService:
    route53.install()
    cloud_map.install()
    backend = servicediscovery_backends[ACCOUNT]["us-east-1"]
    if not backend.namespaces:
        backend.create_private_dns_namespace(
            name="shop", vpc="vpc-1", creator_request_id=None, description="", tags=[], properties=None
        )
    for old in [one for one in backend.services.values() if one.name == name]:
        del backend.services[old.id]
    return backend.create_service(
        name=name,
        namespace_id=next(iter(backend.namespaces)),
        creator_request_id=None,
        description="",
        dns_config={"DnsRecords": [{"Type": kind, "TTL": 5} for kind in types or ("A", "SRV")]},
        health_check_config=None,
        health_check_custom_config={"FailureThreshold": 1} if custom else None,
        tags=[],
        service_type=None,
    )


def a_service(registry: CloudMapService | None) -> Service:
    service = Service(PLACE, "web", 1, [Deployment(DEFINITION)], [Network("subnet-1", "us-east-1a")])
    documents = [{"registryArn": registry.arn, "containerName": "app", "containerPort": 80}] if registry else None
    service.registry = parse_registry(documents, DEFINITION)
    return service


def a_task(*, health: str = "HEALTHY") -> Task:
    task = Task(PLACE, DEFINITION, Attachment("10.7.1.1", "us-east-1a", "subnet-1"), Request("service:web"))
    task.containers = [TaskContainer(CONTAINER, health=health)]
    task.last_status = "RUNNING"
    return task


def said(registry: CloudMapService) -> dict[str, str]:
    return {one.instance_id: one.health_status for one in registry.instances}


def test_a_task_is_registered_once_it_is_healthy_and_its_illness_is_told(registry: CloudMapService) -> None:
    registrations, service, task = Registrations(), a_service(registry), a_task(health="UNKNOWN")
    for health, expected in [
        ("UNKNOWN", {}),
        ("HEALTHY", {task.id: "HEALTHY"}),
        ("UNHEALTHY", {task.id: "UNHEALTHY"}),
        ("HEALTHY", {task.id: "HEALTHY"}),
    ]:
        task.containers[0].health = health
        registrations.follow(service, [task])
        assert said(registry) == expected
    assert registry.instances_revision[task.id] == 1, "registered once"


def test_a_task_is_out_before_it_stops_and_does_not_come_back(registry: CloudMapService) -> None:
    registrations, service, task = Registrations(), a_service(registry), a_task()
    registrations.follow(service, [task])
    task.begin_stopping("scaled in", "ServiceSchedulerInitiated")
    registrations.withdraw(task)
    registrations.follow(service, [task])
    assert said(registry) == {}


def test_another_registry_takes_the_tasks_over_and_none_lets_them_go(registry: CloudMapService) -> None:
    registrations, service, task = Registrations(), a_service(registry), a_task()
    registrations.follow(service, [task])
    other = a_registry("other")
    service.registry = a_service(other).registry
    registrations.follow(service, [task])
    assert (said(registry), said(other)) == ({}, {task.id: "HEALTHY"})
    service.registry = None
    registrations.follow(service, [task])
    assert said(other) == {}


def test_what_somebody_else_took_out_is_no_error(registry: CloudMapService) -> None:
    registrations, service, task = Registrations(), a_service(registry), a_task()
    registrations.follow(service, [task])
    servicediscovery_backends[ACCOUNT]["us-east-1"].deregister_instance(registry.id, task.id)
    registrations.withdraw(task)
    assert said(registry) == {}


def test_what_cloud_map_refuses_is_an_event_and_tried_again(registry: CloudMapService) -> None:
    registrations, service, task = Registrations(), a_service(registry), a_task()
    registry.dns_config["DnsRecords"].append({"Type": "CNAME", "TTL": 5})
    registrations.follow(service, [task])
    registrations.follow(service, [task])
    assert [text for _, _, text in service.events] == [
        f"(service web) was unable to register (task {task.id}) in {registry.arn}: "
        f"Service {registry.id} has CNAME records: instances need the attribute AWS_INSTANCE_CNAME."
    ]
    registry.dns_config["DnsRecords"].pop()
    registrations.follow(service, [task])
    assert said(registry) == {task.id: "HEALTHY"}


def test_without_custom_health_cloud_map_is_not_told_of_illness() -> None:
    registry = a_registry("plain", custom=False)
    registrations, service, task = Registrations(), a_service(registry), a_task()
    registrations.follow(service, [task])
    task.containers[0].health = "UNHEALTHY"
    registrations.follow(service, [task])
    assert said(registry) == {task.id: "HEALTHY"}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"containerName": "ghost"}, "ghost does not exist"),
        ({"containerPort": None}, "SRV records need"),
        ({"containerPort": 70000}, "is not a port"),
        ({"registryArn": "nonsense"}, "is no Cloud Map service"),
        ({"registryArn": ""}, "is no Cloud Map service"),
        ({"registryArn": "arn:aws:servicediscovery:nowhere-1:222233334444:service/srv-1"}, "is no Cloud Map service"),
    ],
)
def test_a_registry_that_does_not_fit_is_refused(
    registry: CloudMapService, changes: dict[str, Any], reason: str
) -> None:
    document = {"registryArn": registry.arn, "containerName": "app", "containerPort": 80, **changes}
    with pytest.raises(InvalidParameterException, match=reason):
        parse_registry([document], DEFINITION)


def test_a_service_has_one_registry_whose_records_tasks_can_have(registry: CloudMapService) -> None:
    with pytest.raises(InvalidParameterException, match="one service registry"):
        parse_registry([{"registryArn": registry.arn}] * 2, DEFINITION)
    with pytest.raises(InvalidParameterException, match="A and SRV records only"):
        parse_registry([{"registryArn": a_registry("six", "AAAA").arn}], DEFINITION)
