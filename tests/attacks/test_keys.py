"""One key for one task: the first one is pinned, and only who holds it can bring another."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from tests.attacks.scene import POLICY, AwsServer, Caller, Plane, RunningTask
from tests.mesh_keeping import make_authority

pytestmark = pytest.mark.slow


def leaf(chain: str) -> str:
    end = "-----END CERTIFICATE-----\n"
    return chain.partition(end)[0] + end


async def test_a_second_key_for_a_task_is_refused(plane: Plane, task: RunningTask) -> None:
    assert (await plane.join(task)).status_code == 200
    told = await plane.join(task)
    assert (told.status_code, told.json()["code"]) == (409, "OUT119")
    assert any("OUT119" in message for message in await plane.events())


async def test_the_holder_of_the_control_identity_may_bring_another_key_and_the_old_one_is_done(
    plane: Plane, task: RunningTask
) -> None:
    first, second = Caller(), Caller()
    joined = (await plane.join(task, first)).json()
    plane.certificate = leaf(joined["controlChain"])
    assert (await plane.join(task, second)).status_code == 200
    plane.certificate = ""
    assert (await plane.join(task, first)).json()["code"] == "OUT119"
    assert (await plane.join(task, second)).status_code == 200


async def test_a_control_identity_that_was_replaced_brings_in_no_further_key(plane: Plane, task: RunningTask) -> None:
    joined = (await plane.join(task, Caller())).json()
    plane.certificate = leaf(joined["controlChain"])
    assert (await plane.join(task, Caller())).status_code == 200
    assert (await plane.join(task, Caller())).json()["code"] == "OUT119"


async def test_no_other_certificate_helps(plane: Plane, aws: AwsServer, role: str, task: RunningTask) -> None:
    own = (await plane.join(task)).json()
    neighbour = (await plane.join(aws.task(role))).json()
    admin = plane.authorities.issue_client("admin", group="outrig:admin", lifetime=timedelta(hours=1))
    server = plane.authorities.issue_server(["localhost"])
    others = (
        own["workloadChain"],
        neighbour["controlChain"],
        admin.certificate.chain,
        server.certificate.chain,
        "junk",
    )
    for chain in others:
        plane.certificate = leaf(chain) if "BEGIN" in chain else chain
        assert (await plane.join(task)).json()["code"] == "OUT119"


async def test_an_old_key_stops_being_pinned_when_its_certificates_have_expired(
    plane: Plane, task: RunningTask
) -> None:
    plane.now = datetime.now(UTC)
    assert (await plane.join(task)).status_code == 200
    plane.now += timedelta(hours=1, seconds=1)
    assert (await plane.join(task)).status_code == 200


async def test_a_task_whose_agent_is_away_may_bring_another_key(plane: Plane, task: RunningTask) -> None:
    first = (await plane.join(task, Caller())).json()
    (registration,) = await plane.all("WorkloadAutoRegistration")
    await plane.connect(registration.key)
    assert (await plane.join(task)).json()["code"] == "OUT119"
    await plane.connect(registration.key, connected=False)
    second = (await plane.join(task, Caller())).json()
    assert second["uid"] != first["uid"], "the certificates of the one before stand for nothing any more"
    (entry,) = await plane.all("WorkloadEntry")
    assert {owner.uid for owner in entry.owners} == {second["uid"]}
    assert (await plane.join(task)).json()["code"] == "OUT119", "until the new one's agent is away"


async def test_another_key_is_asked_about_anew(plane: Plane, task: RunningTask) -> None:
    caller = Caller()
    assert (await plane.join(task, caller)).status_code == 200
    (registration,) = await plane.all("WorkloadAutoRegistration")
    await plane.connect(registration.key, connected=False)
    async with plane.store.transaction() as tx:
        await tx.delete(POLICY)
    assert (await plane.join(task)).json()["code"] == "OUT118"
    assert (await plane.join(task, caller)).status_code == 200, "nothing came of the refused one"


async def test_a_key_of_one_task_cannot_serve_another(
    plane: Plane, aws: AwsServer, role: str, task: RunningTask
) -> None:
    caller = Caller()
    assert (await plane.join(task, caller)).status_code == 200
    told = await plane.join(aws.task(role), caller)
    assert (told.status_code, told.json()["code"]) == (409, "OUT120")
    assert task.arn not in told.text


async def test_an_authoritys_key_is_nobody_elses(plane: Plane, task: RunningTask) -> None:
    mesh = await make_authority(plane.store)
    for authority in (plane.authorities.control, plane.authorities.clients, mesh.authority):
        assert (await plane.join(task, Caller(key=authority.key))).json()["code"] == "OUT106"


async def test_two_keys_for_one_task_at_once_leave_one(plane: Plane, task: RunningTask) -> None:
    import asyncio

    requests = [await plane.request(task, Caller()) for _ in range(4)]
    answers = await asyncio.gather(*(plane.post(request) for request in requests))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]


@pytest.mark.parametrize("curve", [ec.SECP224R1(), ec.SECP192R1(), ec.SECP256K1(), ec.SECP521R1()])
async def test_weak_and_unusual_keys_are_refused(curve: Any, plane: Plane, task: RunningTask) -> None:
    assert (await plane.join(task, Caller(key=ec.generate_private_key(curve)))).json()["code"] == "OUT106"


async def test_nothing_a_request_asks_for_but_its_key_is_in_the_certificates(plane: Plane, task: RunningTask) -> None:
    class Greedy(Caller):
        def __post_init__(self) -> None:
            from cryptography.hazmat.primitives import hashes, serialization

            uri = x509.UniformResourceIdentifier("spiffe://cluster.local/ns/default/sa/admin")
            builder = x509.CertificateSigningRequestBuilder(
                x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "system:masters")])
            )
            builder = builder.add_extension(x509.SubjectAlternativeName([uri, x509.DNSName("*")]), critical=False)
            builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            usage = x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE])
            request = builder.add_extension(usage, critical=False).sign(self.key, hashes.SHA256())
            self.csr = request.public_bytes(serialization.Encoding.DER)

    caller = Greedy()
    joined = (await plane.join(task, caller)).json()
    for chain, purposes in ((joined["workloadChain"], 2), (joined["controlChain"], 1)):
        certificate = x509.load_pem_x509_certificate(chain.encode())
        extensions = certificate.extensions
        assert certificate.public_key() == caller.key.public_key()
        assert list(certificate.subject) == []
        assert extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
        assert len(list(extensions.get_extension_for_class(x509.SubjectAlternativeName).value)) == 1
        assert len(list(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)) == purposes
        assert "system:masters" not in str(certificate.subject)
