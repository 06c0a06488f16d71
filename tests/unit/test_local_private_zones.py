"""The VPC's zones are those that moto holds at the moment of the question."""

import dns.name
from moto.route53.models import route53_backends

from outrig.local import cloud_map, route53
from outrig.local.private_zones import PrivateZones
from outrig.local.zones import parse_name

ACCOUNT = "333344445555"


def names(question: str) -> list[str]:
    zones = PrivateZones(ACCOUNT, "us-east-1")(parse_name(question))
    return [zone.name.to_text() for zone in zones]


def test_private_zones_around_the_name_are_known_from_creation_to_deletion() -> None:
    route53.install()
    cloud_map.install()
    backend = route53_backends[ACCOUNT]["aws"]
    assert names("a.shop.internal") == []
    inner = backend.create_hosted_zone("shop.internal.", True, vpcid="vpc-1")
    backend.create_hosted_zone("internal.", True, vpcid="vpc-1")
    backend.create_hosted_zone("a.shop.internal.", False)
    backend.create_hosted_zone("other.internal.", True, vpcid="vpc-1")
    assert names("a.SHOP.internal") == ["shop.internal.", "internal."]
    backend.delete_hosted_zone(inner.id)
    assert names("a.shop.internal") == ["internal."]


def test_records_that_cloudformation_made_count_as_they_are_written() -> None:
    route53.install()
    zone = route53_backends[ACCOUNT]["aws"].create_hosted_zone("stack.", True, vpcid="vpc-1")
    zone.add_rrset({"Name": "a.stack", "Type": "A", "TTL": "30", "ResourceRecords": ["10.7.1.1"]})
    (found,) = PrivateZones(ACCOUNT, "us-east-1")(dns.name.from_text("a.stack."))
    (record,) = found.at(parse_name("a.stack")) or ()
    assert (record.ttl, [value.to_text() for value in record.values]) == (30, ["10.7.1.1"])
