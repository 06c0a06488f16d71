"""Cloud Map with what moto leaves out: namespaces that are zones of the VPC, and instances one can rely on.

A private DNS namespace has a hosted zone of its name; a registered instance has the attributes its records need, once
per id. `install` puts this in the place of moto's own, before the first request.
"""

import threading
from collections.abc import Container, Mapping, Sequence
from typing import Any

from dns.exception import DNSException
from moto.core.exceptions import JsonRESTError
from moto.route53.models import route53_backends
from moto.servicediscovery import urls
from moto.servicediscovery.exceptions import CustomHealthNotFound, InvalidInput
from moto.servicediscovery.models import (
    Namespace,
    Service,
    ServiceDiscoveryBackend,
    ServiceInstance,
    servicediscovery_backends,
)

from outrig.local.cloud_map_records import NEEDED, instance_records, record_types
from outrig.local.route53 import set_negative_ttl
from outrig.local.zones import LONGEST_TTL, parse_name, parse_record_set

SOA_TTL = 15


class Refusal(JsonRESTError):  # type: ignore[misc]
    """A request that AWS refuses with a code that moto does not know."""


class LocalCloudMap(ServiceDiscoveryBackend):  # type: ignore[misc]
    """The state of Cloud Map in one account and region. The ECS engine registers its tasks here too."""

    _url_module = urls  # moto looks for it beside the backend's own module

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self._changing = threading.RLock()

    def create_private_dns_namespace(self, name: str, vpc: str, **settings: Any) -> str:
        soa = ((settings["properties"] or {}).get("DnsProperties") or {}).get("SOA") or {"TTL": SOA_TTL}
        _check_name(name)
        _check_lives(soa["TTL"])
        with self._changing:
            if any((one.name, one.vpc) == (name, vpc) for one in self.namespaces.values()):
                raise Refusal("NamespaceAlreadyExists", f"Namespace {name} already exists in {vpc}.")
            zone = self._route53.create_hosted_zone(
                name.removesuffix(".") + ".", True, vpcid=vpc, vpcregion=self.region_name
            )
            set_negative_ttl(zone, int(soa["TTL"]))
            namespace = Namespace(
                account_id=self.account_id,
                region=self.region_name,
                name=name,
                ns_type="DNS_PRIVATE",
                creator_request_id=settings["creator_request_id"],
                description=settings["description"],
                dns_properties={"HostedZoneId": zone.resource_id, "SOA": soa},
                http_properties={"HttpName": name},
                vpc=vpc,
            )
            self.namespaces[namespace.id] = namespace
        if settings["tags"]:
            self.tagger.tag_resource(namespace.arn, settings["tags"])
        return str(self._create_operation("CREATE_NAMESPACE", targets={"NAMESPACE": namespace.id}))

    def update_private_dns_namespace(self, _id: str, description: str, properties: dict[str, Any] | None) -> str:
        namespace = self.get_namespace(_id)
        merged = {**namespace.dns_properties, **(properties or {})}
        _check_lives(merged["SOA"]["TTL"])
        operation = super().update_private_dns_namespace(_id, description, merged)
        set_negative_ttl(self._route53.zones[merged["HostedZoneId"]], int(merged["SOA"]["TTL"]))
        return str(operation)

    def delete_namespace(self, namespace_id: str) -> str:
        with self._changing:
            namespace = self.get_namespace(namespace_id)
            if any(service.namespace_id == namespace_id for service in self.services.values()):
                raise Refusal("ResourceInUse", f"Namespace {namespace_id} still has services.")
            if namespace.type == "DNS_PRIVATE":
                self._route53.zones.pop(namespace.dns_properties["HostedZoneId"], None)
            return str(super().delete_namespace(namespace_id))

    def create_service(self, name: str, namespace_id: str | None, **settings: Any) -> Service:
        with self._changing:
            namespace = self.get_namespace(namespace_id or (settings["dns_config"] or {}).get("NamespaceId", ""))
            if any((one.name, one.namespace_id) == (name, namespace.id) for one in self.services.values()):
                raise Refusal("ServiceAlreadyExists", f"Service {name} already exists in {namespace.id}.")
            if settings["dns_config"]:
                _check_name(f"{name}.{namespace.name}")
                _check_records(settings["dns_config"]["DnsRecords"], allowed=NEEDED)
            return super().create_service(name=name, namespace_id=namespace.id, **settings)

    def update_service(self, service_id: str, details: dict[str, Any]) -> str:
        """What AWS lets one change: the life of records, or that there are none; never their types."""
        with self._changing:
            records = (details.get("DnsConfig") or {}).get("DnsRecords") or []
            _check_records(records, allowed=record_types(self.get_service(service_id)))
            return str(super().update_service(service_id, details))

    def delete_service(self, service_id: str) -> None:
        with self._changing:
            if self.get_service(service_id).instances:
                raise Refusal("ResourceInUse", f"Service {service_id} still has registered instances.")
            super().delete_service(service_id)

    def register_instance(
        self, service_id: str, instance_id: str, creator_request_id: str | None, attributes: dict[str, str]
    ) -> str:
        """Register an instance, or give one that is registered other attributes."""
        with self._changing:
            service = self.get_service(service_id)
            instance = ServiceInstance(service_id, instance_id, creator_request_id, attributes)
            _check_instance(service, instance, self.get_namespace(service.namespace_id).name)
            if service.health_check_custom_config is not None:
                instance.health_status = instance.attributes.get("AWS_INIT_HEALTH_STATUS", "HEALTHY")
            others = [one for one in service.instances if one.instance_id != instance_id]
            service.instances = [*others, instance]
            service.instances_revision[instance_id] = service.instances_revision.get(instance_id, 0) + 1
            return str(self._create_operation("REGISTER_INSTANCE", targets={"INSTANCE": instance_id}))

    def deregister_instance(self, service_id: str, instance_id: str) -> str:
        with self._changing:
            return str(super().deregister_instance(service_id, instance_id))

    def update_instance_custom_health_status(self, service_id: str, instance_id: str, status: str) -> None:
        if self.get_service(service_id).health_check_custom_config is None:
            raise CustomHealthNotFound(service_id)
        super().update_instance_custom_health_status(service_id, instance_id, status)

    @property
    def _route53(self) -> Any:
        return route53_backends[self.account_id][self.partition]


def install() -> None:
    servicediscovery_backends.backend = LocalCloudMap


def _check_name(name: str) -> None:
    try:
        parse_name(name)
    except (DNSException, UnicodeError) as error:
        raise InvalidInput(f"{name!r} is no DNS name: {error}") from error


def _check_lives(*seconds: int) -> None:
    if not all(0 <= int(one) <= LONGEST_TTL for one in seconds):
        raise InvalidInput(f"A TTL is 0 to {LONGEST_TTL} seconds.")


def _check_records(records: Sequence[Mapping[str, Any]], *, allowed: Container[str]) -> None:
    for record in records:
        if record["Type"] not in allowed:
            raise InvalidInput(f"This service cannot have {record['Type']} records.")
        _check_lives(record["TTL"])


def _check_instance(service: Service, instance: ServiceInstance, namespace: str) -> None:
    """What the service's record types need must be there, in a form that DNS can carry."""
    if "AWS_ALIAS_DNS_NAME" in instance.attributes:
        raise InvalidInput("AWS_ALIAS_DNS_NAME needs a load balancer, and outrig local has none.")
    for kind in record_types(service):
        if NEEDED[kind] not in instance.attributes:
            raise InvalidInput(f"Service {service.id} has {kind} records: instances need the attribute {NEEDED[kind]}.")
    try:
        for record in instance_records(service, instance, namespace):
            parse_name(record.name)
            parse_record_set(record)
    except (DNSException, ValueError) as error:
        raise InvalidInput(f"Instance {instance.instance_id!r} cannot have its DNS records: {error}") from error
