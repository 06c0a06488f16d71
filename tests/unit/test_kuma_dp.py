"""`kuma-dp run` as its users start it: what counts, what has no effect, and the one line that says what is wrong."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from outrig.agent import health_check, probe
from outrig.agent.configuration import Endpoint
from outrig.agent.control_plane import ControlPlane
from outrig.agent.dataplane import ProxySeat
from outrig.agent.durations import seconds_of
from outrig.agent.identity import TaskIdentity, TokenIdentity, identity_of
from outrig.agent.inbounds import Inbounds
from outrig.agent.joining import Joiner
from outrig.agent.kuma_options import read_options
from outrig.agent.kuma_setup import read_kuma_setup
from outrig.agent.leaving import Applications
from outrig.agent.problems import BadAnswer, InvalidConfiguration, NotInTask, TokenUnreadable
from outrig.agent.readiness import Verdict
from outrig.agent.setup import DataplaneToken, Setup
from outrig.agent.status import Status
from outrig.agent.template import read_variables
from outrig.wire.join import DataplaneJoin, TokenProof
from outrig.wire.probe import PortProbe
from outrig.wire.stream import State
from tests.unit.agent_server import CONTROL_PLANE, Ca, FakeControlPlane, control_plane, key_pem

TOKEN = "eyJhbGciOiJSUzI1NiJ9.e30.c2lnbmF0dXJl"
KV = '{type: Dataplane, name: "{{ dpname }}", networking: {address: "{{ address }}"}}'
NAMED = ("-v", "dpname=kv-1", "--dataplane-var", "address=10.0.0.7")
CA = Ca().pem
TASK = {
    "ECS_CONTAINER_METADATA_URI_V4": "http://169.254.170.2/v4/abc",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials/x",
}


def setup(*flags: str, **environment: str) -> Setup:
    given = {"KUMA_CONTROL_PLANE_CA_CERT": CA, **environment}
    return read_kuma_setup(read_options(list(flags), given), given)


def joining(made: Setup) -> DataplaneJoin:
    assert isinstance(made.seat, ProxySeat)
    return made.seat.join


def test_the_shape_of_a_task_definition_for_ecs() -> None:
    words = ("--cp-address", "https://cp.internal:5678", *NAMED, "--dataplane-var", "mesh=default", "--auth-type=aws")
    made = setup(*words, KUMA_DATAPLANE_RUNTIME_RESOURCE=f"---\n{KV}", **TASK)
    assert made.seat.endpoint == Endpoint("cp.internal", 5678)
    join = joining(made)
    assert (join.mesh, join.name, join.proxy_type) == ("default", "kv-1", "dataplane")
    assert json.loads(join.resource)["networking"] == {"address": "10.0.0.7"}
    assert isinstance(identity_of(made), TaskIdentity)
    assert (made.drain_seconds, made.readiness_port, made.notices) == (20, 9902, ())


def test_flags_win_over_variables_and_a_file_over_a_text(tmp_path: Path) -> None:
    file, token = tmp_path / "dp.yaml", tmp_path / "token"
    file.write_text(KV.replace("type", "mesh: shop, type"))
    token.write_text(f"{TOKEN}\n")
    made = setup(
        *NAMED, "-d", str(file), "--dataplane", "nonsense", "--cp-address=https://[2001:db8::1]:1",
        "--drain-time", "1m5s", "--dataplane-token-file", str(token), "--work-dir=/w",
        "--binary-path", "/e", "--concurrency", "3",
        KUMA_CONTROL_PLANE_URL="https://other", KUMA_DATAPLANE_DRAIN_TIME="2s", KUMA_READINESS_PORT="1234",
    )  # fmt: skip
    assert made.seat.endpoint == Endpoint("2001:db8::1", 1)
    assert (made.directory, made.envoy, made.concurrency, made.drain_seconds) == ("/w", "/e", 3, 65)
    assert (joining(made).mesh, made.readiness_port) == ("shop", 1234)
    assert made.token == DataplaneToken(file=str(token))


def test_one_that_was_applied_joins_by_its_name() -> None:
    made = setup("--name", "kv-1", "--skip-verify", KUMA_DATAPLANE_RUNTIME_TOKEN=f"{TOKEN}\n")
    assert joining(made) == DataplaneJoin("default", "kv-1")
    assert (made.seat.endpoint, made.token) == (Endpoint("localhost", 5678, verify=False), DataplaneToken(TOKEN))
    assert TOKEN not in repr(made)


def test_each_proxy_of_a_user_has_a_directory_of_its_own_and_finds_it_again() -> None:
    first, again, other = (setup("--name", name).directory for name in ("a", "a", "b"))
    assert first == again != other
    assert len(first) < 60


@pytest.mark.parametrize(
    ("flags", "environment", "says"),
    [
        ((), {}, "KUMA_DATAPLANE_RUNTIME_RESOURCE: not set"),
        (("--name", "a"), {"KUMA_CONTROL_PLANE_CA_CERT": ""}, "KUMA_CONTROL_PLANE_CA_CERT: not set"),
        (("--name", "a", "--ca-cert-file", "/no"), {"KUMA_CONTROL_PLANE_CA_CERT": ""}, "/no: cannot be read"),
        (("--name", "a"), {"KUMA_CONTROL_PLANE_CA_CERT": "/ca.pem"}, "there is --ca-cert-file FILE"),
        (("--name", "a", "--cp-address", "http://cp:5678"), {}, "never travels without TLS"),
        (("--name", "a"), {"KUMA_CONTROL_PLANE_URL": "cp:5678"}, "KUMA_CONTROL_PLANE_URL: expected https://HOST:PORT"),
        (("--name", "a", "--cp-address", "https://cp:x"), {}, "--cp-address: expected https://HOST:PORT"),
        (("--name", "a", "--cp-address", "https://cp..internal"), {}, "--cp-address: expected https://HOST:PORT"),
        (("--name", "a", "--cp-address", "https://cp/bootstrap"), {}, "--cp-address: expected https://HOST:PORT"),
        (("--name", "a", "--dataplane", KV, *NAMED), {}, "--name: given together with a Dataplane"),
        (("--mesh", "a", "--dataplane", KV, *NAMED), {}, "--mesh: given together with a Dataplane"),
        (("--dataplane", KV, "-v", "dpnam=a"), {}, r"--dataplane: nobody gave a value for {{ dpname }} \(did you mean"),
        (("--dataplane", KV, "-v", "dpname"), {}, "--dataplane-var: expected NAME=VALUE, got 'dpname'"),
        (("--dataplane", "{{#a}}"), {}, "--dataplane: cannot be filled in"),
        (("--dataplane", "type: [", "-v", "a=b"), {}, "--dataplane: not YAML or JSON"),
        (("--dataplane", "[]"), {}, "--dataplane: expected a YAML or JSON object"),
        (("--dataplane", "type: Dataplane"), {}, "--dataplane name: required field is missing"),
        (("--dataplane", "{type: Dataplane, name: 12}"), {}, "--dataplane name: expected text, got int '12'"),
        (("--dataplane", "{type: Mesh, name: a}"), {}, "--dataplane type: expected Dataplane for a proxy of type data"),
        (("--dataplane", "{type: ZoneIngress, name: a}"), {}, r"got 'ZoneIngress' \(--proxy-type ingress\)"),
        (("--dataplane", "{type: Dataplane, name: a, since: 2026-01-01}"), {}, "--dataplane: has a value that is none"),
        (("-d", "/no/such"), {}, "/no/such: cannot be read"),
        (("--name", "a", "--proxy-type", "ingress"), {}, "a proxy of type ingress needs its text"),
        (("--name", "a", "--proxy-type", "gateway"), {}, "--proxy-type: expected one of dataplane, ingress, egress"),
        (("--name", "a", "-v", "a=b"), {}, "--dataplane-var: there is no template"),
        (("--name", "a", "--drain-time", "20"), {}, "--drain-time: expected a duration such as 20s"),
        (("--name", "a"), {"KUMA_READINESS_PORT": "x"}, "KUMA_READINESS_PORT: expected a whole number"),
        (("--name", "a", "--concurrency", "-1"), {}, "--concurrency"),
        (("--name", "a", "--envoy-log-level", "loud"), {}, "--envoy-log-level: expected one of"),
        (("--name", "a", "--auth-type", "gcp"), {}, "--auth-type: expected aws, got 'gcp'"),
        (("--name", "a", "--auth-type=aws", "--dataplane-token", TOKEN), TASK, "given together with --dataplane-token"),
        (("--name", "a", "--dataplane-token", "secret"), {}, "--dataplane-token: does not hold one signed token"),
        (("--name", "a", "--dataplane-token-file", "/no"), {}, "/no: cannot be read"),
        (("--name", "a", "--skip-verify=maybe"), {}, "--skip-verify: expected true or false"),
        (("--name", "a", "--bind-outbounds"), {}, "--bind-outbounds: not supported yet"),
        (("--name", "a"), {"KUMA_DATAPLANE_RUNTIME_BIND_OUTBOUNDS": "true"}, "BIND_OUTBOUNDS: not supported yet"),
        (("--name", "a", "--transparent-proxy"), {}, "--transparent-proxy: not supported"),
        (("--name", "a", "-c", "x.yaml"), {}, "--config-file: not supported"),
        (
            ("--name", "a", "--dataplane-tokn=s3cret"),
            {},
            r"--dataplane-tokn: unknown flag \(did you mean '--dataplane-tok",
        ),
        (("--name", "a", "--nam"), {}, "--nam: unknown flag"),
        (("--name", "a", "--dataplane-vr", "a=b"), {}, "did you mean '--dataplane-var'"),
        (("--name",), {}, "kuma-dp run: argument --name: expected one argument"),
    ],
)
def test_what_is_wrong_is_said_with_its_source(flags: tuple[str, ...], environment: dict[str, str], says: str) -> None:
    with pytest.raises(InvalidConfiguration, match=says) as caught:
        setup(*flags, **environment)
    assert "\n" not in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_a_proof_by_role_needs_a_task() -> None:
    with pytest.raises(NotInTask, match="--dataplane-token"):
        setup("--name", "a", "--auth-type=aws")


def test_what_has_no_effect_is_named_with_the_reason() -> None:
    words = (
        "--name",
        "a",
        "--dns-enabled",
        "--dns-coredns-port=15053",
        "--transparent-proxy=false",
        "--admin-port",
        "1",
    )
    environment = {
        "KUMA_DNS_PROXY_PORT": "1",
        "KUMA_CONTROL_PLANE_RETRY_BACKOFF": "3s",
        "KUMA_DATAPLANE_RUNTIME_TOKN": "x",
        "KUMA_DATAPLANE_RUNTIME_BIND_OUTBOUNDS": "false",
        "KUMA_DATAPLANE_RUNTIME_TOKEN": TOKEN,
        "UNRELATED": "1",
    }
    notices = setup(*words, **environment).notices
    named = [notice.partition(" has no effect: ")[0] for notice in notices]
    assert named == [
        "--dns-enabled", "--dns-coredns-port", "--admin-port", "KUMA_CONTROL_PLANE_RETRY_BACKOFF",
        "KUMA_DATAPLANE_RUNTIME_TOKN", "KUMA_DNS_PROXY_PORT",
    ]  # fmt: skip
    assert "did you mean 'KUMA_DATAPLANE_RUNTIME_TOKEN'?" in notices[4]
    assert setup("--name", "a", "--dns-enabled=false", KUMA_DATAPLANE_RUNTIME_TOKEN=TOKEN).notices == ()
    assert "without a proof" in setup("--name", "a").notices[0]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("1m30s", 90), ("500ms", 0.5), ("1h", 3600), ("1.5s", 1.5), ("0", 0), ("0s", 0), ("", None),
     ("30", None), ("s", None), ("-1s", None), ("1s1m", None), ("9" * 5000 + "s", None)],
)  # fmt: skip
def test_durations_are_those_of_go(text: str, seconds: float | None) -> None:
    assert seconds_of(text) == seconds


def test_one_flag_may_hold_several_variables() -> None:
    assert read_variables(["a=1,b=2", "c=x,y", "d=e=f", "a=3"]) == {"a": "3", "b": "2", "c": "x,y", "d": "e=f"}


# -- joining


@pytest.fixture
async def plane(tmp_path: Path) -> AsyncIterator[FakeControlPlane]:
    async with control_plane(Ca(), tmp_path) as found:
        yield found


def joiner(plane: FakeControlPlane, join: DataplaneJoin, token: DataplaneToken, roots: str = "") -> Joiner:
    at = Endpoint("127.0.0.1", plane.port)
    key = ec.generate_private_key(ec.SECP256R1())
    asked = ControlPlane(at, roots or plane.ca.pem)
    return Joiner(asked, ProxySeat(at, join), key=key, identity=TokenIdentity(token), envoy_version="1")


KV_1 = DataplaneJoin("default", "kv-1", "dataplane", "{}")


async def test_a_join_says_which_proxy_it_is_and_nothing_of_a_group(plane: FakeControlPlane) -> None:
    await joiner(plane, KV_1, DataplaneToken(TOKEN)).join()
    (request,) = plane.requests
    assert (request.dataplane, request.token) == (KV_1, TokenProof(TOKEN, "ab" * 16))
    assert (request.namespace, request.workload_group, request.labels, request.addresses) == ("", "", {}, ())
    assert (request.aws, request.ecs, request.jwt) == (None, None, None)


async def test_a_tokens_file_is_read_anew_for_every_join(plane: FakeControlPlane, tmp_path: Path) -> None:
    file = tmp_path / "token"
    joins = joiner(plane, KV_1, DataplaneToken(file=str(file)))
    for text in (TOKEN, "a.b.c\n"):
        file.write_text(text)
        await joins.join()
    file.write_text("")
    with pytest.raises(TokenUnreadable, match="does not hold one signed token"):
        await joins.join()
    assert [request.token.token for request in plane.requests if request.token] == [TOKEN, "a.b.c"]


async def test_a_zone_proxy_needs_no_workload_identity_and_a_dataplane_does(plane: FakeControlPlane) -> None:
    plane.template["workload_chain"] = ""
    await joiner(plane, DataplaneJoin("", "in-1", "ingress", "{}"), DataplaneToken(TOKEN)).join()
    with pytest.raises(BadAnswer, match="workloadChain"):
        await joiner(plane, KV_1, DataplaneToken(TOKEN)).join()


@pytest.mark.parametrize("issued", ["by itself", "by another"])
async def test_the_servers_own_certificate_may_be_given_as_who_vouches_for_it(issued: str, tmp_path: Path) -> None:
    """As Kong's guide for ECS has it."""
    ca, key = Ca(), ec.generate_private_key(ec.SECP256R1())
    if issued == "by itself":
        ca.key = key
    certificate, file = ca.issue(key.public_key(), CONTROL_PLANE), tmp_path / "server.pem"
    file.write_text(certificate + key_pem(key))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(file)
    async with control_plane(ca, tmp_path, tls=tls) as plane:
        await joiner(plane, KV_1, DataplaneToken(TOKEN), roots=certificate).join()
        assert len(plane.requests) == 1


# -- readiness


def port_probe(port: int, target: int, **changes: Any) -> PortProbe:
    made = PortProbe(port, "127.0.0.1", target, interval=0.01, timeout=1, healthy_threshold=1, unhealthy_threshold=1)
    return replace(made, **changes)


async def test_inbounds_are_unready_until_their_probes_succeed_each_by_itself() -> None:
    news = asyncio.Event()
    inbounds = Inbounds(news.set)

    def unready() -> tuple[int, ...]:
        return inbounds.unready

    async def wait(wanted: tuple[int, ...]) -> None:
        async with asyncio.timeout(30):
            while unready() != wanted:
                news.clear()
                await news.wait()

    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    target = server.sockets[0].getsockname()[1]
    good, bad = port_probe(80, target), port_probe(79, 1)
    inbounds.use((good, bad))
    assert unready() == (79, 80)
    running = asyncio.create_task(inbounds.run())
    await wait((79,))
    inbounds.use((good,))
    assert unready() == ()
    server.close()
    await wait((80,))
    inbounds.use(())
    assert unready() == ()
    running.cancel()
    await asyncio.wait([running])


def test_a_verdict_that_differs_in_inbounds_only_is_news() -> None:
    status = Status()
    status.update(Verdict(State.READY, unready_ports=(1,)))
    status.update(Verdict(State.READY))
    assert status.verdict.unready_ports == ()


@pytest.mark.parametrize(
    ("verdict", "ready", "says"),
    [
        (Verdict(State.STARTING, "not joined"), False, "NOT_READY: not joined"),
        (Verdict(State.READY), True, "READY"),
        (Verdict(State.UNHEALTHY, "x"), False, "NOT_READY: x"),
        (Verdict(State.DRAINING), False, "TERMINATING"),
    ],
)
async def test_readiness_is_said_in_the_words_of_kuma(verdict: Verdict, ready: bool, says: str) -> None:
    status = Status()
    status.update(verdict)
    async with probe.serving(status, 0, Applications(), probe.KUMA) as port:
        assert await asyncio.to_thread(health_check.ask, port) == (ready, says)
