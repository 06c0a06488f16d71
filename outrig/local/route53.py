"""Route 53 with the two things moto lacks: whole batches of sound records, and zones that a VPC makes private.

`install` puts these in the place of moto's own, before the first request.
"""

import threading
from typing import Any

from dns.exception import DNSException
from moto.route53 import urls
from moto.route53.exceptions import Route53ClientError
from moto.route53.models import FakeZone, Route53Backend, route53_backends
from moto.route53.responses import Route53

from outrig.local.record_changes import apply_changes
from outrig.local.zones import parse_name


class LocalRoute53(Route53Backend):  # type: ignore[misc]
    """The state of Route 53 in one account."""

    _url_module = urls  # moto looks for it beside the backend's own module

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self._changing = threading.Lock()

    def create_hosted_zone(self, name: str, private_zone: bool, **settings: Any) -> FakeZone:
        try:
            parse_name(name)
        except (DNSException, UnicodeError) as error:
            raise Route53ClientError("InvalidDomainName", f"{name!r}: {error}") from error
        if private_zone:
            self._refuse_second(name)
        zone = super().create_hosted_zone(name, private_zone, **settings)
        for one in zone.rrsets:  # moto keeps the values of its SOA as documents, and those of all others as texts
            one.records = [value["Value"] if isinstance(value, dict) else value for value in one.records]
        return zone

    def _refuse_second(self, name: str) -> None:
        for zone in self.zones.values():
            if zone.private_zone and parse_name(zone.name) == parse_name(name):
                problem = f"The VPC is already associated with {zone.id}, which has the same domain name."
                raise Route53ClientError("ConflictingDomainExists", problem)

    def change_resource_record_sets(self, zoneid: str, change_list: list[dict[str, Any]]) -> None:
        zone = self.get_hosted_zone(zoneid)
        with self._changing:
            zone.rrsets = apply_changes(zone, change_list)


class Route53Response(Route53):  # type: ignore[misc]
    """One request."""

    def create_hosted_zone(self) -> Any:
        if self._get_param("VPC.VPCId"):
            self.params.setdefault("HostedZoneConfig", {})["PrivateZone"] = True
        return super().create_hosted_zone()


def set_negative_ttl(zone: FakeZone, seconds: int) -> None:
    """How long resolvers may remember that a name of the zone does not exist."""
    for one in zone.rrsets:
        if one.type == "SOA":
            one.ttl = seconds


def install() -> None:
    route53_backends.backend = LocalRoute53
    for path in urls.url_paths:
        urls.url_paths[path] = Route53Response.dispatch
