"""The wire's JSON is strict: what is not exactly the agreed form is refused by name, never guessed at."""

import json
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outrig.wire import stream
from outrig.wire.codec import WireError, decode, encode
from outrig.wire.join import AwsProof, DataplaneJoin, EcsTask, HostAddress, JoinRequest, Refusal, TokenProof
from outrig.wire.probe import PortProbe


@dataclass(frozen=True, slots=True)
class Inner:
    some_number: int


@dataclass(frozen=True, slots=True)
class Outer:
    text: str
    inner: Inner
    many: tuple[Inner, ...] = ()
    names: dict[str, str] = field(default_factory=dict)
    flag: bool = False
    maybe: str | None = None


REQUEST = JoinRequest(
    version=1,
    namespace="bookinfo",
    workload_group="ratings",
    csr="MIIB",
    aws=AwsProof("us-east-1", "20261122T000000Z", "ASIA", "token", "0" * 64, "nonce"),
    ecs=EcsTask("bookinfo", "arn:aws:ecs:us-east-1:123456789012:task/bookinfo/3a15"),
    addresses=(HostAddress("10.7.1.2", "VPC"),),
    agent_version="0.1.0",
    envoy_version="1.40.0",
    labels={"version": "v5"},
)


DATAPLANE = JoinRequest(
    version=1,
    namespace="",
    workload_group="",
    csr="MIIB",
    addresses=(),
    agent_version="0.1.0",
    envoy_version="1.40.0",
    token=TokenProof("a.b.c", "nonce"),
    dataplane=DataplaneJoin("default", "kv-1", resource='{"type":"Dataplane"}'),
)
PROBE = PortProbe(15050, "127.0.0.1", 5050, 2.5, 1.0, 1, 3)


@pytest.mark.parametrize(
    "message",
    [REQUEST, DATAPLANE, PROBE, Outer("a", Inner(1)), Outer("a", Inner(1), (Inner(2),), {"k": "v"}, True, "x")],
)
def test_what_is_written_is_read_back(message: object) -> None:
    assert decode(type(message), encode(message)) == message


def test_what_is_absent_is_left_out_so_that_older_readers_understand_the_rest() -> None:
    written = {"text": "a", "inner": {"someNumber": 1}, "names": {}, "flag": False}
    assert json.loads(encode(Outer("a", Inner(1)))) == written
    assert json.loads(stream.write(stream.Report("ready"))) == {"type": "report", "state": "ready", "reason": ""}
    assert json.loads(encode(Refusal("OUT101", "no", "", "ab"))) == {
        "code": "OUT101",
        "reason": "no",
        "hint": "",
        "reference": "ab",
        "retryAfter": 0,
    }
    assert set(json.loads(encode(DATAPLANE))) >= {"namespace", "workloadGroup", "addresses", "token", "dataplane"}
    assert not {"aws", "ecs", "jwt"} & json.loads(encode(DATAPLANE)).keys()


@pytest.mark.parametrize("wrong", [0.0, -1.0, float("nan"), float("inf"), 1e9])
def test_a_probe_whose_times_mean_nothing_is_refused(wrong: float) -> None:
    with pytest.raises(WireError):
        replace(PROBE, interval=wrong)
    with pytest.raises(WireError):
        replace(PROBE, timeout=wrong)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "not JSON"),
        ("[1]", "expected an object"),
        ('{"text":"a"}', "missing field 'inner'"),
        ('{"text":"a","inner":{"someNumber":1},"url":"x"}', "unknown field 'url'"),
        ('{"text":"a","inner":{"some_number":1}}', "inner: unknown field 'some_number'"),
        ('{"text":1,"inner":{"someNumber":1}}', "text: expected str, got int"),
        ('{"text":"a","inner":{"someNumber":true}}', "inner.someNumber: expected int, got bool"),
        ('{"text":"a","inner":{"someNumber":1.0}}', "inner.someNumber: expected int, got float"),
        ('{"text":"a","inner":{"someNumber":1},"many":[1]}', "many[0]: expected an object"),
        ('{"text":"a","inner":{"someNumber":1},"names":{"k":1}}', "names.k: expected str"),
        ('{"text":"a","inner":{"someNumber":1,"someNumber":2}}', "repeats a key"),
        ('{"text":null,"inner":{"someNumber":1}}', "text: expected str, got NoneType"),
        ('{"text":"a","inner":{"someNumber":1},"maybe":null}', "maybe: expected str, got NoneType"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_anything_else_is_refused_by_name(text: str, complaint: str) -> None:
    with pytest.raises(WireError) as refused:
        decode(Outer, text)
    assert complaint in str(refused.value)


@given(st.text() | st.binary() | st.recursive(st.none() | st.integers(), st.lists).map(str))
def test_garbage_raises_nothing_but_a_wire_error(text: str | bytes) -> None:
    with pytest.raises(WireError):
        decode(Outer, text)
    with pytest.raises(WireError):
        stream.read(text)


@pytest.mark.parametrize(
    "message",
    [
        stream.Hello("uid", "0.1.0"),
        stream.Report(stream.State.READY),
        stream.Report(stream.State.READY, "2 of 3 probes fail", (8080, 9090)),
        stream.Welcome("replica"),
        stream.Rejoin("deleted"),
        stream.Renew("soon"),
        stream.Ban("no"),
        stream.Withdrawn(complete=True),
        stream.Bye("stopping", 3),
    ],
)
def test_each_stream_message_survives_its_frame(message: stream.Message) -> None:
    assert stream.read(stream.write(message)) == message


@pytest.mark.parametrize("frame", ['{"uid":"x"}', '{"type":"shutdown"}', '{"type":["hello"]}', '{"type":"hello"}'])
def test_a_frame_of_no_known_message_is_refused(frame: str) -> None:
    with pytest.raises(WireError):
        stream.read(frame)
