"""The DNS records that Cloud Map keeps for the instances of a service.

In: a service of moto's with its instances.  Out: record sets, one per instance and type, under `service.namespace`;
an instance with SRV records has a host name besides, `instance.service.namespace`.
"""

from collections.abc import Iterator

from moto.servicediscovery.models import Service, ServiceInstance

from outrig.local.zones import RecordText

NEEDED = {
    "A": "AWS_INSTANCE_IPV4",
    "AAAA": "AWS_INSTANCE_IPV6",
    "CNAME": "AWS_INSTANCE_CNAME",
    "SRV": "AWS_INSTANCE_PORT",
}
"""The attribute an instance must have for each type of record."""


def record_types(service: Service) -> dict[str, int]:
    """The types of record the service wants, and their time to live in seconds."""
    records = (service.dns_config or {}).get("DnsRecords") or []
    return {record["Type"]: int(record["TTL"]) for record in records}


def service_records(service: Service, namespace: str) -> Iterator[RecordText]:
    """The records of all instances that are registered."""
    for instance in list(service.instances):
        yield from instance_records(service, instance, namespace)


def instance_records(service: Service, instance: ServiceInstance, namespace: str) -> Iterator[RecordText]:
    """The records of one instance: with MULTIVALUE routing a question gets up to eight instances, else one."""
    name = f"{service.name}.{namespace}"
    weight = 1 if (service.dns_config or {}).get("RoutingPolicy") == "WEIGHTED" else None
    healthy = service.health_check_custom_config is None or instance.health_status == "HEALTHY"
    for kind, ttl in record_types(service).items():
        if kind == "SRV":
            host = f"{instance.instance_id}.{name}"
            yield RecordText(name, kind, ttl, (f"1 1 {instance.attributes[NEEDED[kind]]} {host}.",), weight, healthy)
            yield from _addresses(instance, host, ttl)
        else:
            yield RecordText(name, kind, ttl, (instance.attributes[NEEDED[kind]],), weight, healthy)


def _addresses(instance: ServiceInstance, host: str, ttl: int) -> Iterator[RecordText]:
    for kind in ("A", "AAAA"):
        if NEEDED[kind] in instance.attributes:
            yield RecordText(host, kind, ttl, (instance.attributes[NEEDED[kind]],))
