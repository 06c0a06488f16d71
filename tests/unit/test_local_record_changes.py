"""A batch of changes to a hosted zone is applied whole, or refused with the reason."""

from collections.abc import Callable
from typing import Any

import pytest
from moto.route53.exceptions import Route53ClientError
from moto.route53.models import FakeZone

from outrig.local.record_changes import apply_changes, record_text
from outrig.local.route53 import LocalRoute53

Document = dict[str, Any]


@pytest.fixture
def route53() -> LocalRoute53:
    return LocalRoute53("aws", "123456789012")


@pytest.fixture
def zone(route53: LocalRoute53) -> FakeZone:
    return route53.create_hosted_zone("bookinfo.", True, vpcid="vpc-1", vpcregion="us-east-1")


def record(name: str = "a.bookinfo", kind: str = "A", *values: str, **settings: Any) -> Document:
    found = {"Name": name, "Type": kind, "TTL": 60, "ResourceRecords": [{"Value": value} for value in values]}
    return {**found, **settings}


def change(action: str, document: Document) -> Document:
    return {"Action": action, "ResourceRecordSet": document}


def names(zone: FakeZone) -> list[tuple[str, str]]:
    return sorted((one.name, one.type) for one in zone.rrsets if one.type not in ("SOA", "NS"))


A = record("A.bookinfo", "A", "10.7.1.1")


def test_records_are_created_changed_and_deleted(route53: LocalRoute53, zone: FakeZone) -> None:
    route53.change_resource_record_sets(
        zone.id, [change("CREATE", A), change("UPSERT", record("b.bookinfo.", "A", "1.1.1.1"))]
    )
    assert names(zone) == [("a.bookinfo.", "A"), ("b.bookinfo.", "A")]
    newer = record("a.bookinfo.", "A", "10.7.1.2", "10.7.1.3", TTL="5")
    route53.change_resource_record_sets(zone.id, [change("UPSERT", newer)])
    (stored,) = [one for one in zone.rrsets if one.name == "a.bookinfo."]
    assert record_text(stored)[2:4] == (5, ("10.7.1.2", "10.7.1.3"))
    route53.change_resource_record_sets(zone.id, [change("DELETE", newer), change("CREATE", A)])
    assert names(zone) == [("a.bookinfo.", "A"), ("b.bookinfo.", "A")]


def test_a_deletion_takes_the_one_set_with_that_identifier_and_name(route53: LocalRoute53, zone: FakeZone) -> None:
    sets = [record(f"{name}.bookinfo", "A", "10.7.1.1", SetIdentifier="one", Weight=1) for name in "ab"]
    route53.change_resource_record_sets(zone.id, [change("CREATE", one) for one in sets])
    route53.change_resource_record_sets(zone.id, [change("DELETE", sets[0])])
    assert names(zone) == [("b.bookinfo.", "A")]


ALIAS = {"DNSName": "a.bookinfo", "HostedZoneId": "ZONE", "EvaluateTargetHealth": False}


@pytest.mark.parametrize(
    ("refused", "reason"),
    [
        (change("CREATE", A), "already exists"),
        (change("DELETE", record("x.bookinfo", "A", "10.7.1.1")), "not found"),
        (change("DELETE", record("a.bookinfo", "A", "10.7.1.9")), "do not match"),
        (change("DELETE", record("bookinfo", "NS", "ns")), "do not match"),
        (change("REPLACE", A), "REPLACE"),
        (change("CREATE", record("a.shop", "A", "10.7.1.1")), "not permitted in zone"),
        (change("CREATE", record("notbookinfo", "A", "10.7.1.1")), "not permitted in zone"),
        (change("CREATE", record("a..bookinfo", "A", "10.7.1.1")), "Invalid domain name"),
        (change("CREATE", record(f"{'a' * 64}.bookinfo", "A", "10.7.1.1")), "Invalid domain name"),
        (change("CREATE", record("b.bookinfo", "A", "10.7.1.300")), "Invalid Resource Record"),
        (change("CREATE", record("b.bookinfo", "A", "web.bookinfo")), "Invalid Resource Record"),
        (change("CREATE", record("b.bookinfo", "TXT", "no quotes; then a comment")), "quot"),
        (change("CREATE", record("b.bookinfo", "APL", "x")), "failed to satisfy constraint"),
        (change("CREATE", record("b.bookinfo", "A", "10.7.1.1", TTL=2**31)), "TTL is 0 to"),
        (change("CREATE", record("b.bookinfo", "A", "10.7.1.1", SetIdentifier="x", Weight=-1)), "Weight 0 to 255"),
        (change("CREATE", record("b.bookinfo", "A")), "Expected exactly one of"),
        (change("CREATE", record("bookinfo", "CNAME", "a.bookinfo")), "at apex"),
        (change("CREATE", record("a.bookinfo", "CNAME", "b.bookinfo")), "conflicts with other records"),
        (change("CREATE", record("c.bookinfo", "A", "10.7.1.1")), "conflicts with other records"),
        (change("CREATE", record("d.bookinfo", "CNAME", "a.b", "c.d")), "one value"),
        (change("CREATE", record("a.bookinfo", "A", "10.7.1.1", SetIdentifier="x", Weight=1)), "another way"),
        (change("CREATE", record("b.bookinfo", "A", "10.7.1.1", Weight=1)), "SetIdentifier"),
        (change("CREATE", record("b.bookinfo", "A", "10.7.1.1", SetIdentifier="x")), "SetIdentifier"),
        (change("CREATE", record("b.bookinfo", "A", "10.7.1.1", SetIdentifier="x", Failover="PRIMARY")), "Failover"),
        (change("CREATE", record("b.bookinfo", "A", "10.7.1.1", HealthCheckId="x")), "HealthCheckId"),
        (change("CREATE", {"Name": "b.bookinfo", "Type": "A", "AliasTarget": ALIAS}), "their own zone only"),
    ],
)
def test_what_aws_refuses_is_refused_and_nothing_of_the_batch_applied(
    route53: LocalRoute53, zone: FakeZone, refused: Document, reason: str
) -> None:
    present = [change("CREATE", A), change("CREATE", record("c.bookinfo", "CNAME", "a.bookinfo"))]
    route53.change_resource_record_sets(zone.id, present)
    before = list(zone.rrsets)
    with pytest.raises(Route53ClientError, match=reason):
        route53.change_resource_record_sets(
            zone.id, [change("CREATE", record("new.bookinfo", "A", "10.7.1.1")), refused]
        )
    assert zone.rrsets == before


def test_the_zones_own_soa_and_ns_cannot_be_deleted(zone: FakeZone) -> None:
    for one in zone.rrsets:
        own = record(one.name, one.type, *one.records, TTL=one.ttl)
        with pytest.raises(Route53ClientError, match="must contain"):
            apply_changes(zone, [change("DELETE", own)])


def test_an_alias_may_repeat_a_record_of_its_zone(route53: LocalRoute53, zone: FakeZone) -> None:
    alias: Callable[[str], Document] = lambda target: {  # noqa: E731
        "Name": "b.bookinfo",
        "Type": "A",
        "AliasTarget": {**ALIAS, "HostedZoneId": zone.resource_id, "DNSName": target},
    }
    route53.change_resource_record_sets(zone.id, [change("CREATE", A), change("CREATE", alias("a.bookinfo"))])
    assert names(zone) == [("a.bookinfo.", "A"), ("b.bookinfo.", "A")]
    with pytest.raises(Route53ClientError, match="alias target name was not found"):
        route53.change_resource_record_sets(zone.id, [change("UPSERT", alias("x.bookinfo"))])


@pytest.mark.parametrize("name", ["a..b.", f"{'a' * 64}."])
def test_a_zone_needs_a_name_that_dns_can_carry(route53: LocalRoute53, name: str) -> None:
    with pytest.raises(Route53ClientError, match=r"a\."):
        route53.create_hosted_zone(name, True, vpcid="vpc-1")
    assert not route53.zones


def test_the_vpc_has_one_private_zone_of_a_name(route53: LocalRoute53, zone: FakeZone) -> None:
    with pytest.raises(Route53ClientError, match="same domain name"):
        route53.create_hosted_zone("BookInfo.", True, vpcid="vpc-2")
    assert route53.create_hosted_zone("bookinfo.", False).private_zone is False
