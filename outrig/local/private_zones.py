"""The private zones of the VPC as moto holds them: Route 53's hosted zones, and what Cloud Map adds to them.

In: moto's backends, read anew for every question, so that a change counts from the next one on.  Out: `Zone`s.  There
is one VPC: a private zone belongs to it, whatever VPC it names. Public zones are not ours to answer.
"""

from collections.abc import Iterator

from dns.name import Name
from moto.route53.models import FakeZone, route53_backends
from moto.servicediscovery.models import servicediscovery_backends

from outrig.local.cloud_map_records import service_records
from outrig.local.hostnames import implied_zone
from outrig.local.record_changes import record_text
from outrig.local.zones import RecordText, Zone, parse_name, parse_zone


class PrivateZones:
    """Every zone that may know a name. Calling it raises `DNSException` for records that DNS cannot carry."""

    def __init__(self, account: str, region: str) -> None:
        self._account = account
        self._region = region

    def __call__(self, name: Name) -> list[Zone]:
        found = [parse_zone(zone.name, tuple(self._texts(zone))) for zone in self._hosted() if _holds(zone, name)]
        implied = implied_zone(name, self._region)
        return [*found, implied] if implied else found

    def _hosted(self) -> list[FakeZone]:
        zones = list(route53_backends[self._account]["aws"].zones.values())
        return [zone for zone in zones if zone.private_zone]

    def _texts(self, zone: FakeZone) -> Iterator[RecordText]:
        yield from map(record_text, list(zone.rrsets))
        cloud_map = servicediscovery_backends[self._account][self._region]
        for service in list(cloud_map.services.values()):
            namespace = cloud_map.namespaces.get(service.namespace_id)
            if namespace is not None and namespace.dns_properties.get("HostedZoneId") == zone.resource_id:
                yield from service_records(service, namespace.name)


def _holds(zone: FakeZone, name: Name) -> bool:
    return name.is_subdomain(parse_name(zone.name))
