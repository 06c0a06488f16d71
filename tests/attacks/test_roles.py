"""Group E: the role behind a proof is the very one, in the right account, and only ECS tasks can be it."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from outrig.attest.aws import Aws
from tests.attacks.scene import AwsServer, Caller, Plane, RunningTask, lay_out, open_plane

pytestmark = pytest.mark.slow

TRUSTED_BY_OTHERS = {
    "an account": {"AWS": "arn:aws:iam::123456789012:root"},
    "a user": {"AWS": "arn:aws:iam::123456789012:user/alice"},
    "another service": {"Service": "lambda.amazonaws.com"},
    "ECS and another service": {"Service": ["ecs-tasks.amazonaws.com", "ec2.amazonaws.com"]},
    "ECS and an account": {"Service": "ecs-tasks.amazonaws.com", "AWS": "123456789012"},
    "an identity provider": {"Federated": "arn:aws:iam::123456789012:saml-provider/idp"},
    "a look-alike of ECS": {"Service": "ecs-tasks.amazonaws.com.evil.example"},
    "everybody": {"AWS": "*"},
}


class AwsBut:
    """The real AWS, but for some answers."""

    def __init__(self, url: str) -> None:
        self._aws = Aws(url)
        self.answers: dict[str, Any] = {}
        self.asked: list[str] = []
        self.away: set[str] = set()  # services that nobody listens for

    async def call(self, service: str, region: str, action: str, **parameters: object) -> Any:
        self.asked.append(action)
        aws = Aws("http://127.0.0.1:9") if service in self.away else self._aws
        answer = await aws.call(service, region, action, **parameters)
        change = self.answers.get(action)
        return change(answer) if change else answer


@pytest.fixture
def but(aws: AwsServer) -> AwsBut:
    return AwsBut(aws.url)


@pytest.fixture
async def plane(aws: AwsServer, but: AwsBut) -> AsyncIterator[Plane]:
    opened = await open_plane(aws.url, aws=but)
    await lay_out(opened.store)
    yield opened
    await opened.attestor.close()


@pytest.mark.parametrize("who", TRUSTED_BY_OTHERS)
async def test_a_role_that_others_may_assume_proves_no_task(who: str, plane: Plane, aws: AwsServer) -> None:
    task = aws.task(aws.role(f"trusts-{who.replace(' ', '-')}", trusts=TRUSTED_BY_OTHERS[who]))
    told = (await plane.join(task)).json()
    assert told["code"] == "OUT112"
    assert "ecs-tasks.amazonaws.com" in told["hint"]


async def test_strictness_about_trust_can_be_turned_off(aws: AwsServer, caplog: pytest.LogCaptureFixture) -> None:
    plane = await open_plane(aws.url, strict_trust=False)
    await lay_out(plane.store)
    task = aws.task(aws.role("lenient", trusts={"Service": ["ecs-tasks.amazonaws.com", "ec2.amazonaws.com"]}))
    assert (await plane.join(task)).status_code == 200
    assert "ec2.amazonaws.com" in caplog.text
    await plane.attestor.close()


@pytest.mark.parametrize(
    "statement",
    [
        {"Effect": "Allow", "NotPrincipal": {"AWS": "*"}, "Action": "sts:AssumeRole"},
        {"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"},
        {"Effect": "Allow", "Action": "sts:AssumeRole"},
        "Allow",
        None,
    ],
)
async def test_an_unusual_trust_policy_is_refused(statement: Any, plane: Plane, but: AwsBut, task: RunningTask) -> None:
    trust = {"Version": "2012-10-17", "Statement": [statement] if statement else []}
    but.answers["get_role"] = lambda answer: {"Role": {**answer["Role"], "AssumeRolePolicyDocument": trust}}
    assert (await plane.join(task)).json()["code"] == "OUT112"


async def test_a_role_made_anew_under_its_name_is_another_role(plane: Plane, but: AwsBut, task: RunningTask) -> None:
    but.answers["get_role"] = lambda answer: {"Role": {**answer["Role"], "RoleId": "AROA" + "B" * 17}}
    told = (await plane.join(task)).json()
    assert told["code"] == "OUT111"
    assert "made anew" in told["reason"]


async def test_a_role_that_is_gone_proves_nothing(plane: Plane, aws: AwsServer) -> None:
    role = aws.role("gone")
    task = aws.task(role)
    aws.client("iam").delete_role(RoleName="gone")
    assert (await plane.join(task)).json()["code"] == "OUT111"


async def test_the_same_role_name_in_another_account_is_another_role(
    plane: Plane, aws: AwsServer, role: str, task: RunningTask
) -> None:
    elsewhere = task.arn.replace("123456789012", "210987654321")
    foreign = aws.session(role.replace("123456789012", "210987654321"), task.id)
    told = (await plane.join(replace(task, arn=elsewhere, credentials=foreign))).json()
    assert told["code"] == "OUT111"
    assert "account 210987654321" in told["reason"]
    told = (await plane.join(replace(task, credentials=foreign))).json()
    assert (told["code"], told["reason"].split(":")[0]) == ("OUT113", "ecs.taskArn")


async def test_a_session_that_a_role_chooser_named_after_a_victims_task_needs_the_victims_role(
    plane: Plane, aws: AwsServer, task: RunningTask
) -> None:
    """Rows 44 and 45: whoever may assume some role of ECS names the session after a task that runs with another."""
    forged = aws.session(aws.role("intruder"), task.id)
    assert (await plane.join(replace(task, credentials=forged))).json()["code"] == "OUT113"


async def test_a_session_of_another_task_of_the_role_cannot_be_this_task(
    plane: Plane, aws: AwsServer, role: str, task: RunningTask
) -> None:
    neighbour = aws.task(role)
    assert (await plane.join(replace(task, credentials=neighbour.credentials))).json()["code"] == "OUT113"


async def test_credentials_of_another_partition_are_refused(
    plane: Plane, aws: AwsServer, role: str, task: RunningTask
) -> None:
    chinese = aws.session(role.replace("arn:aws:", "arn:aws-cn:"), task.id)
    assert (await plane.join(replace(task, credentials=chinese))).status_code == 403
    caller = Caller()
    nonce, audience = await plane.challenge(), plane.authorities.audience
    proof = caller.prove(chinese, nonce, audience, region="cn-north-1")
    arn = f"arn:aws:ecs:cn-north-1:123456789012:task/bookinfo/{task.id}"
    answer = await plane.post(caller.request(replace(task, arn=arn), proof))
    assert answer.json()["code"] in ("OUT107", "OUT111", "OUT113")


async def test_a_role_is_asked_about_once_for_many_new_tasks_but_for_every_renewal(
    plane: Plane, but: AwsBut, aws: AwsServer, role: str
) -> None:
    tasks, callers = [aws.task(role) for _ in range(3)], [Caller() for _ in range(3)]
    for task, caller in zip(tasks, callers, strict=True):
        assert (await plane.join(task, caller)).status_code == 200
    assert but.asked.count("get_role") == 1
    assert (await plane.join(tasks[0], callers[0])).status_code == 200
    assert but.asked.count("get_role") == 2


async def test_a_control_plane_that_may_not_ask_denies_nobody(
    plane: Plane, but: AwsBut, task: RunningTask, monkeypatch: pytest.MonkeyPatch, aws: AwsServer
) -> None:
    aws.client("iam").create_user(UserName="powerless")
    key = aws.client("iam").create_access_key(UserName="powerless")["AccessKey"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
    answer = await plane.join(task)
    assert (answer.status_code, answer.json()["code"]) == (503, "OUT130")
    assert "iam:get_role" in answer.json()["reason"]


async def test_a_control_plane_without_credentials_says_so(
    plane: Plane, task: RunningTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    answer = await plane.join(task)
    assert (answer.status_code, answer.json()["code"]) == (503, "OUT131")
    assert "no working AWS credentials" in answer.json()["reason"]


async def test_a_control_plane_with_wrong_credentials_says_so(
    plane: Plane, task: RunningTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    assert (await plane.join(task)).json()["code"] == "OUT131"


async def test_an_unreachable_iam_denies_nobody(plane: Plane, but: AwsBut, task: RunningTask) -> None:
    but.away = {"iam"}
    answer = await plane.join(task)
    assert (answer.status_code, answer.json()["code"]) == (503, "OUT130")
