"""Health, order and deployments of the local ECS: what the API says of them is what happens."""

import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.fixtures.local.lab import NETWORK, SCENES, TRUST, Lab, eventually, lab

pytestmark = pytest.mark.slow

IDLE = {"name": "app", "image": "idle", "stopTimeout": 2}
CRASHES = {"name": "app", "image": "shell", "command": ["exit 1"]}


def checked(command: list[str], **settings: int) -> dict[str, Any]:
    """A container with a health check that fails on its first failure."""
    return {**IDLE, "healthCheck": {"command": command, "interval": 1, "retries": 1, "timeout": 2, **settings}}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with lab(SCENES / "minimal", tmp_path_factory.mktemp("local") / "state") as found:
        found.client("iam").create_role(RoleName="ratings", AssumeRolePolicyDocument=TRUST)
        found.api.create_cluster(clusterName="demo")
        yield found


def messages(cloud: Lab, service: str) -> list[str]:
    """The service's events, oldest first, without the service's name."""
    prefix = f"(service {service}) "
    return [event["message"].removeprefix(prefix) for event in reversed(cloud.service(service)["events"])]


def rolled_out(cloud: Lab, service: str, *, revision: int) -> dict[str, Any]:
    """The deployment of that revision once it is the only one, and complete."""

    def look() -> dict[str, Any] | None:
        deployments = cloud.service(service)["deployments"]
        done = deployments[0]["rolloutState"] == "COMPLETED" and len(deployments) == 1
        found: dict[str, Any] = deployments[0]
        return found if done and found["taskDefinition"].endswith(f":{revision}") else None

    found = eventually(look)
    assert found is not None
    return found


def run(cloud: Lab, family: str, *containers: dict[str, Any]) -> str:
    return str(cloud.run_task(cloud.register(family, *containers))["taskArn"]).rpartition("/")[2]


def after(condition: str, **settings: Any) -> dict[str, Any]:
    depends = [{"containerName": "first", "condition": condition}]
    return {"name": "app", "image": "shell", "command": ["exit 0"], "dependsOn": depends, **settings}


def first(command: str, **settings: Any) -> dict[str, Any]:
    return {"name": "first", "image": "shell", "essential": False, "command": [command], **settings}


def codes(task: dict[str, Any]) -> dict[str, int | None]:
    return {one["name"]: one.get("exitCode") for one in task["containers"]}


def test_complete_waits_for_the_end_and_success_for_a_good_one(cloud: Lab) -> None:
    write = "sleep 0.3; echo done > /tmp/first; exit {}"
    read = "cat /tmp/first"
    complete = run(cloud, "complete", after("COMPLETE", command=[read]), first(write.format(3)))
    success = run(cloud, "success", after("SUCCESS", command=[read]), first(write.format(0)))
    assert codes(cloud.stopped(complete)) == {"app": 0, "first": 3}
    assert codes(cloud.stopped(success)) == {"app": 0, "first": 0}
    assert cloud.ecs.log(f"{complete}-app.log").read_text() == "done\n"


@pytest.mark.parametrize(
    ("condition", "container", "why"),
    [
        ("SUCCESS", first("exit 3"), "did not reach SUCCESS: its exit code is 3"),
        ("HEALTHY", first("exit 4", healthCheck={"command": ["CMD", "false"]}), "HEALTHY: its exit code is 4"),
        (
            "HEALTHY",
            first("sleep 60", startTimeout=2, stopTimeout=2, healthCheck={"command": ["CMD", "false"]}),
            "did not reach HEALTHY: not within its 2 s",
        ),
    ],
)
def test_a_condition_that_can_never_be_met_stops_the_task(
    cloud: Lab, condition: str, container: dict[str, Any], why: str
) -> None:
    ended = cloud.stopped(run(cloud, "never", after(condition), container))
    assert ended["stopCode"] == "TaskFailedToStart"
    assert why in ended["stoppedReason"]
    assert "startedAt" not in ended
    assert codes(ended)["app"] is None


def test_a_container_that_is_not_essential_may_fail_to_start(cloud: Lab) -> None:
    broken = {"name": "first", "image": "idle", "essential": False, "entryPoint": ["/no/such/program"]}
    task = run(cloud, "half", IDLE, broken)
    eventually(lambda: cloud.describe(task)["lastStatus"] == "RUNNING")
    (side,) = [one for one in cloud.describe(task)["containers"] if one["name"] == "first"]
    assert (side["lastStatus"], "CannotStartContainerError" in side["reason"]) == ("STOPPED", True)


def test_health_is_told_in_the_api_and_in_the_metadata_and_a_probe_that_hangs_has_failed(cloud: Lab) -> None:
    check = checked(["CMD", "/bin/sh", "-c", "test ! -e /tmp/hang || exec sleep 60"])
    task = run(cloud, "probed", check, {"name": "side", "image": "idle", "stopTimeout": 2})

    def health() -> tuple[str, str]:
        found = cloud.describe(task)
        return found["healthStatus"], found["containers"][0]["healthStatus"]

    eventually(lambda: health() == ("HEALTHY", "HEALTHY"))
    look = ["sh", "-c", "curl -s $ECS_CONTAINER_METADATA_URI_V4/task"]
    told = json.loads(cloud.ecs.run(task, look, container="app").stdout)["Containers"]
    assert told[0]["Health"]["status"] == "HEALTHY"
    assert "statusSince" in told[0]["Health"]
    assert "Health" not in told[1]
    cloud.ecs.run(task, ["touch", "/tmp/hang"], container="app")
    eventually(lambda: health() == ("UNHEALTHY", "UNHEALTHY"))
    assert cloud.describe(task)["lastStatus"] == "RUNNING"
    cloud.ecs.run(task, ["rm", "/tmp/hang"], container="app")
    eventually(lambda: health() == ("HEALTHY", "HEALTHY"))


def test_failures_within_the_start_period_do_not_count(cloud: Lab) -> None:
    check = checked(["CMD-SHELL", "echo probed >> /tmp/probes; test -e /tmp/well"], startPeriod=300)
    task = run(cloud, "patient", check)

    def probes() -> int:
        return cloud.ecs.run(task, ["cat", "/tmp/probes"]).stdout.count("probed")

    eventually(lambda: cloud.describe(task)["lastStatus"] == "RUNNING")
    eventually(lambda: probes() >= 2)
    assert cloud.describe(task)["healthStatus"] == "UNKNOWN"
    cloud.ecs.run(task, ["touch", "/tmp/well"])
    eventually(lambda: cloud.describe(task)["healthStatus"] == "HEALTHY")


def test_an_unhealthy_task_of_a_service_is_replaced_before_it_is_stopped(cloud: Lab) -> None:
    cloud.create_service("sick", cloud.register("sick", checked(["CMD", "test", "!", "-e", "/tmp/sick"])), 1)
    rolled_out(cloud, "sick", revision=1)
    (task,) = cloud.tasks("service:sick")
    cloud.ecs.run(task["id"], ["touch", "/tmp/sick"])
    ended = cloud.stopped(task["id"])
    assert (ended["stopCode"], ended["stoppedReason"]) == (
        "ServiceSchedulerInitiated",
        "Task failed container health checks",
    )
    (replacement,) = cloud.tasks("service:sick")
    assert cloud.describe(replacement["id"])["startedAt"] < ended["stoppingAt"]
    assert f"(task {task['id']}) failed container health checks." in messages(cloud, "sick")
    cloud.delete_service("sick")


def test_the_events_of_a_service_tell_its_life_in_order(cloud: Lab) -> None:
    cloud.register("told", IDLE)
    cloud.aws(
        *("ecs", "create-service", "--cluster", "demo", "--service-name", "told", "--launch-type", "FARGATE"),
        *("--task-definition", "told", "--desired-count", "2", "--network-configuration", NETWORK),
        *("--deployment-configuration", "deploymentCircuitBreaker={enable=true,rollback=true}"),
    )
    deployment = rolled_out(cloud, "told", revision=1)
    assert deployment["rolloutStateReason"] == f"ECS deployment {deployment['id']} completed."
    assert (deployment["status"], deployment["desiredCount"], deployment["runningCount"]) == ("PRIMARY", 2, 2)
    cloud.aws(
        *("ecs", "update-service", "--cluster", "demo", "--service", "told", "--desired-count", "1"),
        "--force-new-deployment",
    )
    forced = eventually(lambda: (found := cloud.service("told")["deployments"])[0]["id"] != deployment["id"] and found)
    assert forced[0]["rolloutStateReason"] == f"ECS deployment {forced[0]['id']} in progress."
    eventually(lambda: cloud.service("told")["deployments"][0]["rolloutState"] == "COMPLETED")
    told = messages(cloud, "told")
    starts = [line.partition(":")[0] for line in told if line.startswith("has ")]
    assert starts[0] == "has started 2 tasks"
    assert starts[-1] == "has reached a steady state."
    assert {"has started 1 tasks", "has stopped 1 running tasks"} <= set(starts)
    assert f"(deployment {forced[0]['id']}) deployment completed." in told
    assert not any(one == other for one, other in pairwise(told))
    unchanged = cloud.api.update_service(cluster="demo", service="told", taskDefinition="told")["service"]
    assert unchanged["deployments"][0]["id"] == forced[0]["id"]
    cloud.delete_service("told")


def test_deployments_that_overtake_each_other_end_with_the_newest_and_never_below_the_minimum(cloud: Lab) -> None:
    cloud.create_service("race", cloud.register("race", checked(["CMD", "true"])), 2)
    rolled_out(cloud, "race", revision=1)
    for number in range(2):
        newer = cloud.register(
            "race", checked(["CMD", "true"]) | {"environment": [{"name": "N", "value": f"{number}"}]}
        )
        cloud.api.update_service(cluster="demo", service="race", taskDefinition=newer)
    statuses = {one["status"] for one in cloud.service("race")["deployments"]}

    def done() -> bool:
        serving = [one for one in cloud.tasks("service:race") if one["desiredStatus"] == "RUNNING"]
        assert len(serving) >= 2
        deployments = cloud.service("race")["deployments"]
        return len(deployments) == 1 and deployments[0]["rolloutState"] == "COMPLETED"

    eventually(done)
    assert statuses == {"PRIMARY", "ACTIVE"}
    assert {one["revision"] for one in cloud.tasks("service:race")} == {3}
    cloud.delete_service("race")


def test_a_deployment_whose_tasks_keep_failing_is_rolled_back(cloud: Lab) -> None:
    breaker = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}
    cloud.create_service("breaking", cloud.register("breaking", IDLE), 1)
    good = rolled_out(cloud, "breaking", revision=1)
    bad = cloud.register("breaking", CRASHES)
    answer = cloud.api.update_service(
        cluster="demo", service="breaking", taskDefinition=bad, deploymentConfiguration=breaker
    )
    failed = answer["service"]["deployments"][0]["id"]
    eventually(lambda: f"rolling back to deployment {good['id']}." in messages(cloud, "breaking"))
    back = rolled_out(cloud, "breaking", revision=1)
    assert back["id"] == good["id"]
    assert f"(deployment {failed}) deployment failed: tasks failed to start." in messages(cloud, "breaking")
    (survivor,) = cloud.tasks("service:breaking")
    assert survivor["revision"] == 1
    assert cloud.service("breaking")["deploymentConfiguration"]["deploymentCircuitBreaker"] == {
        "enable": True,
        "rollback": True,
    }
    cloud.delete_service("breaking")


def test_a_first_deployment_that_fails_has_nothing_to_go_back_to_and_starts_no_more_tasks(cloud: Lab) -> None:
    cloud.api.create_service(
        cluster="demo",
        serviceName="stillborn",
        taskDefinition=cloud.register("stillborn", {"name": "app", "image": "nowhere:1"}),
        desiredCount=1,
        launchType="FARGATE",
        networkConfiguration={"awsvpcConfiguration": {"subnets": ["subnet-1"]}},
        deploymentConfiguration={"deploymentCircuitBreaker": {"enable": True, "rollback": True}},
    )
    eventually(lambda: cloud.service("stillborn")["deployments"][0]["rolloutState"] == "FAILED")
    deployment = cloud.service("stillborn")["deployments"][0]
    assert deployment["rolloutStateReason"] == "ECS deployment circuit breaker: tasks failed to start."
    assert (deployment["failedTasks"], deployment["desiredCount"]) == (3, 0)
    assert any("CannotPullContainerError: image 'nowhere:1'" in line for line in messages(cloud, "stillborn"))
    assert len(cloud.tasks("service:stillborn", "STOPPED")) == 3
    cloud.delete_service("stillborn")


def test_percentages_that_block_deployments_are_refused_or_said(cloud: Lab) -> None:
    definition = cloud.register("blocked", IDLE)
    cloud.create_service("blocked", definition, 1)
    both = {"minimumHealthyPercent": 100, "maximumPercent": 100}
    with pytest.raises(ClientError, match="will block deployments"):
        cloud.api.update_service(cluster="demo", service="blocked", desiredCount=5, deploymentConfiguration=both)
    assert cloud.service("blocked")["desiredCount"] == 1
    rolled_out(cloud, "blocked", revision=1)
    half = {"minimumHealthyPercent": 50, "maximumPercent": 100}
    cloud.api.update_service(cluster="demo", service="blocked", forceNewDeployment=True, deploymentConfiguration=half)
    eventually(lambda: any("was unable to stop or start tasks" in line for line in messages(cloud, "blocked")))
    cloud.delete_service("blocked")


def test_definitions_that_could_never_run_are_refused_when_registered(cloud: Lab) -> None:
    with pytest.raises(ClientError, match="there is no such container"):
        cloud.register("impossible", after("START"))
