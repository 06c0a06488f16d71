"""The real `aws` against the local ECS: what it starts are processes, what it says is what they do."""

import json
from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError

from tests.fixtures.local.lab import NETWORK, ROLE, SCENES, TRUST, Lab, eventually, lab

pytestmark = pytest.mark.slow

IDLE = {"name": "app", "image": "idle", "stopTimeout": 2}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with lab(SCENES / "minimal", tmp_path_factory.mktemp("local") / "state") as found:
        found.aws("iam", "create-role", "--role-name", "ratings", "--assume-role-policy-document", TRUST)
        found.aws("ecs", "create-cluster", "--cluster-name", "demo")
        yield found


def test_the_real_client_drives_a_service_from_beginning_to_end(cloud: Lab) -> None:
    definition = cloud.aws(
        *("ecs", "register-task-definition", "--family", "web", "--network-mode", "awsvpc", "--cpu", "256"),
        *("--requires-compatibilities", "FARGATE", "--memory", "512", "--container-definitions", json.dumps([IDLE])),
    )["taskDefinition"]["taskDefinitionArn"]
    cloud.aws(
        *("ecs", "create-service", "--cluster", "demo", "--service-name", "web", "--launch-type", "FARGATE"),
        *("--task-definition", "web", "--desired-count", "2", "--network-configuration", NETWORK),
    )
    first = eventually(lambda: len(found := cloud.tasks("service:web")) == 2 and found)
    assert all(len(task["id"]) == 32 and task["containers"][0]["pid"] for task in first)
    cloud.aws("ecs", "update-service", "--cluster", "demo", "--service", "web", "--desired-count", "1")
    eventually(lambda: len(cloud.tasks("service:web")) == 1)
    described = cloud.api.describe_services(cluster="demo", services=["web", "ghost"])
    assert described["services"][0]["taskDefinition"] == definition
    assert described["services"][0]["runningCount"] == described["services"][0]["deployments"][0]["desiredCount"] == 1
    eventually(lambda: cloud.service("web")["deployments"][0]["rolloutState"] == "COMPLETED")
    assert described["failures"][0]["reason"] == "MISSING"
    (arn,) = cloud.aws("ecs", "list-tasks", "--cluster", "demo", "--service-name", "web")["taskArns"]
    cloud.aws("ecs", "stop-task", "--cluster", "demo", "--task", arn, "--reason", "enough")
    eventually(lambda: [task for task in cloud.tasks("service:web") if task["arn"] != arn])
    assert cloud.stopped(arn)["stoppedReason"] == "enough"
    with pytest.raises(ClientError, match="scaled above 0"):
        cloud.api.delete_service(cluster="demo", service="web")
    cloud.aws("ecs", "delete-service", "--cluster", "demo", "--service", "web", "--force")
    eventually(lambda: not cloud.tasks("service:web"))
    assert cloud.api.list_services(cluster="demo")["serviceArns"] == []


def test_the_real_client_runs_one_task(cloud: Lab) -> None:
    definition = cloud.register("once", {"name": "app", "image": "shell", "command": ["exit 6"]})
    started = cloud.aws(
        *("ecs", "run-task", "--cluster", "demo", "--launch-type", "FARGATE", "--task-definition", definition),
        *("--network-configuration", NETWORK, "--started-by", "hand"),
    )
    assert started["failures"] == []
    assert (started["tasks"][0]["group"], started["tasks"][0]["startedBy"]) == ("family:once", "hand")
    assert cloud.stopped(started["tasks"][0]["taskArn"])["containers"][0]["exitCode"] == 6


def test_describe_tasks_tells_address_zone_and_containers(cloud: Lab) -> None:
    started = cloud.run_task(cloud.register("described", IDLE, {"name": "side", "image": "shell"}))
    eventually(lambda: [task for task in cloud.tasks() if task["arn"] == started["taskArn"]])
    task = cloud.describe(started["taskArn"])
    details = {entry["name"]: entry["value"] for entry in task["attachments"][0]["details"]}
    inside = cloud.ecs.run(started["taskArn"].rsplit("/", 1)[-1], ["hostname"]).stdout.strip()
    assert inside == "ip-" + details["privateIPv4Address"].replace(".", "-")
    assert task["availabilityZone"] == "us-east-1a"
    assert task["lastStatus"] == "RUNNING"
    assert task["group"] == "family:described"
    assert [one["name"] for one in task["containers"]] == ["app", "side"]
    answer = cloud.aws("ecs", "describe-tasks", "--cluster", "demo", "--tasks", "0" * 32, started["taskArn"])
    assert [entry["reason"] for entry in answer["failures"]] == ["MISSING"]
    assert len(answer["tasks"]) == 1


def test_list_tasks_filters_by_service_and_desired_status(cloud: Lab) -> None:
    definition = cloud.register("listed", IDLE)
    cloud.create_service("listed", definition, 1)
    other = cloud.run_task(definition)["taskArn"]
    eventually(lambda: cloud.tasks("service:listed"))
    by_service = cloud.api.list_tasks(cluster="demo", serviceName="listed")["taskArns"]
    assert len(by_service) == 1
    assert other not in by_service
    cloud.api.stop_task(cluster="demo", task=other)
    stopped = cloud.api.list_tasks(cluster="demo", desiredStatus="STOPPED", family="listed")
    assert stopped["taskArns"] == [other]
    cloud.delete_service("listed")


def test_stop_task_asks_first_and_kills_after_the_stop_timeout(cloud: Lab) -> None:
    polite = {
        "name": "polite",
        "image": "shell",
        "command": ["trap 'exit 3' TERM; echo up; while :; do sleep 0.1; done"],
    }
    deaf = {
        "name": "deaf",
        "image": "shell",
        "stopTimeout": 2,
        "command": ["trap '' TERM; echo up; while :; do sleep 0.1; done"],
    }
    task = cloud.run_task(cloud.register("stopping", polite, deaf))["taskArn"].rsplit("/", 1)[-1]
    for name in ("polite", "deaf"):
        log = cloud.ecs.log(f"{task}-{name}.log")
        eventually(lambda log=log: log.exists() and "up" in log.read_text())
    cloud.api.stop_task(cluster="demo", task=task, reason="enough")
    ended = cloud.stopped(task)
    assert {one["name"]: one["exitCode"] for one in ended["containers"]} == {"polite": 3, "deaf": 137}
    assert (ended["stoppedReason"], ended["stopCode"]) == ("enough", "UserInitiated")


def test_the_end_of_an_essential_container_ends_the_task_and_of_another_does_not(cloud: Lab) -> None:
    helper = {"name": "helper", "image": "shell", "essential": False, "command": ["exit 5"]}
    waiting = {"name": "app", "image": "shell", "command": ["until [ -e /tmp/end ]; do sleep 0.05; done; exit 4"]}
    task = cloud.run_task(cloud.register("essential", helper, waiting))["taskArn"].rsplit("/", 1)[-1]

    def helper_code() -> int | None:
        found = [one for one in cloud.tasks() if one["id"] == task]
        return found[0]["containers"][0]["exitCode"] if found else None

    assert eventually(helper_code) == 5
    assert cloud.ecs.run(task, ["touch", "/tmp/end"], container="app").returncode == 0
    ended = cloud.stopped(task)
    assert ended["stoppedReason"] == "Essential container in task exited"
    assert [one["exitCode"] for one in ended["containers"]] == [5, 4]


def test_containers_start_in_the_order_of_depends_on_and_stop_in_reverse(cloud: Lab) -> None:
    say = "trap 'date +%s%N; exit 0' TERM; date +%s%N; touch /tmp/first; while :; do sleep 0.05; done"
    check = {"command": ["CMD-SHELL", "test -e /tmp/first"], "interval": 5, "startPeriod": 1}
    first = {"name": "first", "image": "shell", "command": [say], "healthCheck": check}
    depends = [{"containerName": "first", "condition": "HEALTHY"}]
    second = {"name": "second", "image": "shell", "command": [say], "dependsOn": depends}
    task = cloud.run_task(cloud.register("ordered", second, first))["taskArn"].rsplit("/", 1)[-1]
    eventually(
        lambda: [one for one in cloud.tasks() if one["id"] == task and cloud.ecs.log(f"{task}-second.log").read_text()]
    )
    assert cloud.describe(task)["healthStatus"] == "HEALTHY"
    cloud.api.stop_task(cluster="demo", task=task)
    cloud.stopped(task)
    times = {
        name: [int(one) for one in cloud.ecs.log(f"{task}-{name}.log").read_text().split()]
        for name in ("first", "second")
    }
    assert times["first"][0] < times["second"][0] < times["second"][1] < times["first"][1]


def test_a_new_task_definition_replaces_tasks_new_before_old(cloud: Lab) -> None:
    cloud.create_service("rolling", cloud.register("rolling", IDLE), 1)
    (old,) = eventually(lambda: cloud.tasks("service:rolling"))
    changed = cloud.register("rolling", {**IDLE, "environment": [{"name": "VERSION", "value": "2"}]})
    cloud.api.update_service(cluster="demo", service="rolling", taskDefinition=changed)
    (new,) = eventually(lambda: [one for one in cloud.tasks("service:rolling") if one["revision"] == 2])
    ended = cloud.stopped(old["id"])
    assert ended["stopCode"] == "ServiceSchedulerInitiated"
    assert cloud.describe(new["arn"])["startedAt"] <= ended["stoppingAt"]
    assert cloud.ecs.run("rolling", ["sh", "-c", "echo $VERSION"]).stdout == "2\n"
    cloud.delete_service("rolling")


def test_an_unknown_image_and_a_missing_role_stop_the_task_with_the_reason(cloud: Lab) -> None:
    unknown = cloud.run_task(cloud.register("unknown", {"name": "app", "image": "nowhere:1"}))
    assert unknown["lastStatus"] == "STOPPED"
    assert "CannotPullContainerError: image 'nowhere:1'" in unknown["stoppedReason"]
    ghost = cloud.run_task(cloud.register("ghost", IDLE, role="arn:aws:iam::123456789012:role/ghost"))
    assert "unable to assume the role" in ghost["stoppedReason"]
    missing = cloud.run_task(cloud.register("missing", {**IDLE, "entryPoint": ["/no/such/program"]}))
    assert "CannotStartContainerError" in cloud.stopped(missing["taskArn"])["stoppedReason"]


def test_a_service_whose_tasks_end_at_once_keeps_trying_and_says_so(cloud: Lab) -> None:
    cloud.create_service(
        "broken", cloud.register("broken", {"name": "app", "image": "shell", "command": ["exit 1"]}), 1
    )

    eventually(lambda: len(cloud.tasks("service:broken", "STOPPED")) >= 3)
    service = cloud.api.describe_services(cluster="demo", services=["broken"])["services"][0]
    assert service["deployments"][0]["failedTasks"] >= 3
    assert service["deployments"][0]["rolloutState"] == "IN_PROGRESS"
    eventually(lambda: "unable to consistently start" in str(cloud.service("broken")["events"]))
    cloud.delete_service("broken")


def test_a_task_gets_its_roles_credentials_and_its_own_metadata_and_nobody_elses(cloud: Lab) -> None:
    definition = cloud.register("identity", IDLE, role=ROLE)
    mine, other = (cloud.run_task(definition)["taskArn"].rsplit("/", 1)[-1] for _ in range(2))
    eventually(lambda: {mine, other} <= {one["id"] for one in cloud.tasks()})
    credentials = 'curl -s "http://169.254.170.2$AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"'
    answer = json.loads(cloud.ecs.run(mine, ["sh", "-c", credentials]).stdout)
    assert answer["RoleArn"] == ROLE
    session = {
        "AWS_ACCESS_KEY_ID": answer["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": answer["SecretAccessKey"],
        "AWS_SESSION_TOKEN": answer["Token"],
    }
    caller = cloud.aws("sts", "get-caller-identity", environment=session)
    assert caller["Arn"] == f"arn:aws:sts::123456789012:assumed-role/ratings/{mine}"
    document = json.loads(cloud.ecs.run(mine, ["sh", "-c", "curl -s $ECS_CONTAINER_METADATA_URI_V4/task"]).stdout)
    assert document["TaskARN"].endswith(mine)
    container = json.loads(cloud.ecs.run(mine, ["sh", "-c", "curl -s $ECS_CONTAINER_METADATA_URI_V4"]).stdout)
    assert (container["Name"], container["Image"]) == ("app", "idle")
    paths = cloud.ecs.run(
        mine, ["sh", "-c", "echo $AWS_CONTAINER_CREDENTIALS_RELATIVE_URI; echo $ECS_CONTAINER_METADATA_URI_V4"]
    )
    mine_path, mine_metadata = paths.stdout.split()
    for url in (f"http://169.254.170.2{mine_path}", f"{mine_metadata}/task"):
        stolen = cloud.ecs.run(other, ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", url])
        assert stolen.stdout == "404"


def test_roles_are_managed_and_a_wrong_secret_is_refused(cloud: Lab) -> None:
    iam = cloud.client("iam")
    allow = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ecs:ListClusters","Resource":"*"}]}'
    iam.create_role(RoleName="other", AssumeRolePolicyDocument=TRUST)
    iam.put_role_policy(RoleName="other", PolicyName="p", PolicyDocument=allow)
    tags = [{"Key": "kuma.io/type", "Value": "dataplane"}]
    iam.tag_role(RoleName="other", Tags=tags)
    assert iam.get_role(RoleName="other")["Role"]["Tags"] == tags
    iam.delete_role_policy(RoleName="other", PolicyName="p")
    iam.delete_role(RoleName="other")
    with pytest.raises(ClientError, match="NoSuchEntity"):
        iam.get_role(RoleName="other")
    forged = {"AWS_SECRET_ACCESS_KEY": "forged"}
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        cloud.client("sts", **forged).get_caller_identity()
    assert "InvalidSignatureException" in cloud.try_aws("ecs", "list-clusters", environment=forged).stderr


def test_requests_without_a_body_are_signed_right(cloud: Lab) -> None:
    assert cloud.client("route53").list_hosted_zones()["HostedZones"] == []


def test_motos_own_unsigned_api_is_not_served(cloud: Lab) -> None:
    task = cloud.run_task(cloud.register("reset", IDLE))["taskArn"].rsplit("/", 1)[-1]
    eventually(lambda: [one for one in cloud.tasks() if one["id"] == task])
    inside = "http://10.7.0.1:4566/moto-api/reset"
    answer = cloud.ecs.run(task, ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-X", "POST", inside])
    assert answer.stdout == "404"
    assert cloud.describe(task)["lastStatus"] == "RUNNING"


def test_overrides_of_run_task_reach_the_process(cloud: Lab) -> None:
    definition = cloud.register(
        "overridden", {"name": "app", "image": "shell", "environment": [{"name": "A", "value": "1"}]}
    )
    change = {"name": "app", "command": ["echo $A-$B"], "environment": [{"name": "B", "value": "2"}]}
    task = cloud.run_task(definition, overrides={"containerOverrides": [change]})["taskArn"]
    cloud.stopped(task)
    assert cloud.ecs.log(f"{task.rsplit('/', 1)[-1]}-app.log").read_text() == "1-2\n"


def test_any_user_finds_the_interpreter_and_may_bind_low_ports(cloud: Lab) -> None:
    script = "import os, socket; print(os.getuid(), socket.create_server(('127.0.0.2', 80)).getsockname())"
    task = cloud.run_task(cloud.register("other", {"name": "app", "image": "python", "command": [script]}))["taskArn"]
    ended = cloud.stopped(task)
    assert ended["containers"][0]["exitCode"] == 0
    assert cloud.ecs.log(f"{task.rsplit('/', 1)[-1]}-app.log").read_text() in (
        "1337 ('127.0.0.2', 80)\n",
        "outrig local: user '1337' ignored: rootless, there is one user\n0 ('127.0.0.2', 80)\n",
    )


def test_tasks_reach_each_other_but_not_each_others_loopback(cloud: Lab) -> None:
    script = "import http.server as h; h.test(h.SimpleHTTPRequestHandler, h.ThreadingHTTPServer, port=80, bind='{}')"
    serving = [
        cloud.run_task(cloud.register("serving", {"name": "app", "image": "python", "command": [script.format(bind)]}))
        for bind in ("0.0.0.0", "127.0.0.1")
    ]
    caller = cloud.run_task(cloud.register("calling", IDLE))["taskArn"].rsplit("/", 1)[-1]
    for task in serving:
        log = cloud.ecs.log(f"{task['taskArn'].rsplit('/', 1)[-1]}-app.log")
        eventually(lambda log=log: log.exists() and "Serving HTTP" in log.read_text())
    eventually(lambda: caller in {one["id"] for one in cloud.tasks()})
    address = {one["arn"]: one["address"] for one in cloud.tasks()}
    codes = [
        cloud.ecs.run(caller, ["curl", "-s", "-o", "/dev/null", f"http://{address[task['taskArn']]}/"]).returncode
        for task in serving
    ]
    assert codes == [0, 7]


def test_bad_requests_are_refused_in_words(cloud: Lab) -> None:
    definition = cloud.register("bad", IDLE)
    with pytest.raises(ClientError, match="ClusterNotFoundException"):
        cloud.api.run_task(cluster="nowhere", taskDefinition=definition)
    placeless = cloud.try_aws("ecs", "run-task", "--cluster", "demo", "--task-definition", definition)
    assert "Network Configuration must be provided" in placeless.stderr
    cloud.api.register_task_definition(family="bridge", memory="64", containerDefinitions=[IDLE])
    with pytest.raises(ClientError, match="'bridge' is not supported"):
        cloud.run_task("bridge")
    with pytest.raises(ClientError, match="The referenced task was not found"):
        cloud.api.stop_task(cluster="demo", task="0" * 32)
