"""Names inside the VPC: private zones and Cloud Map made with the real `aws`, looked up by the programs of tasks."""

import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.fixtures.local.lab import SCENES, TRUST, Lab, eventually, lab

pytestmark = pytest.mark.slow

PYTHON = str(Path(sys.executable).parent / "python")
LOOK_UP = """
import json, socket, sys
def look(name):
    try:
        found = socket.getaddrinfo(name, 80, proto=socket.IPPROTO_TCP)
    except socket.gaierror as error:
        return {socket.EAI_NONAME: "no such name", socket.EAI_NODATA: "no address"}.get(error.errno, str(error))
    return sorted({address[0] for *_, address in found})
print(json.dumps([look(name) for name in sys.argv[1:]]))
"""
TWO_SUBNETS = {"awsvpcConfiguration": {"subnets": ["subnet-1", "subnet-2"]}}
IDLE = {"name": "app", "image": "idle", "stopTimeout": 2}
WEB = {"name": "app", "image": "web", "stopTimeout": 2}
ENVOY = {"name": "envoy", "image": "envoy", "stopTimeout": 2}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A mesh's zone with one wildcard record, a Cloud Map namespace, and a task to look names up from."""
    with lab(SCENES / "names", tmp_path_factory.mktemp("local") / "state") as found:
        found.aws("iam", "create-role", "--role-name", "asker", "--assume-role-policy-document", TRUST)
        allow = {"Effect": "Allow", "Action": "servicediscovery:DiscoverInstances", "Resource": "*"}
        found.client("iam").put_role_policy(
            RoleName="asker",
            PolicyName="discover",
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [allow]}),
        )
        found.api.create_cluster(clusterName="demo")
        zone = found.aws(
            *("route53", "create-hosted-zone", "--name", "bookinfo", "--caller-reference", "once"),
            *("--vpc", "VPCRegion=us-east-1,VPCId=vpc-1"),
        )["HostedZone"]["Id"]
        change(found, zone, "*.bookinfo", "A", "127.0.0.2")
        vpc = ("--vpc", "vpc-1")
        found.aws("servicediscovery", "create-private-dns-namespace", "--name", "shop", *vpc)
        definition = found.register("asker", IDLE, role="arn:aws:iam::123456789012:role/asker")
        found.create_service("asker", definition, 1)
        eventually(lambda: found.tasks("service:asker"))
        yield found


def change(cloud: Lab, zone: str, name: str, kind: str, *values: str) -> None:
    record = {"Name": name, "Type": kind, "TTL": 60, "ResourceRecords": [{"Value": value} for value in values]}
    batch = json.dumps({"Changes": [{"Action": "UPSERT", "ResourceRecordSet": record}]})
    cloud.aws("route53", "change-resource-record-sets", "--hosted-zone-id", zone, "--change-batch", batch)


def look_up(cloud: Lab, *names: str) -> list[Any]:
    """What the C library makes of names in a task: addresses, or why there are none."""
    found: list[Any] = json.loads(cloud.ecs.run("asker", [PYTHON, "-c", LOOK_UP, *names]).stdout)
    return found


def a_registry(cloud: Lab, name: str, *types: str) -> dict[str, Any]:
    """A Cloud Map service in the namespace `shop`, made with the real client."""
    cloud_map = cloud.client("servicediscovery")
    (namespace,) = [one for one in cloud_map.list_namespaces()["Namespaces"] if one["Name"] == "shop"]
    records = ",".join(f"{{Type={kind},TTL=5}}" for kind in types)
    found: dict[str, Any] = cloud.aws(
        *("servicediscovery", "create-service", "--name", name, "--health-check-custom-config", "FailureThreshold=1"),
        *("--dns-config", f"NamespaceId={namespace['Id']},RoutingPolicy=MULTIVALUE,DnsRecords=[{records}]"),
    )["Service"]
    return found


def start(cloud: Lab, name: str, container: dict[str, Any], count: int, **settings: Any) -> None:
    cloud.api.create_service(
        cluster="demo",
        serviceName=name,
        taskDefinition=cloud.register(name, container),
        desiredCount=count,
        launchType="FARGATE",
        **{"networkConfiguration": TWO_SUBNETS, **settings},
    )


def addresses(cloud: Lab, service: str) -> list[str]:
    return sorted(task["address"] for task in cloud.tasks(f"service:{service}"))


def test_one_wildcard_record_leads_every_program_to_the_sidecar(cloud: Lab) -> None:
    assert look_up(cloud, "ratings.bookinfo", "v1.reviews.bookinfo", "RATINGS.bookinfo.") == [["127.0.0.2"]] * 3
    assert "127.0.0.2" in cloud.ecs.run("asker", ["getent", "ahostsv4", "ratings.bookinfo"]).stdout
    refused = cloud.ecs.run("asker", ["curl", "-sv", "http://ratings.bookinfo:9080/"])
    assert (refused.returncode, "127.0.0.2" in refused.stderr) == (7, True)


def test_what_no_zone_has_is_answered_at_once_with_no(cloud: Lab) -> None:
    assert look_up(cloud, "www.example.com", "nothing.shop", "nothing") == ["no such name"] * 3
    assert look_up(cloud, "bookinfo") == ["no address"]


def test_an_answer_that_no_datagram_holds_comes_over_tcp_and_a_deleted_zone_is_gone(cloud: Lab) -> None:
    route53 = cloud.client("route53")
    vpc = {"VPCRegion": "us-east-1", "VPCId": "vpc-1"}
    zone = route53.create_hosted_zone(Name="single", CallerReference="single", VPC=vpc)["HostedZone"]["Id"]
    many = sorted(f"10.7.200.{number}" for number in range(60))
    change(cloud, zone, "single", "A", *many)
    assert look_up(cloud, "single") == [many]
    record = route53.list_resource_record_sets(HostedZoneId=zone, StartRecordName="single", StartRecordType="A")
    deletion = {"Action": "DELETE", "ResourceRecordSet": record["ResourceRecordSets"][0]}
    route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": [deletion]})
    assert look_up(cloud, "single") == ["no address"]
    route53.delete_hosted_zone(Id=zone)
    assert look_up(cloud, "single") == ["no such name"]


def test_a_changed_record_counts_from_the_next_question_on(cloud: Lab) -> None:
    route53 = cloud.client("route53")
    zone = route53.create_hosted_zone(
        Name="db.internal",
        CallerReference="db",
        VPC={"VPCRegion": "us-east-1", "VPCId": "vpc-1"},
    )["HostedZone"]["Id"]
    for address in ("10.7.9.1", "10.7.9.2"):
        change(cloud, zone, "main.db.internal", "A", address)
        assert look_up(cloud, "main.db.internal") == [[address]]
    change(cloud, zone, "reader.db.internal", "CNAME", "main.db.internal")
    assert look_up(cloud, "reader.db.internal") == [["10.7.9.2"]]
    bad = {"Name": "x.db.internal", "Type": "A", "TTL": 1, "ResourceRecords": [{"Value": "nonsense"}]}
    with pytest.raises(ClientError, match="Invalid Resource Record"):
        route53.change_resource_record_sets(
            HostedZoneId=zone, ChangeBatch={"Changes": [{"Action": "CREATE", "ResourceRecordSet": bad}]}
        )


def test_short_names_are_searched_in_the_vpcs_own_domain(cloud: Lab) -> None:
    (address,) = addresses(cloud, "asker")
    host = "ip-" + address.replace(".", "-")
    assert look_up(cloud, "ip-10-7-1-99", "ip-10-7-1-99.ec2.internal") == [["10.7.1.99"]] * 2
    assert cloud.ecs.run("asker", ["hostname", "-f"]).stdout.strip() == f"{host}.ec2.internal"


def test_tasks_of_a_service_are_instances_from_serving_to_leaving(cloud: Lab) -> None:
    registry = a_registry(cloud, "idle", "A", "SRV")
    with_port = {"registryArn": registry["Arn"], "containerName": "app", "containerPort": 8080}
    start(cloud, "idle", IDLE, 1, serviceRegistries=[with_port])

    def instances() -> dict[str, dict[str, str]]:
        listed = cloud.client("servicediscovery").list_instances(ServiceId=registry["Id"])["Instances"]
        return {one["Id"]: one["Attributes"] for one in listed}

    def settled(count: int) -> bool:
        """Registered are exactly the tasks that run, and DNS says the same."""
        tasks = {task["id"]: task["address"] for task in cloud.tasks("service:idle")}
        agree = {name: entry["AWS_INSTANCE_IPV4"] for name, entry in instances().items()} == tasks
        return len(tasks) == count and agree and look_up(cloud, "idle.shop") == [sorted(tasks.values())]

    eventually(lambda: settled(1))
    ((task, attributes),) = instances().items()
    described = cloud.describe(task)
    assert attributes == {
        "AVAILABILITY_ZONE": described["availabilityZone"],
        "AWS_INSTANCE_IPV4": attributes["AWS_INSTANCE_IPV4"],
        "AWS_INSTANCE_PORT": "8080",
        "ECS_CLUSTER_NAME": "demo",
        "ECS_SERVICE_NAME": "idle",
        "ECS_TASK_DEFINITION_FAMILY": "idle",
        "REGION": "us-east-1",
    }
    cloud.api.update_service(cluster="demo", service="idle", desiredCount=3)
    eventually(lambda: settled(3))
    listed = cloud.aws("servicediscovery", "list-instances", "--service-id", registry["Id"])["Instances"]
    assert {one["Id"] for one in listed} == instances().keys()
    ask = ("servicediscovery", "discover-instances", "--namespace-name", "shop", "--service-name", "idle")
    assert {one["HealthStatus"] for one in cloud.aws(*ask)["Instances"]} == {"HEALTHY"}
    inside = cloud.ecs.run("asker", [str(Path(PYTHON).parent / "aws"), *ask])
    assert len(json.loads(inside.stdout)["Instances"]) == 3
    cloud.ecs.kill(task)
    eventually(lambda: task not in instances() and settled(3))
    cloud.api.update_service(cluster="demo", service="idle", desiredCount=1)
    eventually(lambda: settled(1))
    cloud.delete_service("idle")
    eventually(lambda: not instances())
    assert look_up(cloud, "idle.shop") == ["no such name"]


def test_an_instance_registered_by_hand_is_in_dns_while_it_is_healthy(cloud: Lab) -> None:
    registry, cloud_map = a_registry(cloud, "hand", "A")["Id"], cloud.client("servicediscovery")
    both = {"one": "10.7.220.1", "two": "10.7.220.2"}
    for name, address in both.items():
        cloud.aws(
            *("servicediscovery", "register-instance", "--service-id", registry, "--instance-id", name),
            *("--attributes", f"AWS_INSTANCE_IPV4={address}"),
        )
    assert look_up(cloud, "hand.shop") == [["10.7.220.1", "10.7.220.2"]]
    cloud_map.update_instance_custom_health_status(ServiceId=registry, InstanceId="one", Status="UNHEALTHY")
    assert look_up(cloud, "hand.shop") == [["10.7.220.2"]]
    cloud_map.update_instance_custom_health_status(ServiceId=registry, InstanceId="two", Status="UNHEALTHY")
    assert look_up(cloud, "hand.shop") == [["10.7.220.1", "10.7.220.2"]], "where nobody is healthy, all are answered"
    for name in both:
        cloud_map.deregister_instance(ServiceId=registry, InstanceId=name)
    assert look_up(cloud, "hand.shop") == ["no such name"]


def test_a_task_with_a_health_check_is_an_instance_once_it_is_healthy(cloud: Lab) -> None:
    registry = a_registry(cloud, "checked", "A")
    probe = {"command": ["CMD-SHELL", "test -e /tmp/ok"], "interval": 5, "startPeriod": 300}
    start(cloud, "checked", {**IDLE, "healthCheck": probe}, 1, serviceRegistries=[{"registryArn": registry["Arn"]}])
    eventually(lambda: cloud.tasks("service:checked"))
    assert look_up(cloud, "checked.shop") == ["no such name"]
    cloud.ecs.run("checked", ["touch", "/tmp/ok"])
    eventually(lambda: look_up(cloud, "checked.shop") == [addresses(cloud, "checked")])
    cloud.delete_service("checked")


def test_a_task_that_is_stopping_is_no_instance_any_more(cloud: Lab) -> None:
    registry = a_registry(cloud, "deaf", "A")
    deaf = {**IDLE, "entryPoint": ["sh", "-c", "trap '' TERM; while :; do sleep 1; done"], "stopTimeout": 60}
    start(cloud, "deaf", deaf, 1, serviceRegistries=[{"registryArn": registry["Arn"]}])
    eventually(lambda: look_up(cloud, "deaf.shop") != ["no such name"])
    cloud.api.update_service(cluster="demo", service="deaf", desiredCount=0)
    (task,) = eventually(lambda: cloud.tasks("service:deaf", status="STOPPING"))
    assert look_up(cloud, "deaf.shop") == ["no such name"]
    cloud.ecs.kill(task["id"])
    assert cloud.stopped(task["id"])["containers"][0]["exitCode"] == 137


def test_a_registry_that_does_not_fit_is_refused(cloud: Lab) -> None:
    registry = a_registry(cloud, "ports", "SRV")
    with pytest.raises(ClientError, match="SRV records need"):
        start(cloud, "ports", IDLE, 1, serviceRegistries=[{"registryArn": registry["Arn"]}])
    with pytest.raises(ClientError, match="no Cloud Map service"):
        start(cloud, "ports", IDLE, 1, serviceRegistries=[{"registryArn": f"{registry['Arn']}x"}])
    ghost = {"registryArn": registry["Arn"], "containerName": "ghost", "containerPort": 80}
    with pytest.raises(ClientError, match="ghost does not exist"):
        start(cloud, "ports", IDLE, 1, serviceRegistries=[ghost])


def test_an_envoy_finds_the_tasks_of_a_service_by_name(cloud: Lab) -> None:
    registry = a_registry(cloud, "web", "A")
    start(cloud, "web", WEB, 1, serviceRegistries=[{"registryArn": registry["Arn"]}])
    eventually(lambda: cloud.tasks("service:web"))
    start(cloud, "sidecar", ENVOY, 1)
    eventually(lambda: cloud.tasks("service:sidecar"))
    page = ["curl", "-s", "http://ratings.bookinfo/scene.yaml"]
    assert "Two zones" in eventually(lambda: cloud.ecs.run("sidecar", page).stdout)


def zones(cloud: Lab, service: str) -> Counter[str]:
    return Counter(task["zone"] for task in cloud.tasks(f"service:{service}"))


def test_tasks_of_a_service_are_spread_over_two_zones_and_stay_so(cloud: Lab) -> None:
    start(cloud, "spread", IDLE, 4)
    even = {"us-east-1a": 2, "us-east-1b": 2}
    eventually(lambda: zones(cloud, "spread") == even)
    first = cloud.tasks("service:spread")[0]["id"]
    cloud.ecs.kill(first)
    eventually(lambda: first not in {task["id"] for task in cloud.tasks()} and zones(cloud, "spread") == even)
    cloud.api.update_service(cluster="demo", service="spread", desiredCount=2)
    eventually(lambda: zones(cloud, "spread") == {"us-east-1a": 1, "us-east-1b": 1})
    cloud.delete_service("spread")


def test_a_tasks_zone_is_the_same_wherever_it_is_told(cloud: Lab) -> None:
    ec2 = cloud.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.7.0.0/16")["Vpc"]["VpcId"]
    subnet = cloud.aws(
        *("ec2", "create-subnet", "--vpc-id", vpc, "--cidr-block", "10.7.128.0/20"),
        *("--availability-zone", "us-east-1b"),
    )["Subnet"]["SubnetId"]
    network = {"awsvpcConfiguration": {"subnets": [subnet]}}
    task = cloud.api.run_task(
        cluster="demo",
        taskDefinition=cloud.register("placed", IDLE),
        launchType="FARGATE",
        networkConfiguration=network,
    )["tasks"][0]["taskArn"].rpartition("/")[2]
    eventually(lambda: [one for one in cloud.tasks() if one["id"] == task])
    described = cloud.describe(task)
    details = {entry["name"]: entry["value"] for entry in described["attachments"][0]["details"]}
    told = cloud.ecs.run(task, ["sh", "-c", "curl -s $ECS_CONTAINER_METADATA_URI_V4/task"]).stdout
    assert json.loads(told)["AvailabilityZone"] == described["availabilityZone"] == "us-east-1b"
    assert details["subnetId"] == subnet
