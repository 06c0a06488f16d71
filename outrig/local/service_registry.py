"""`serviceRegistries` of an ECS service: the Cloud Map service that its tasks register with.

In: what a request says.  Out: a frozen `Registry`. It refuses Cloud Map services that do not exist, and those whose
records want what a task does not have.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from moto.core.exceptions import JsonRESTError
from moto.ecs.exceptions import InvalidParameterException
from moto.servicediscovery.models import ServiceDiscoveryBackend, servicediscovery_backends

from outrig.local.cloud_map_records import record_types
from outrig.local.definition import Definition


@dataclass(frozen=True, slots=True)
class Registry:
    """A Cloud Map service that tasks register with, and the port they give there, if any."""

    arn: str
    port: int | None

    @property
    def service_id(self) -> str:
        return self.arn.rpartition("/")[2]

    @property
    def cloud_map(self) -> ServiceDiscoveryBackend:
        _, _, _, region, account, _ = self.arn.split(":", 5)
        return servicediscovery_backends[account][region]


def parse_registry(documents: Sequence[Mapping[str, Any]] | None, definition: Definition) -> Registry | None:
    """`serviceRegistries` of a request. Raises moto's `InvalidParameterException`, a 400 for the caller."""
    if not documents:
        return None
    if len(documents) > 1:
        raise InvalidParameterException("A service can have one service registry.")
    return _parse(documents[0], definition)


def _parse(document: Mapping[str, Any], definition: Definition) -> Registry:
    arn, container = document.get("registryArn") or "", document.get("containerName")
    port = document.get("port") or document.get("containerPort")
    if container is not None and container not in {one.name for one in definition.containers}:
        raise InvalidParameterException(f"The container {container} does not exist in the task definition.")
    if port is not None and not 1 <= int(port) <= 65535:
        raise InvalidParameterException(f"Service registries: {port} is not a port.")
    registry = Registry(arn, int(port) if port is not None else None)
    try:
        wanted = record_types(registry.cloud_map.get_service(registry.service_id))
    except (ValueError, KeyError, JsonRESTError) as error:
        raise InvalidParameterException(f"Service registries: {arn!r} is no Cloud Map service.") from error
    if "SRV" in wanted and port is None:
        raise InvalidParameterException(
            "Service registries: SRV records need containerName and containerPort, or port."
        )
    if not wanted.keys() <= {"A", "SRV"}:
        raise InvalidParameterException("Service registries: tasks have A and SRV records only.")
    return registry
