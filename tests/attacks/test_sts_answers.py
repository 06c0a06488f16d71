"""What STS answers is believed only in exactly the agreed form; else nobody gets in, and an outage bans nobody.

The answers here are made up, since neither AWS nor its emulator gives them.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from outrig.api.serving import Tls, serve
from outrig.ca.authorities import open_authorities
from outrig.store.memory import MemoryStore
from outrig.wire import proof as wire
from tests.attacks.scene import AwsServer, Caller, Credentials, Plane, RunningTask, lay_out, open_plane

ID = "3a151358f03a4e32bf8cd401c1c74653"
TASK_ARN = f"arn:aws:ecs:us-east-1:123456789012:task/bookinfo/{ID}"
TASK = RunningTask(TASK_ARN, "bookinfo", "10.0.0.1", Credentials("ASIA" + "A" * 16, "s", "t"))
ARN, USER, ACCOUNT = f"arn:aws:sts::123456789012:assumed-role/orders/{ID}", f"AROAEXAMPLEEXAMPLE:{ID}", "123456789012"


def answer(arn: str = ARN, user: str = USER, account: str = ACCOUNT, *, more: str = "", head: str = "") -> str:
    result = f"<Arn>{arn}</Arn><UserId>{user}</UserId><Account>{account}</Account>{more}"
    return (
        f'{head}<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>'
        f"{result}</GetCallerIdentityResult><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata>"
        "</GetCallerIdentityResponse>"
    )


def xml(text: str | bytes, status: int = 200, kind: str = "text/xml") -> httpx.Response:
    body = httpx.ByteStream(text.encode() if isinstance(text, str) else text)
    return httpx.Response(status, stream=body, headers={"content-type": kind})


def redirect(status: int) -> httpx.Response:
    answer = xml("", status)
    answer.headers["location"] = "https://evil.example/"
    return answer


def error(code: str, status: int = 403) -> httpx.Response:
    return xml(f"<ErrorResponse><Error><Code>{code}</Code></Error></ErrorResponse>", status)


class Sts(httpx.AsyncBaseTransport):
    """Answers as it is told, and remembers what it was asked."""

    def __init__(self) -> None:
        self.answer: Callable[[], httpx.Response] = lambda: xml(answer())
        self.asked: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        self.asked.append(request)
        return self.answer()


class Silent:
    """An AWS that must not be asked for more than STS."""

    async def call(self, *_: object, **__: object) -> dict[str, object]:
        raise AssertionError("asked AWS about an identity that was not established")


@pytest.fixture(autouse=True)
def own_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control plane's own, which nobody asks for here: no AWS is started for them."""
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def sts() -> Sts:
    return Sts()


@pytest.fixture
async def plane(sts: Sts) -> AsyncIterator[Plane]:
    opened = await open_plane("", sts=sts, aws=Silent(), accounts=("999999999999",))
    await lay_out(opened.store)
    yield opened
    await opened.attestor.close()


UNUSABLE = {
    "7 JSON": lambda: xml('{"GetCallerIdentityResponse": {}}', kind="application/json"),
    "7 XML said to be JSON": lambda: xml(answer(), kind="application/json"),
    "7 XML said to be HTML": lambda: xml(answer(), kind="text/html"),
    "7 HTML": lambda: xml("<html></html>"),
    "7 another root": lambda: xml(answer().replace("GetCallerIdentityResponse", "GetSessionTokenResponse")),
    "7 another namespace": lambda: xml(answer().replace("2011-06-15", "2012-06-15")),
    "7 no namespace": lambda: xml(answer().replace(' xmlns="https://sts.amazonaws.com/doc/2011-06-15/"', "")),
    "7 a response within another": lambda: xml(f"<Message>{answer()}</Message>"),
    "7 nothing": lambda: xml(""),
    "8 two results": lambda: xml(
        answer().replace("<ResponseMetadata>", "<GetCallerIdentityResult></GetCallerIdentityResult><ResponseMetadata>")
    ),
    "8 two results and nothing else": lambda: xml(answer().replace("ResponseMetadata>", "GetCallerIdentityResult>")),
    "8 two ARNs": lambda: xml(answer(more=f"<Arn>{ARN}</Arn>")),
    "8 an unknown part": lambda: xml(answer(more="<Role>admin</Role>")),
    "8 no account": lambda: xml(answer().replace("<Account>123456789012</Account>", "")),
    "8 parts within parts": lambda: xml(answer(arn=f"{ARN}<x/>")),
    "8 a comment": lambda: xml(answer(arn="arn:aws:sts::123456789012:assumed-role/ord<!--c-->ers/x")),
    "8 an instruction": lambda: xml(answer(arn="arn:aws:sts::123456789012:assumed-role/ord<?c?>ers/x")),
    "9 a document type": lambda: xml(answer(head='<!DOCTYPE a [<!ENTITY e "x">]>')),
    "9 CDATA": lambda: xml(answer(arn=f"<![CDATA[{ARN}]]>")),
    "9 another encoding": lambda: xml(answer(head='<?xml version="1.0" encoding="utf-16"?>').encode("utf-16")),
    "9 not text": lambda: xml(b"\xff\xfe\xfd"),
    "15 a redirect": lambda: redirect(302),
    "15 a permanent redirect": lambda: redirect(308),
    "68 an endless answer": lambda: xml(answer(head=" " * 20_000)),
    "66 throttling": lambda: error("Throttling", 400),
    "66 throttling by status": lambda: xml("", 429),
    "66 a fault": lambda: error("InternalFailure", 500),
    "66 a proxy's fault": lambda: xml("<html>bad gateway</html>", 502, "text/html"),
    "66 no content": lambda: xml("", 204),
}


@pytest.mark.parametrize("what", UNUSABLE)
async def test_an_unusable_answer_is_no_identity_and_no_denial(what: str, plane: Plane, sts: Sts) -> None:
    sts.answer = UNUSABLE[what]
    told = await plane.join(TASK)
    assert (told.status_code, told.json()["code"]) == (503, "OUT130")
    assert int(told.headers["retry-after"]) == told.json()["retryAfter"] > 0
    assert len(sts.asked) == 1
    assert await plane.events() == []


FAILURES = (httpx.ConnectError, httpx.ReadTimeout, httpx.RemoteProtocolError, TimeoutError)


@pytest.mark.parametrize("failure", FAILURES)
async def test_an_unreachable_sts_is_no_denial(failure: type[Exception], plane: Plane, sts: Sts) -> None:
    def fail() -> httpx.Response:
        raise failure("no")

    sts.answer = fail
    assert (await plane.join(TASK)).json()["code"] == "OUT130"


@pytest.mark.parametrize(
    "code", ["ExpiredToken", "SignatureDoesNotMatch", "InvalidClientTokenId", "RequestExpired", "?"]
)
async def test_every_denial_of_sts_reads_the_same(code: str, plane: Plane, sts: Sts) -> None:
    sts.answer = lambda: error(code)
    told = (await plane.join(TASK)).json()
    assert (told["code"], told["reason"]) == ("OUT107", "aws: STS did not accept the proof")
    assert "expired credentials" in told["hint"]
    assert code == "?" or code not in str(told)


def session(name: str) -> tuple[str, str]:
    return f"arn:aws:sts::123456789012:assumed-role/orders/{name}", f"AROAEXAMPLEEXAMPLE:{name}"


PRINCIPALS = {
    "34 root": ("arn:aws:iam::123456789012:root", ACCOUNT),
    "34 a user": ("arn:aws:iam::123456789012:user/alice", "AIDAEXAMPLEEXAMPLE"),
    "34 a federated user": ("arn:aws:sts::123456789012:federated-user/bob", "123456789012:bob"),
    "34 a role": ("arn:aws:iam::123456789012:role/orders", "AROAEXAMPLEEXAMPLE"),
    "35 a segment too many": (f"{ARN}/more", USER),
    "35 a path": (f"arn:aws:sts::123456789012:assumed-role/mesh/orders/{ID}", USER),
    "35 a segment too few": ("arn:aws:sts::123456789012:assumed-role/orders", USER),
    "35 no session": ("arn:aws:sts::123456789012:assumed-role/orders/", USER),
    "35 a region": (f"arn:aws:sts:us-east-1:123456789012:assumed-role/orders/{ID}", USER),
    "35 another service": (f"arn:aws:iam::123456789012:assumed-role/orders/{ID}", USER),
    "35 a line break at the end": (f"{ARN}\n", USER),
    "35 Arabic digits": (f"arn:aws:sts::١٢٣٤٥٦٧٨٩٠١٢:assumed-role/orders/{ID}", USER),
    "35 a short account": (f"arn:aws:sts::12345678901:assumed-role/orders/{ID}", USER),
    "46 a role of IAM Identity Center": (f"arn:aws:sts::123456789012:assumed-role/AWSReservedSSO_a_1/{ID}", USER),
    "46 a service's role": (f"arn:aws:sts::123456789012:assumed-role/AWSServiceRoleForECS/{ID}", USER),
    "46 an instance": session("i-0123456789abcdef0"),
    "46 a person": session("alice@x"),
    "46 a task id in capitals": session(ID.upper()),
    "46 the old form of id": session("0e9ca3a0-0b8b-4b0b-8b0b-0b0b0b0b0b0b"),
}
DISAGREEING = {
    "36 another account": (ARN, USER, "210987654321"),
    "36 another session": (ARN, f"AROAEXAMPLEEXAMPLE:{'0' * 32}", ACCOUNT),
    "36 no session": (ARN, "AROAEXAMPLEEXAMPLE", ACCOUNT),
    "36 a user's id": (ARN, f"AIDAEXAMPLEEXAMPLE:{ID}", ACCOUNT),
    "36 an instance profile's id": (ARN, f"AIPAEXAMPLEEXAMPLE:{ID}", ACCOUNT),
    "36 two sessions": (ARN, f"{USER}:{ID}", ACCOUNT),
    "17 another partition": (ARN.replace("arn:aws:", "arn:aws-cn:"), USER, ACCOUNT),
    "17 an invented partition": (ARN.replace("arn:aws:", "arn:aws-x:"), USER, ACCOUNT),
}


@pytest.mark.parametrize("who", PRINCIPALS)
async def test_only_a_role_session_of_a_task_gets_further(who: str, sts: Sts) -> None:
    plane = await open_plane("", sts=sts, aws=Silent())
    sts.answer = lambda: xml(answer(*PRINCIPALS[who]))
    told = await plane.join(TASK)
    assert (told.status_code, told.json()["code"]) == (403, "OUT108")
    await plane.attestor.close()


@pytest.mark.parametrize("how", DISAGREEING)
async def test_an_identity_that_disagrees_with_itself_is_refused(how: str, plane: Plane, sts: Sts) -> None:
    sts.answer = lambda: xml(answer(*DISAGREEING[how]))
    assert (await plane.join(TASK)).json()["code"] == "OUT109"


async def test_an_account_that_is_not_listed_is_refused_before_anything_else_is_asked(plane: Plane, sts: Sts) -> None:
    told = (await plane.join(TASK)).json()
    assert told["code"] == "OUT110"
    assert "123456789012" in told["reason"]


async def test_the_request_to_sts_is_made_of_constants_and_values(plane: Plane, sts: Sts) -> None:
    caller = Caller()
    proof = caller.prove(TASK.credentials, await plane.challenge(), plane.authorities.audience)
    await plane.post(caller.request(TASK, proof))
    (asked,) = sts.asked
    assert (asked.method, str(asked.url), asked.content) == ("POST", "https://sts.us-east-1.amazonaws.com/", wire.BODY)
    expected = {
        **wire.headers(proof, plane.authorities.audience, caller.csr),
        "authorization": wire.authorization(proof),
    }
    sent = {name: value for name, value in asked.headers.items() if name in expected}
    assert sent == expected
    of_http = {"accept", "accept-encoding", "connection", "content-length", "user-agent"}
    assert asked.headers.keys() - expected.keys() == of_http
    assert len(asked.headers.multi_items()) == len(expected) + len(of_http)


REGIONS = (
    *(
        "us-east-9",
        "xx-east-1",
        "us-east-1.attacker",
        "sts",
        "s3",
        "US-EAST-1",
        "aws-global",
        "127.0.0.1",
        "",
        "a" * 33,
    ),
    *(
        "us-east-1\n",
        "us-east-1.",
        "us-east-1/",
        "us-east-1@evil.example",
        "us-east-1#",
        "us-east-1:443",
        "us-e\u0430st-1",
    ),
)


@pytest.mark.parametrize("region", REGIONS)
async def test_a_region_is_one_of_a_table(region: str, plane: Plane, sts: Sts) -> None:
    caller = Caller()
    proof = caller.prove(TASK.credentials, await plane.challenge(), plane.authorities.audience)
    told = await plane.post(caller.request(TASK, replace(proof, region=region)))
    assert told.json()["code"] in ("OUT101", "OUT105")
    assert sts.asked == []


async def test_a_region_that_is_not_served_is_named_with_those_that_are(sts: Sts) -> None:
    plane = await open_plane("", sts=sts, aws=Silent(), regions=("eu-west-1",))
    told = (await plane.join(TASK)).json()
    assert (told["code"], told["hint"]) == ("OUT105", "regions served: eu-west-1")
    assert sts.asked == []
    await plane.attestor.close()


@pytest.mark.slow
async def test_an_endpoint_for_emulators_gets_the_real_host_header(sts: Sts, aws: AwsServer) -> None:
    plane = await open_plane("http://127.0.0.1:9/", sts=sts, aws=Silent())
    sts.answer = lambda: error("AccessDenied")
    await plane.join(TASK)
    assert str(sts.asked[0].url) == "http://127.0.0.1:9/"
    assert sts.asked[0].headers["host"] == "sts.us-east-1.amazonaws.com"
    await plane.attestor.close()


async def test_an_sts_that_never_answers_is_given_up_and_others_are_not_kept_waiting() -> None:
    async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(silence, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        limits = {"sts_timeout": timedelta(seconds=0.3), "patience": timedelta(seconds=0.1), "parallel": 1}
        plane = await open_plane(url, aws=Silent(), **limits)
        answers = await asyncio.gather(*(plane.join(TASK) for _ in range(3)))
        assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(503, "OUT130")] * 3
        reasons = sorted(answer.json()["reason"] for answer in answers)
        assert reasons == ["aws: STS cannot be reached now", *["too many callers are being checked"] * 2]
        await plane.attestor.close()


async def test_an_sts_whose_certificate_is_not_vouched_for_is_not_asked(tmp_path: Path) -> None:
    authorities = await open_authorities(MemoryStore())
    made = authorities.issue_server(["127.0.0.1"])
    (tmp_path / "chain").write_text(made.certificate.chain)
    (tmp_path / "key").write_text(made.key)
    reached: list[Any] = []

    async def record(scope: Any, receive: Any, send: Any) -> None:
        reached.append(scope)

    async with serve(record, host="127.0.0.1", port=0, tls=Tls(tmp_path / "chain", tmp_path / "key")) as serving:
        plane = await open_plane(f"https://127.0.0.1:{serving.port}", aws=Silent())
        assert (await plane.join(TASK)).json()["code"] == "OUT130"
        await plane.attestor.close()
    assert reached == []
