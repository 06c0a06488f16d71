"""Cloud Map: what is registered has its DNS records, and what could not have them is refused."""

from typing import Any

import dns.rdatatype
import pytest
from moto.core.exceptions import JsonRESTError
from moto.route53.models import route53_backends
from moto.servicediscovery.exceptions import CustomHealthNotFound, InvalidInput
from moto.servicediscovery.models import Service

from outrig.local.cloud_map import LocalCloudMap, Refusal
from outrig.local.cloud_map_records import service_records
from outrig.local.route53 import install
from outrig.local.zones import RecordText, parse_name, parse_zone

ACCOUNT = "111122223333"
CUSTOM = {"FailureThreshold": 1}


@pytest.fixture
def cloud_map() -> LocalCloudMap:
    install()
    route53_backends.pop(ACCOUNT, None)
    return LocalCloudMap("us-east-1", ACCOUNT)


def namespace(cloud_map: LocalCloudMap, name: str = "shop", vpc: str = "vpc-1", **properties: Any) -> str:
    cloud_map.create_private_dns_namespace(
        name=name, vpc=vpc, creator_request_id=None, description="", tags=[], properties=properties
    )
    return str(list(cloud_map.namespaces)[-1])


def service(
    cloud_map: LocalCloudMap, *types: str, name: str = "web", health: Any = None, policy: str = "MULTIVALUE"
) -> Service:
    inside = list(cloud_map.namespaces)[-1] if cloud_map.namespaces else namespace(cloud_map)
    config = {"NamespaceId": inside, "RoutingPolicy": policy, "DnsRecords": [{"Type": t, "TTL": 5} for t in types]}
    return cloud_map.create_service(
        name=name,
        namespace_id=None,
        creator_request_id=None,
        description="",
        dns_config=config,
        health_check_config=None,
        health_check_custom_config=health,
        tags=[],
        service_type=None,
    )


def register(cloud_map: LocalCloudMap, found: Service, name: str = "one", **attributes: str) -> None:
    cloud_map.register_instance(found.id, name, None, attributes)


def test_an_instance_has_a_record_of_each_type_under_the_services_name(cloud_map: LocalCloudMap) -> None:
    found = service(cloud_map, "A", "AAAA", "SRV")
    register(cloud_map, found, AWS_INSTANCE_IPV4="10.7.1.1", AWS_INSTANCE_IPV6="fd00::1", AWS_INSTANCE_PORT="80")
    assert set(service_records(found, "shop")) == {
        RecordText("web.shop", "A", 5, ("10.7.1.1",)),
        RecordText("web.shop", "AAAA", 5, ("fd00::1",)),
        RecordText("web.shop", "SRV", 5, ("1 1 80 one.web.shop.",)),
        RecordText("one.web.shop", "A", 5, ("10.7.1.1",)),
        RecordText("one.web.shop", "AAAA", 5, ("fd00::1",)),
    }
    zone = parse_zone("shop", tuple(service_records(found, "shop")))
    (srv,) = [one for one in zone.at(parse_name("web.shop")) or () if one.type == dns.rdatatype.SRV]
    assert zone.at(srv.values[0].target)


def test_an_instance_registered_again_is_one_with_its_new_attributes(cloud_map: LocalCloudMap) -> None:
    found = service(cloud_map, "A")
    for address in ("10.7.1.1", "10.7.1.2"):
        register(cloud_map, found, AWS_INSTANCE_IPV4=address)
    assert [record.values for record in service_records(found, "shop")] == [("10.7.1.2",)]
    cloud_map.deregister_instance(found.id, "one")
    assert list(service_records(found, "shop")) == []


def test_weighted_routing_gives_every_instance_the_same_weight(cloud_map: LocalCloudMap) -> None:
    found = service(cloud_map, "CNAME", policy="WEIGHTED")
    register(cloud_map, found, AWS_INSTANCE_CNAME="a.example.com")
    assert list(service_records(found, "shop")) == [RecordText("web.shop", "CNAME", 5, ("a.example.com",), weight=1)]


def test_custom_health_counts_where_the_service_has_it(cloud_map: LocalCloudMap) -> None:
    found, plain = service(cloud_map, "A", health=CUSTOM), service(cloud_map, "A", name="plain")
    register(cloud_map, found, AWS_INSTANCE_IPV4="10.7.1.1")
    register(cloud_map, found, "two", AWS_INSTANCE_IPV4="10.7.1.2", AWS_INIT_HEALTH_STATUS="UNHEALTHY")
    register(cloud_map, plain, AWS_INSTANCE_IPV4="10.7.1.3", AWS_INIT_HEALTH_STATUS="UNHEALTHY")
    assert [record.healthy for record in service_records(found, "shop")] == [True, False]
    assert [record.healthy for record in service_records(plain, "shop")] == [True]
    cloud_map.update_instance_custom_health_status(found.id, "one", "UNHEALTHY")
    assert [record.healthy for record in service_records(found, "shop")] == [False, False]
    with pytest.raises(CustomHealthNotFound):
        cloud_map.update_instance_custom_health_status(plain.id, "one", "HEALTHY")


def test_a_service_may_change_the_life_of_its_records_and_not_their_types(cloud_map: LocalCloudMap) -> None:
    found = service(cloud_map, "A")
    register(cloud_map, found, AWS_INSTANCE_IPV4="10.7.1.1")
    for record, reason in [({"Type": "CNAME", "TTL": 5}, "CNAME"), ({"Type": "A", "TTL": 2**31}, "TTL")]:
        with pytest.raises(InvalidInput, match=reason):
            cloud_map.update_service(found.id, {"DnsConfig": {"DnsRecords": [record]}})
    cloud_map.update_service(found.id, {"DnsConfig": {"DnsRecords": [{"Type": "A", "TTL": 9}]}})
    assert [record.ttl for record in service_records(found, "shop")] == [9]


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"AWS_INSTANCE_PORT": "80"}, "need the attribute AWS_INSTANCE_IPV4"),
        ({"AWS_INSTANCE_IPV4": "10.7.1.1"}, "need the attribute AWS_INSTANCE_PORT"),
        ({"AWS_INSTANCE_IPV4": "10.7.1.256", "AWS_INSTANCE_PORT": "80"}, "cannot have its DNS records"),
        ({"AWS_INSTANCE_IPV4": "10.7.1.1", "AWS_INSTANCE_PORT": "http"}, "cannot have its DNS records"),
        ({"AWS_INSTANCE_IPV4": "10.7.1.1", "AWS_INSTANCE_PORT": "70000"}, "cannot have its DNS records"),
        ({"AWS_INSTANCE_IPV6": "x", "AWS_INSTANCE_IPV4": "10.7.1.1", "AWS_INSTANCE_PORT": "1"}, "cannot have"),
        ({"AWS_ALIAS_DNS_NAME": "balancer.example.com"}, "load balancer"),
    ],
)
def test_an_instance_without_what_its_records_need_is_refused(
    cloud_map: LocalCloudMap, attributes: dict[str, str], reason: str
) -> None:
    found = service(cloud_map, "A", "SRV")
    with pytest.raises(InvalidInput, match=reason):
        register(cloud_map, found, **attributes)
    assert found.instances == []


def test_an_instance_id_that_makes_no_dns_name_is_refused_where_it_would_be_one(cloud_map: LocalCloudMap) -> None:
    wanted = {"AWS_INSTANCE_IPV4": "10.7.1.1", "AWS_INSTANCE_PORT": "80"}
    with pytest.raises(InvalidInput, match="cannot have its DNS records"):
        register(cloud_map, service(cloud_map, "SRV"), "x" * 64, **wanted)
    register(cloud_map, service(cloud_map, "A", name="addresses"), "x" * 64, **wanted)


def test_a_namespace_is_a_private_zone_of_its_name_until_it_is_deleted(cloud_map: LocalCloudMap) -> None:
    identifier = namespace(cloud_map, DnsProperties={"SOA": {"TTL": 7}})
    zones = route53_backends[ACCOUNT]["aws"].zones
    (zone,) = zones.values()
    assert (zone.name, zone.private_zone, zone.vpcs[0]["vpc_id"]) == ("shop.", True, "vpc-1")
    assert [one.ttl for one in zone.rrsets if one.type == "SOA"] == [7]
    cloud_map.update_private_dns_namespace(identifier, "new", {"SOA": {"TTL": 9}})
    assert [one.ttl for one in zone.rrsets if one.type == "SOA"] == [9]
    assert cloud_map.get_namespace(identifier).dns_properties["HostedZoneId"] == zone.resource_id
    cloud_map.delete_namespace(identifier)
    assert zones == {}


def test_one_vpc_has_many_namespaces_but_one_of_a_name(cloud_map: LocalCloudMap) -> None:
    namespace(cloud_map, "shop")
    namespace(cloud_map, "bookinfo")
    with pytest.raises(Refusal, match="already exists"):
        namespace(cloud_map, "shop")
    with pytest.raises(InvalidInput, match="is no DNS name"):
        namespace(cloud_map, "a..b")


def test_what_is_in_use_is_not_deleted(cloud_map: LocalCloudMap) -> None:
    found = service(cloud_map, "A")
    register(cloud_map, found, AWS_INSTANCE_IPV4="10.7.1.1")
    with pytest.raises(Refusal, match="still has registered instances"):
        cloud_map.delete_service(found.id)
    with pytest.raises(Refusal, match="still has services"):
        cloud_map.delete_namespace(found.namespace_id)
    cloud_map.deregister_instance(found.id, "one")
    cloud_map.delete_service(found.id)
    cloud_map.delete_namespace(found.namespace_id)
    assert not cloud_map.namespaces


def test_a_service_has_a_name_of_its_own_in_a_namespace_that_exists(cloud_map: LocalCloudMap) -> None:
    service(cloud_map, "A")
    with pytest.raises(Refusal, match="already exists"):
        service(cloud_map, "A")
    with pytest.raises(InvalidInput, match="is no DNS name"):
        service(cloud_map, "A", name="a..b")
    with pytest.raises(InvalidInput, match="cannot have MX records"):
        service(cloud_map, "MX", name="mail")
    with pytest.raises(JsonRESTError, match="ns-none"):
        cloud_map.create_service(name="web", namespace_id="ns-none", dns_config=None)
