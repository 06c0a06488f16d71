"""The task behind a proof runs, where it says, with the role it proved and the address it advertises."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest

from outrig.attest.aws import Aws
from outrig.attest.endings import TaskEndings
from outrig.attest.refusals import AwsUnavailable
from tests.attacks.scene import AwsServer, Caller, Plane, RunningTask, lay_out, open_plane
from tests.attacks.test_roles import AwsBut

pytestmark = pytest.mark.slow

Change = Callable[[dict[str, Any]], Any]


def task_with(**changes: Any) -> Change:
    return lambda answer: {**answer, "tasks": [{**answer["tasks"][0], **changes}]}


GONE = {
    "type": "ElasticNetworkInterface",
    "status": "DELETED",
    "details": [{"name": "privateIPv4Address", "value": "10.0.0.1"}],
}
DESCRIBED: dict[str, tuple[Change, str]] = {
    "56 stopped": (task_with(lastStatus="STOPPED"), "OUT114"),
    "56 stopping": (task_with(lastStatus="STOPPING"), "OUT114"),
    "56 to be stopped": (task_with(desiredStatus="STOPPED"), "OUT114"),
    "56 being stopped": (task_with(stoppingAt="2026-01-01"), "OUT114"),
    "56 not yet placed": (task_with(lastStatus="PROVISIONING"), "OUT114"),
    "56 deprovisioning": (task_with(lastStatus="DEPROVISIONING"), "OUT114"),
    "57 another zone's region": (task_with(availabilityZone="eu-west-1a"), "OUT113"),
    "57 no zone": (task_with(availabilityZone=None), "OUT113"),
    "58 another task": (task_with(taskArn="arn:aws:ecs:us-east-1:123456789012:task/bookinfo/" + "0" * 32), "OUT113"),
    "58 another cluster": (task_with(clusterArn="arn:aws:ecs:us-east-1:123456789012:cluster/bookinfo-2"), "OUT113"),
    "58 two tasks": (lambda answer: {**answer, "tasks": answer["tasks"] * 2}, "OUT113"),
    "58 none": (lambda answer: {**answer, "tasks": []}, "OUT113"),
    "58 a failure beside it": (lambda answer: {**answer, "failures": [{"reason": "MISSING"}]}, "OUT113"),
    "59 another role by override": (task_with(overrides={"taskRoleArn": "arn:aws:iam::123456789012:role/x"}), "OUT113"),
    "60 no interface": (task_with(attachments=[]), "OUT113"),
    "60 an interface that is gone": (task_with(attachments=[GONE]), "OUT113"),
}


@pytest.fixture
def but(aws: AwsServer) -> AwsBut:
    return AwsBut(aws.url)


@pytest.fixture
async def plane(aws: AwsServer, but: AwsBut) -> AsyncIterator[Plane]:
    opened = await open_plane(aws.url, aws=but)
    await lay_out(opened.store)
    yield opened
    await opened.attestor.close()


@pytest.mark.parametrize("how", DESCRIBED)
async def test_a_task_that_ecs_describes_otherwise_is_refused(
    how: str, plane: Plane, but: AwsBut, task: RunningTask
) -> None:
    change, code = DESCRIBED[how]
    but.answers["describe_tasks"] = change
    told = await plane.join(task)
    assert (told.status_code, told.json()["code"]) == (403, code)
    assert await plane.all("WorkloadAutoRegistration") == ()


@pytest.mark.parametrize("status", ["PENDING", "ACTIVATING"])
async def test_a_task_may_join_while_it_starts(status: str, plane: Plane, but: AwsBut, task: RunningTask) -> None:
    but.answers["describe_tasks"] = task_with(lastStatus=status)
    assert (await plane.join(task)).status_code == 200


async def test_a_task_that_was_stopped_gets_no_new_certificates(plane: Plane, aws: AwsServer, role: str) -> None:
    task = aws.task(role)
    aws.stop(task)
    told = (await plane.join(task)).json()
    assert (told["code"], "STOPPED" in told["reason"]) == ("OUT114", True)


async def test_ecs_tells_a_running_task_from_one_that_has_ended(plane: Plane, aws: AwsServer, role: str) -> None:
    task, endings = aws.task(role), TaskEndings(Aws(aws.url))
    assert not await endings.is_stopped(task.arn)
    aws.stop(task)
    assert await endings.is_stopped(task.arn)
    with pytest.raises(AwsUnavailable, match="does not say"):
        await endings.is_stopped(task.arn[:-4] + "0000")


async def test_a_cluster_that_does_not_exist_is_refused(plane: Plane, task: RunningTask) -> None:
    elsewhere = replace(task, cluster="other", arn=task.arn.replace("bookinfo", "other"))
    assert (await plane.join(elsewhere)).json()["code"] == "OUT113"


async def test_a_cluster_whose_name_begins_alike_is_another(plane: Plane, aws: AwsServer, task: RunningTask) -> None:
    aws.client("ecs").create_cluster(clusterName="bookinfo-2")
    elsewhere = replace(task, cluster="bookinfo-2", arn=task.arn.replace("bookinfo", "bookinfo-2"))
    assert (await plane.join(elsewhere)).json()["code"] == "OUT113"


async def test_a_role_given_by_override_is_the_tasks_role(plane: Plane, aws: AwsServer, role: str) -> None:
    """Row 48: who overrides the role gets that role's rights, and no other's."""
    other = aws.role("override")
    task = aws.task(role, overrides={"taskRoleArn": other})
    assert (await plane.join(task)).json()["code"] == "OUT113"
    assert (await plane.join(replace(task, credentials=aws.session(other, task.id)))).status_code == 200


async def test_a_cluster_may_be_named_by_its_arn(plane: Plane, task: RunningTask) -> None:
    cluster = "arn:aws:ecs:us-east-1:123456789012:cluster/bookinfo"
    assert (await plane.join(replace(task, cluster=cluster))).status_code == 200


ADVERTISED = {
    "another's": [{"ip": "10.9.9.9", "type": "VPC"}],
    "another's beside its own": [{"ip": "OWN", "type": "VPC"}, {"ip": "10.9.9.9", "type": "VPC"}],
    "its own, but not in the VPC": [{"ip": "OWN", "type": "INTERNET"}],
    "loopback": [{"ip": "127.0.0.1", "type": "VPC"}],
}


@pytest.mark.parametrize("what", ADVERTISED)
async def test_a_task_can_only_advertise_its_own_address(what: str, plane: Plane, task: RunningTask) -> None:
    addresses = [{**one, "ip": one["ip"].replace("OWN", task.ip)} for one in ADVERTISED[what]]
    told = (await plane.join(task, addresses=addresses)).json()
    assert told["code"] == "OUT115"
    assert task.ip in told["reason"]


async def test_ecs_being_away_denies_nobody(plane: Plane, but: AwsBut, task: RunningTask) -> None:
    but.away = {"ecs"}
    answer = await plane.join(task)
    assert (answer.status_code, answer.json()["code"]) == (503, "OUT130")
    assert await plane.all("WorkloadAutoRegistration") == ()
    assert await plane.events() == []


async def test_a_task_over_the_internet_is_called_at_the_public_address_that_ec2_says(
    plane: Plane, aws: AwsServer, task: RunningTask
) -> None:
    over = {"connectedOver": "INTERNET"}
    told = await plane.join(task, **over)
    assert (told.status_code, told.json()["code"]) == (403, "OUT115")
    assert "has no public address" in told.json()["reason"]
    public = aws.publish(task)
    caller = Caller()
    lie = [{"ip": task.ip, "type": "VPC"}, {"ip": "8.8.8.8", "type": "INTERNET"}]
    assert (await plane.join(task, caller, addresses=lie, **over)).status_code == 200
    (entry,), (registration,) = await plane.all("WorkloadEntry"), await plane.all("WorkloadAutoRegistration")
    assert entry.spec["address"] == public
    assert entry.annotations["onboarding.outrig.dev/own-address"] == task.ip
    addresses = registration.spec["registration"]["host"]["addresses"]
    assert addresses == [{"ip": task.ip, "type": "VPC"}, {"ip": public, "type": "INTERNET"}]
    assert (await plane.join(task, caller)).status_code == 200
    (entry,) = await plane.all("WorkloadEntry")
    assert entry.spec["address"] == task.ip
    assert "onboarding.outrig.dev/own-address" not in entry.annotations
