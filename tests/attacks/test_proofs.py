"""Groups A to D of the attack table: whatever else was signed, and whatever is done with a good proof."""

import asyncio
import base64
import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials

from outrig.wire import proof as wire
from outrig.wire.join import AwsProof
from tests.attacks.scene import REGION, AwsServer, Caller, Plane, RunningTask, lay_out, open_plane, sign
from tests.attacks.signing import Canonical, signature

pytestmark = pytest.mark.slow

OTHER_REQUESTS = {
    "1 another action": Canonical(body=b"Action=GetSessionToken&Version=2011-06-15"),
    "2 no action": Canonical(body=b"Version=2011-06-15"),
    "3 action twice": Canonical(body=b"Action=GetCallerIdentity&Action=AssumeRole&Version=2011-06-15"),
    "3 action behind a semicolon": Canonical(body=b"Action=GetCallerIdentity;Action=AssumeRole&Version=2011-06-15"),
    "4 action in the query": Canonical(query="Action=AssumeRole"),
    "5 GET with a body": Canonical(method="GET"),
    "5 presigned": Canonical(method="GET", body=b"", query="Action=GetCallerIdentity&Version=2011-06-15"),
    "6 an unsigned action": Canonical(body=b"Action=AssumeRoleWithWebIdentity&Version=2011-06-15"),
    "7 JSON wanted": Canonical(headers={"accept": "application/json"}),
    "11 another path": Canonical(path="/@evil.example/"),
    "12 a look-alike host": Canonical(headers={"host": "sts.us-east-1.attacker.amazonaws.com"}),
    "16 another host": Canonical(headers={"host": "sts.eu-west-1.amazonaws.com"}),
    "19 no audience": Canonical(headers={"x-outrig-audience": None}),
    "19 another audience": Canonical(headers={"x-outrig-audience": "cluster.local/other"}),
    "19 another system's audience": Canonical(headers={"x-vault-aws-iam-server-id": "vault"}),
    "20 audience not signed": Canonical(headers={"x-outrig-audience": None, "x-outrig-nonce": None}),
    "24 further headers": Canonical(headers={"x-amz-target": "Mallory"}),
    "27 scope of another service": Canonical(service="s3"),
    "27 scope of another region": Canonical(region="eu-west-1"),
    "27 scope of another day": Canonical(date="20200101"),
    "28 unsigned payload": Canonical(payload="UNSIGNED-PAYLOAD"),
    "28 another algorithm": Canonical(algorithm="AWS4-ECDSA-P256-SHA256"),
    "29 nonce not signed": Canonical(headers={"x-outrig-nonce": None}),
    "30 key not signed": Canonical(headers={"x-outrig-csr-sha256": None}),
}


async def honest(plane: Plane, task: RunningTask, caller: Caller) -> AwsProof:
    return caller.prove(task.credentials, await plane.challenge(), plane.authorities.audience, now=plane.clock())


async def test_three_signers_agree(plane: Plane, task: RunningTask) -> None:
    caller = Caller()
    proof = await honest(plane, task, caller)
    audience = plane.authorities.audience
    headers = wire.headers(proof, audience, caller.csr)
    request = AWSRequest("POST", f"https://{headers['host']}/", data=wire.BODY)
    for name in ("content-type", "x-outrig-audience", "x-outrig-csr-sha256", "x-outrig-nonce"):
        request.headers[name] = headers[name]
    given = task.credentials
    signer = SigV4Auth(BotoCredentials(given.access_key, given.secret_key, given.token), "sts", REGION)
    request.context["timestamp"] = proof.amz_date
    request.headers["X-Amz-Date"] = proof.amz_date
    request.headers["X-Amz-Security-Token"] = given.token
    text = signer.string_to_sign(request, signer.canonical_request(request))
    assert text == wire.string_to_sign(proof, audience, caller.csr)
    assert signer.signature(text, request) == proof.signature
    assert signature(given, proof, audience, caller.csr, Canonical()) == proof.signature


@pytest.mark.parametrize("attack", OTHER_REQUESTS)
async def test_a_signature_over_another_request_proves_nothing(attack: str, plane: Plane, task: RunningTask) -> None:
    caller = Caller()
    proof = await honest(plane, task, caller)
    forged = signature(task.credentials, proof, plane.authorities.audience, caller.csr, OTHER_REQUESTS[attack])
    answer = await plane.post(caller.request(task, replace(proof, signature=forged)))
    assert (answer.status_code, answer.json()["code"]) == (403, "OUT107")
    assert await plane.all("WorkloadAutoRegistration") == ()


@pytest.mark.parametrize(
    "attack", ["signature", "token", "key", "secret", "csr", "nonce", "region", "date", "audience"]
)
async def test_a_proof_with_a_part_exchanged_is_refused_in_one_way(
    attack: str, plane: Plane, task: RunningTask, aws: AwsServer, role: str
) -> None:
    caller, audience = Caller(), plane.authorities.audience
    other = aws.session(role, "f" * 32)
    proof = await honest(plane, task, caller)
    earlier = (plane.clock() - timedelta(seconds=30)).strftime("%Y%m%dT%H%M%SZ")
    region, moved = "eu-west-1", replace(task, arn=task.arn.replace(REGION, "eu-west-1"))
    guessed, text = replace(task.credentials, secret_key="x"), wire.string_to_sign(proof, audience, caller.csr)
    requests = {
        "signature": caller.request(task, replace(proof, signature=proof.signature[::-1])),
        "token": caller.request(task, replace(proof, session_token=other.token)),
        "key": caller.request(task, replace(proof, access_key_id=other.access_key)),
        "secret": caller.request(task, replace(proof, signature=sign(guessed, proof, text))),
        "csr": Caller().request(task, proof),
        "nonce": caller.request(task, replace(proof, nonce=await plane.challenge())),
        "region": caller.request(moved, replace(proof, region=region)),
        "date": caller.request(task, replace(proof, amz_date=earlier)),
        "audience": caller.request(task, caller.prove(task.credentials, proof.nonce, "cluster.local/other")),
    }
    answer = await plane.post(requests[attack])
    told = answer.json()
    assert (answer.status_code, told["code"], told["reason"]) == (403, "OUT107", "aws: STS did not accept the proof")
    assert audience in told["hint"]


async def test_what_sts_says_stays_in_the_log_and_the_event(plane: Plane, task: RunningTask) -> None:
    caller = Caller()
    proof = await honest(plane, task, caller)
    answer = await plane.post(caller.request(task, replace(proof, signature="0" * 64)))
    assert "SignatureDoesNotMatch" not in answer.text
    (message,) = await plane.events()
    assert "SignatureDoesNotMatch" in message
    assert answer.json()["reference"] in message


async def test_a_proof_for_one_control_plane_is_refused_by_another(
    plane: Plane, task: RunningTask, aws: AwsServer
) -> None:
    other = await open_plane(aws.url)
    await lay_out(other.store)
    caller = Caller()
    proof = caller.prove(task.credentials, await other.challenge(), plane.authorities.audience)
    answer = await other.post(caller.request(task, proof))
    assert answer.json()["code"] == "OUT107"
    await other.attestor.close()


async def test_a_replayed_proof_is_refused(plane: Plane, task: RunningTask) -> None:
    request = await plane.request(task)
    assert (await plane.post(request)).status_code == 200
    again = await plane.post(request)
    assert (again.status_code, again.json()["code"]) == (403, "OUT103")


async def test_a_proof_that_was_refused_cannot_be_tried_again(plane: Plane, task: RunningTask) -> None:
    request = await plane.request(task)
    assert (await plane.post({**request, "workloadGroup": "missing"})).json()["code"] == "OUT117"
    assert (await plane.post(request)).json()["code"] == "OUT103"


async def test_of_two_joins_with_one_nonce_exactly_one_wins(plane: Plane, task: RunningTask) -> None:
    request = await plane.request(task)
    answers = await asyncio.gather(*(plane.post(request) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] + [403] * 7
    assert {answer.json()["code"] for answer in answers if answer.status_code == 403} == {"OUT103"}


async def test_an_invented_nonce_is_refused(plane: Plane, task: RunningTask) -> None:
    caller = Caller()
    proof = caller.prove(task.credentials, "A" * 43, plane.authorities.audience)
    assert (await plane.post(caller.request(task, proof))).json()["code"] == "OUT103"


async def test_a_nonce_expires(plane: Plane, task: RunningTask) -> None:
    plane.now = datetime.now(UTC)
    request = await plane.request(task)
    plane.now += timedelta(seconds=61)
    assert (await plane.post(request)).json()["code"] == "OUT103"


@pytest.mark.parametrize(("behind", "code"), [(-61, "OUT104"), (-59, ""), (119, ""), (121, "OUT104"), (6000, "OUT104")])
async def test_a_proof_is_good_for_two_minutes_by_our_clock(
    behind: int, code: str, plane: Plane, task: RunningTask
) -> None:
    plane.now = datetime.now(UTC).replace(microsecond=0)
    caller, dated = Caller(), plane.now - timedelta(seconds=behind)
    proof = caller.prove(task.credentials, await plane.challenge(), plane.authorities.audience, now=dated)
    answer = await plane.post(caller.request(task, proof))
    assert answer.json().get("code", "") == code
    if code:
        assert f"{dated:%Y-%m-%dT%H:%M:%SZ}" in answer.json()["reason"]
        assert f"{plane.now:%Y-%m-%dT%H:%M:%SZ}" in answer.json()["reason"]


async def test_the_hash_that_is_signed_is_that_of_the_csr_sent(plane: Plane, task: RunningTask) -> None:
    """The same key in another request is another proof: what is bound is every byte."""
    caller = Caller()
    twin = Caller(key=caller.key)
    assert hashlib.sha256(twin.csr).digest() != hashlib.sha256(caller.csr).digest()
    proof = await honest(plane, task, caller)
    swapped = {**caller.request(task, proof), "csr": base64.b64encode(twin.csr).decode()}
    assert (await plane.post(swapped)).json()["code"] == "OUT107"


async def test_proofs_and_credentials_are_never_logged(
    plane: Plane, task: RunningTask, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    request = await plane.request(task)
    await plane.post(request)
    await plane.post(request)
    said = "".join(capfd.readouterr()) + caplog.text
    assert task.id in said
    secrets = (task.credentials.token, task.credentials.secret_key, request["aws"]["signature"])
    assert [secret for secret in secrets if secret in said] == []
