"""What else a join by token may not do, and what it may."""

import hashlib
import logging
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from outrig.resources import Key
from tests.attacks.scene import POLICY, AwsServer, lay_out, open_plane
from tests.attacks.token_scene import Tokens, allow, trusted
from tests.fixtures.oidc.issuer import IssuerServer

pytestmark = pytest.mark.slow


async def test_a_join_has_one_proof(tokens: Tokens) -> None:
    request = await tokens.request(tokens.sign())
    proof = {"region": "us-east-1", "amzDate": "20260101T000000Z", "accessKeyId": "ASIA" + "A" * 16}
    proof |= {"sessionToken": "t", "signature": "0" * 64, "nonce": request["jwt"]["nonce"]}
    ecs = {"cluster": "a", "taskArn": "b"}
    without = {name: value for name, value in request.items() if name != "jwt"}
    for odd in ({**request, "aws": proof, "ecs": ecs}, {**request, "aws": proof}, {**request, "ecs": ecs}, without,
                {**without, "aws": proof}, {**without, "ecs": ecs}, {**request, "jwt": None}):  # fmt: skip
        answer = await tokens.plane.post(odd)
        assert (answer.status_code, answer.json()["code"]) == (400, "OUT101"), odd


@pytest.mark.parametrize("nonce", ["", "short", "token " + "a" * 64, "a" * 129, "a" * 20 + "\n"])
async def test_a_nonce_is_none_of_the_names_that_tokens_are_kept_by(nonce: str, tokens: Tokens) -> None:
    request = await tokens.request(tokens.sign())
    request["jwt"]["nonce"] = nonce
    assert (await tokens.plane.post(request)).json()["code"] == "OUT101"


@pytest.mark.parametrize(
    "ip", ["127.0.0.1", "169.254.170.2", "0.0.0.0", "224.0.0.1", "::1", "fe80::1", "255.255.255.255"]
)
async def test_an_address_leads_to_a_workload(ip: str, tokens: Tokens) -> None:
    answer = await tokens.join(tokens.sign(), addresses=[{"ip": ip, "type": "VPC"}])
    assert answer.json()["code"] == "OUT115"


async def test_the_address_is_of_the_kind_that_the_workload_is_connected_over(tokens: Tokens) -> None:
    inside, outside = {"ip": "192.168.7.9", "type": "VPC"}, {"ip": "8.8.8.8", "type": "INTERNET"}
    over = {"connectedOver": "INTERNET"}
    assert (await tokens.join(tokens.sign(), addresses=[inside], **over)).json()["code"] == "OUT115"
    assert (await tokens.join(tokens.sign(), addresses=[inside, outside], **over)).status_code == 200
    (entry,) = await tokens.plane.all("WorkloadEntry")
    assert entry.spec["address"] == "8.8.8.8"


async def test_a_policy_about_aws_lets_no_token_in(aws: AwsServer, server: IssuerServer) -> None:
    plane = await open_plane(aws.url, issuers=[trusted(server)])
    await lay_out(plane.store)
    scene = Tokens(plane, server)
    answer = await scene.join(scene.sign())
    assert answer.json()["code"] == "OUT118"
    assert f"subject host-1 of issuer {server.url}" in answer.json()["reason"]
    assert any("is not about workloads with a token" in event for event in await plane.events())


@pytest.mark.parametrize("whom", ["{url}", "{url}#host-1"])
async def test_a_banned_issuer_or_subject_is_kept_out(whom: str, tokens: Tokens) -> None:
    names = {"onboarding.outrig.dev/banned": whom.format(url=tokens.issuer.url)}
    async with tokens.plane.store.transaction() as tx:
        namespace = await tx.get(Key("", "Namespace", "", "", "bookinfo"))
        assert namespace
        await tx.update(replace(namespace, annotations=names))
    await tokens.refused(tokens.sign(), "OUT125")
    expected = 200 if "#" in whom else 403
    assert (await tokens.join(tokens.sign(sub="host-11"))).status_code == expected


async def test_no_token_stands_in_answers_events_or_logs(tokens: Tokens, caplog: pytest.LogCaptureFixture) -> None:
    token, forged = tokens.sign(aud="vault"), f"{tokens.sign(aud='vault')[:-4]}AAAA"
    caplog.set_level(logging.DEBUG)
    with capture_logs() as audit:
        answers = [await tokens.join(each) for each in (token, forged, tokens.sign(sub="host-7"))]
    said = " ".join(answer.text for answer in answers[:2]) + caplog.text
    told = said + " ".join(await tokens.plane.events()) + str(audit)
    assert "host-7" in told
    assert "not for this control plane alone" in told
    assert not any(part in told for part in (*token.split("."), *forged.split(".")))
    assert hashlib.sha256(token.encode()).hexdigest() not in told


async def test_two_subjects_whose_names_come_out_the_same_do_not_share_a_registration(
    aws: AwsServer, server: IssuerServer, tmp_path: Path
) -> None:
    other = IssuerServer()
    other.start(tmp_path)
    plane = await open_plane(aws.url, issuers=[trusted(server, short_name="a"), trusted(other, short_name="a-b")])
    await lay_out(plane.store)
    await allow(plane, server.url)
    async with plane.store.transaction() as tx:
        policy = await tx.get(replace(POLICY, name="allow-tokens"))
        assert policy
        rule = {"workloads": [{"jwt": {"issuer": other.url}}], "onboardTo": [{"workloadGroupSelector": {}}]}
        await tx.update(replace(policy, body={"spec": {"allow": [*policy.spec["allow"], rule]}}))
    scene = Tokens(plane, server)
    assert (await scene.join(server.token(scene.audience, "b-c"))).json()["registration"] == "ratings-jwt-a-b-c"
    assert (await scene.join(other.token(scene.audience, "c"))).json()["code"] == "OUT121"
    other.stop()
