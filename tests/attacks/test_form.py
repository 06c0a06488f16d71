"""What cannot be said cannot be attacked: a join is exactly these fields, each with a narrow alphabet.

Rows 1 to 28 of the attack table mostly need a method, host, path, query, body or header of the attacker's. There is
no field for any of them, and no field's value can become one.
"""

import base64
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import fields
from typing import Any

import pytest

from outrig.attest.refusals import Refused
from outrig.wire import proof as wire
from outrig.wire.join import (
    MAX_REQUEST,
    AwsProof,
    DataplaneJoin,
    EcsTask,
    HostAddress,
    JoinRequest,
    JwtProof,
    TokenProof,
)
from tests.attacks.scene import Caller, Credentials, Plane, RunningTask, lay_out, open_plane

pytestmark = pytest.mark.slow

ID = "3a151358f03a4e32bf8cd401c1c74653"
TASK_ARN = f"arn:aws:ecs:us-east-1:123456789012:task/bookinfo/{ID}"
TASK = RunningTask(TASK_ARN, "bookinfo", "10.0.0.1", Credentials("ASIA" + "A" * 16, "s", "t"))


class Silent:
    """Neither STS nor AWS may be asked anything here."""

    async def call(self, *_: object, **__: object) -> dict[str, object]:
        raise AssertionError("AWS was asked")

    async def handle_async_request(self, _: object) -> None:
        raise AssertionError("STS was asked")

    async def aclose(self) -> None:
        pass


@pytest.fixture
async def plane() -> AsyncIterator[Plane]:
    opened = await open_plane("", sts=Silent(), aws=Silent())  # type: ignore[arg-type]
    await lay_out(opened.store)
    yield opened
    await opened.attestor.close()


@pytest.fixture
async def good(plane: Plane) -> dict[str, Any]:
    return {**await plane.request(TASK), "labels": {"version": "v5"}, "connectedOver": "VPC"}


def test_a_proof_has_no_field_for_a_part_of_a_request() -> None:
    assert [f.name for f in fields(AwsProof)] == [
        *("region", "amz_date", "access_key_id", "session_token", "signature", "nonce"),
    ]
    assert [f.name for f in fields(EcsTask)] == ["cluster", "task_arn"]
    assert [f.name for f in fields(HostAddress)] == ["ip", "type"]
    assert [f.name for f in fields(JoinRequest)] == [
        *("version", "namespace", "workload_group", "csr", "addresses"),
        *("agent_version", "envoy_version", "labels", "connected_over", "aws", "ecs", "jwt"),
        *("token", "dataplane"),
    ]
    assert [f.name for f in fields(JwtProof)] == [f.name for f in fields(TokenProof)] == ["token", "nonce"]
    assert [f.name for f in fields(DataplaneJoin)] == ["mesh", "name", "proxy_type", "resource"]


def test_what_is_sent_to_sts_is_constant_but_for_six_values() -> None:
    assert (wire.METHOD, wire.PATH, wire.BODY) == ("POST", "/", b"Action=GetCallerIdentity&Version=2011-06-15")
    names = {"content-type", "host", "x-amz-date", "x-amz-security-token"}
    names |= {"x-outrig-audience", "x-outrig-csr-sha256", "x-outrig-nonce"}
    proof = AwsProof("us-east-1", "20260101T000000Z", "ASIA", "token", "f" * 64, "nonce")
    assert wire.headers(proof, "audience", b"").keys() == names == set(wire.SIGNED_HEADERS.split(";"))


EXTRA = ("method", "url", "host", "path", "query", "body", "headers", "signedHeaders", "authorization", "endpoint")


@pytest.mark.parametrize("field", [*EXTRA, "audience", "iamRequest", "role", "account", "algorithm", "service"])
@pytest.mark.parametrize("place", ["", "aws", "ecs", "addresses"])
async def test_an_unknown_field_is_refused_wherever_it_stands(
    place: str, field: str, plane: Plane, good: dict[str, Any]
) -> None:
    target: Any = good if not place else good[place]
    (target[0] if place == "addresses" else target)[field] = "x"
    answer = await plane.post(good)
    assert (answer.status_code, answer.json()["code"]) == (400, "OUT101")
    assert field in answer.json()["reason"]


def texts(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all texts in a JSON value."""
    if isinstance(value, str):
        yield path
    elif isinstance(value, dict | list):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from texts(part, (*path, key))


def put(value: Any, path: tuple[Any, ...], change: Any) -> None:
    for step in path[:-1]:
        value = value[step]
    value[path[-1]] = change(value[path[-1]])


HOSTILE = {
    "CR LF": lambda text: f"{text}\r\nX-Amz-Target: x",
    "LF at the end": lambda text: f"{text}\n",
    "folding": lambda text: f"{text}\n x",
    "NUL": lambda text: f"{text}\0",
    "a space within": lambda text: f"{text} {text}",
    "a space before": lambda text: f" {text}",
    "a comma": lambda text: f"{text},{text}",
    "a semicolon": lambda text: f"{text};x",
    "an ampersand": lambda text: f"{text}&Action=AssumeRole",
    "a slash": lambda text: f"{text}/../../x",
    "a percent sign": lambda text: f"{text}%0d%0a",
    "an at sign": lambda text: f"{text}@evil.example",
    "a look-alike letter": lambda text: f"{text}\u0430",
    "another script's digit": lambda text: f"{text}\u0661",
    "a lone surrogate": lambda text: f"{text}\ud800",
    "too much": lambda text: text + "A" * 9000,
    "nothing": lambda _: "",
    "a number": lambda _: 7,
    "a list": lambda text: [text],
    "null": lambda _: None,
}
MEANT = {  # where such a text is a value like any other
    ("agentVersion", "a space within"), ("agentVersion", "nothing"), ("agentVersion", "a slash"),
    ("envoyVersion", "a space within"), ("envoyVersion", "nothing"), ("envoyVersion", "a slash"),
    ("labels.version", "nothing"), ("agentVersion", "a space before"), ("envoyVersion", "a space before"),
}  # fmt: skip


@pytest.mark.parametrize("how", HOSTILE)
async def test_no_value_reaches_beyond_its_place(how: str, plane: Plane, good: dict[str, Any]) -> None:
    paths = list(texts(good))
    assert len(paths) == 17
    for path in paths:
        name = ".".join(map(str, path))
        if (name, how) in MEANT or (name == "aws.sessionToken" and how == "a slash"):
            continue
        changed = json.loads(json.dumps(good))
        put(changed, path, HOSTILE[how])
        answer = await plane.client.post("/v1/join", content=json.dumps(changed))
        assert answer.status_code in (400, 403), name
        assert answer.json()["code"] in ("OUT101", "OUT103", "OUT106", "OUT116"), name
        assert answer.json()["code"] != "OUT103" or name == "aws.nonce", name


BODIES = {
    "nothing": b"",
    "no JSON": b"Action=GetCallerIdentity",
    "no object": b"[]",
    "a number too long": b'{"version": ' + b"9" * 5000 + b"}",
    "depths": b"[" * 30_000,
    "not UTF-8": b'{"version": "\xff"}',
    "a field twice": b'{"version": 1, "version": 1}',
    "a field twice, within": b'{"aws": {"region": "a", "region": "b"}}',
    "NaN": b'{"version": NaN}',
    "true for a number": b'{"version": true}',
}


@pytest.mark.parametrize("what", BODIES)
async def test_a_body_that_is_not_a_join_is_refused_politely(what: str, plane: Plane) -> None:
    answer = await plane.client.post("/v1/join", content=BODIES[what])
    assert (answer.status_code, answer.json()["code"]) == (400, "OUT101")
    assert len(answer.content) < 1000
    assert "Traceback" not in answer.text


async def test_a_large_body_is_refused_before_it_is_read(plane: Plane) -> None:
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while read < 10_000_000:
            read += 4096
            yield b" " * 4096

    answer = await plane.client.post("/v1/join", content=endless())
    assert (answer.status_code, answer.json()["code"]) == (413, "OUT102")
    assert read <= MAX_REQUEST + 2 * 4096


@pytest.mark.parametrize(
    "csr",
    [
        b"-----BEGIN CERTIFICATE REQUEST-----\n",
        b"",
        b"\x30\x82",
        Caller().csr + b"\0",
        Caller().csr * 2,
        Caller().csr[:-1],
        b"\x30" * 5000,
    ],
)
async def test_a_csr_is_exactly_one_request_in_der(csr: bytes, plane: Plane, good: dict[str, Any]) -> None:
    answer = await plane.post({**good, "csr": base64.b64encode(csr).decode()})
    assert (answer.status_code, answer.json()["code"]) == (400, "OUT106")


@pytest.mark.parametrize(
    "spoil", [lambda text: f"{text[:8]}\n{text[8:]}", lambda text: f"!{text}", lambda text: f"{text}="]
)
async def test_base64_is_read_strictly(spoil: Any, plane: Plane, good: dict[str, Any]) -> None:
    assert (await plane.post({**good, "csr": spoil(good["csr"])})).json()["code"] in ("OUT101", "OUT106")


async def test_a_csr_signed_by_another_key_is_refused(plane: Plane, good: dict[str, Any]) -> None:
    mine, theirs = Caller().csr, Caller().csr
    forged = mine[: len(mine) - 40] + theirs[len(theirs) - 40 :]
    answer = await plane.post({**good, "csr": base64.b64encode(forged).decode()})
    assert answer.json()["code"] == "OUT106"


@pytest.mark.parametrize("key", ["AKIA", "AROA", "AIDA"])
async def test_only_temporary_keys_are_looked_at(key: str, plane: Plane, good: dict[str, Any]) -> None:
    good["aws"]["accessKeyId"] = key + "A" * 16
    assert (await plane.post(good)).json()["code"] == "OUT101"


ARNS = (
    *("arn:aws:ecs:us-east-1:123456789012:task/" + ID, TASK_ARN.upper(), TASK_ARN + "/x", TASK_ARN[:-1]),
    *(TASK_ARN.replace("bookinfo", "../x"), TASK_ARN.replace(":ecs:", ":ec2:"), TASK_ARN.replace("us-east-1", "")),
    *("arn:aws:ecs:eu-west-1:123456789012:task/bookinfo/" + ID, TASK_ARN.replace("123456789012", "12345678901")),
    "arn:aws:ecs:us-east-1:123456789012:task/bookinfo/3a151358-f03a-4e32-bf8c-d401c1c74653",
)


@pytest.mark.parametrize("arn", ARNS)
async def test_a_task_is_named_by_its_full_arn_in_the_proofs_region(
    arn: str, plane: Plane, good: dict[str, Any]
) -> None:
    good["ecs"]["taskArn"] = arn
    assert (await plane.post(good)).json()["code"] == "OUT101"


RESERVED = ("security.istio.io/tlsMode", "kuma.io/mesh", "topology.istio.io/network", "istio.io/rev", "k8s.io/x")


@pytest.mark.parametrize("label", [*RESERVED, "/x", "x/", "a/b/c", "ä"])
async def test_an_agent_cannot_set_labels_that_switch_something(label: str, plane: Plane, good: dict[str, Any]) -> None:
    assert (await plane.post({**good, "labels": {label: "disabled"}})).json()["code"] == "OUT116"


async def test_garbage_changes_nothing(plane: Plane, good: dict[str, Any]) -> None:
    before = await plane.store.revision()
    await plane.post({**good, "version": 2})
    await plane.client.post("/v1/join", content=b"{")
    await plane.client.post("/v1/challenge", content=b"x" * 100_000)
    assert await plane.store.revision() == before
    assert (await plane.client.get("/v1/discovery")).json()["audience"] == plane.authorities.audience


def test_every_refusal_has_a_code_of_its_own() -> None:
    import outrig.admission.refusals  # noqa: F401 - so that all subclasses exist

    kinds = Refused.__subclasses__()
    assert len({kind.code for kind in kinds}) == len(kinds) > 20
