"""Asking AWS: what its errors mean, how often it is asked, and that the regions we know are those it has."""

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import botocore.session
import pytest

from outrig.attest.aws import AnswerError, Aws
from outrig.attest.caller import Caller
from outrig.attest.endings import TaskEndings, read_ending
from outrig.attest.refusals import AwsUnavailable, Malformed, NoCredentials, RoleRefused
from outrig.attest.regions import known_regions
from outrig.attest.roles import Roles
from outrig.attest.settings import AttestSettings
from outrig.wire.proof import sts_host

pytestmark = pytest.mark.slow

CALLER = Caller("aws", "123456789012", "orders", "AROAEXAMPLEEXAMPLE", "3a151358f03a4e32bf8cd401c1c74653")


class Endpoint(ThreadingHTTPServer):
    """Answers every request with one error."""

    status, code = 400, ""
    asked = 0


class _Handler(BaseHTTPRequestHandler):
    server: Endpoint

    def do_POST(self) -> None:
        self.server.asked += 1
        self.rfile.read(int(self.headers["content-length"]))
        body = json.dumps({"__type": self.server.code, "message": "no"}).encode()
        self.send_response(self.server.status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    server = Endpoint(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLEEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "example")


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "ThrottlingException", AwsUnavailable),
        (400, "RequestLimitExceeded", AwsUnavailable),
        (429, "TooManyRequestsException", AwsUnavailable),
        (500, "ServerException", AwsUnavailable),
        (503, "", AwsUnavailable),
        (400, "AccessDeniedException", AwsUnavailable),
        (403, "", AwsUnavailable),
        (400, "ExpiredTokenException", NoCredentials),
        (400, "UnrecognizedClientException", NoCredentials),
        (400, "InvalidSignatureException", NoCredentials),
        (400, "ClusterNotFoundException", AnswerError),
    ],
)
async def test_only_an_answer_about_the_thing_asked_is_an_answer(
    status: int, code: str, kind: type[Exception], endpoint: Endpoint
) -> None:
    endpoint.status, endpoint.code = status, code
    aws = Aws(f"http://127.0.0.1:{endpoint.server_port}")
    with pytest.raises(kind) as raised:
        await aws.call("ecs", "us-east-1", "describe_tasks", tasks=["x"])
    assert endpoint.asked <= 2
    if kind is AwsUnavailable:
        assert raised.value.retry_after > 0  # type: ignore[attr-defined]


TASK = "arn:aws:ecs:us-east-1:123456789012:task/prod/3a151358f03a4e32bf8cd401c1c74653"


@pytest.mark.parametrize(
    ("status", "ended"),
    [
        ("PROVISIONING", False),
        ("PENDING", False),
        ("RUNNING", False),
        ("DEACTIVATING", False),
        ("STOPPING", False),
        ("DEPROVISIONING", True),
        ("STOPPED", True),
        ("DELETED", True),
    ],
)
def test_a_task_has_ended_once_its_containers_have_stopped(status: str, ended: bool) -> None:
    assert read_ending({"tasks": [{"taskArn": TASK, "lastStatus": status}]}, TASK) is ended


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"tasks": [], "failures": [{"arn": TASK, "reason": "MISSING"}]},
        {"tasks": [{"taskArn": TASK.replace("prod", "test"), "lastStatus": "STOPPED"}]},
        {"tasks": [{"taskArn": TASK, "lastStatus": "STOPPED"}] * 2},
    ],
)
def test_what_is_not_about_the_one_task_says_nothing_about_it(answer: dict[str, Any]) -> None:
    with pytest.raises(AwsUnavailable, match="does not say"):
        read_ending(answer, TASK)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("ClusterNotFoundException", AwsUnavailable),
        ("AccessDeniedException", AwsUnavailable),
        ("ExpiredTokenException", NoCredentials),
    ],
)
async def test_an_error_is_no_word_of_a_tasks_end(code: str, kind: type[Exception], endpoint: Endpoint) -> None:
    endpoint.code = code
    endings = TaskEndings(Aws(f"http://127.0.0.1:{endpoint.server_port}"))
    with pytest.raises(kind):
        await endings.is_stopped(TASK)
    asked = endpoint.asked
    with pytest.raises(Malformed):
        await endings.is_stopped("arn:aws:ecs:us-east-1:123456789012:service/prod/web")
    assert endpoint.asked == asked


async def test_endpoints_and_proxies_in_the_environment_do_not_count(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows 18 and 89: somebody who can set the environment's endpoint or proxy could answer for AWS."""
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_ECS", "http_proxy", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{endpoint.server_port}")
    client = Aws()._make_client("ecs", "us-east-1")
    assert client.meta.endpoint_url == "https://ecs.us-east-1.amazonaws.com"
    assert client._endpoint.http_session._proxy_config.proxy_url_for("https://ecs.us-east-1.amazonaws.com") is None
    away = Aws("http://127.0.0.1:9")
    with pytest.raises(AwsUnavailable):
        await away.call("ecs", "us-east-1", "describe_tasks", tasks=["x"])
    assert endpoint.asked == 0


def test_every_region_of_botocore_has_the_sts_host_that_agents_sign_for() -> None:
    resolver = botocore.session.Session().get_component("endpoint_resolver")
    regions = known_regions()
    assert len(regions) > 30
    for region, partition in regions.items():
        assert resolver.construct_endpoint("sts", region, partition)["hostname"] == sts_host(region)


def test_chosen_regions_must_exist() -> None:
    assert known_regions(("eu-west-1", "cn-north-1")) == {"eu-west-1": "aws", "cn-north-1": "aws-cn"}
    with pytest.raises(ValueError, match="us-east-9"):
        known_regions(("us-east-9",))


@pytest.mark.parametrize("account", ["12345678901", "1234567890123", "12345678901a", "١٢٣٤٥٦٧٨٩٠١٢"])
def test_an_account_is_twelve_digits(account: str) -> None:
    with pytest.raises(ValueError, match="not an AWS account"):
        AttestSettings(accounts=(account,))


class Iam:
    """Answers when told to, and counts."""

    def __init__(self) -> None:
        self.asked, self.go = 0, asyncio.Event()
        self.role_id = CALLER.role_id

    async def call(self, *_: object, **__: object) -> Any:
        self.asked += 1
        await self.go.wait()
        statement = {"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}}
        return {
            "Role": {
                "RoleName": "orders",
                "RoleId": self.role_id,
                "Arn": "arn:aws:iam::123456789012:role/mesh/orders",
                "AssumeRolePolicyDocument": {"Statement": statement},
            }
        }


async def test_many_who_ask_at_once_cost_one_question() -> None:
    iam = Iam()
    roles = Roles(iam, AttestSettings())  # type: ignore[arg-type]
    waiting = [asyncio.create_task(roles.of(CALLER, "us-east-1", fresh=True)) for _ in range(20)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    iam.go.set()
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert iam.asked == 1
    assert isinstance(answers[0], asyncio.CancelledError)
    assert all(not isinstance(one, BaseException) for one in answers[1:])


async def test_a_role_made_anew_is_not_served_from_the_cache() -> None:
    iam = Iam()
    iam.go.set()
    roles = Roles(iam, AttestSettings())  # type: ignore[arg-type]
    await roles.of(CALLER, "us-east-1", fresh=False)
    await roles.of(CALLER, "us-east-1", fresh=False)
    assert iam.asked == 1
    anew = Caller("aws", "123456789012", "orders", "AROANEWNEWNEWNEW", CALLER.session)
    with pytest.raises(RoleRefused):
        await roles.of(anew, "us-east-1", fresh=False)
    assert iam.asked == 2


@pytest.mark.parametrize("name", ["arn:aws:iam::123456789012:role/mesh/orders", "mesh/orders", "orders"])
async def test_a_task_definition_may_spell_its_role_in_three_ways(name: str) -> None:
    iam = Iam()
    iam.go.set()
    role = await Roles(iam, AttestSettings()).of(CALLER, "us-east-1", fresh=False)  # type: ignore[arg-type]
    assert role.is_named(name)
    others = ("", "other/orders", "arn:aws:iam::210987654321:role/mesh/orders", "arn:aws:iam::123456789012:role/orders")
    assert not any(role.is_named(other) for other in others)
