"""What a join changes, whom it refuses once identity is proven, and what is told about it. Identity is given here."""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from outrig.admission.admission import Admission
from outrig.admission.ports import Peer
from outrig.admission.refusals import (
    Banned,
    CsrRefused,
    GroupUnknown,
    KeyPinned,
    LabelRefused,
    NotNow,
    PolicyRefused,
    Refused,
    RegistrationTaken,
    TooMany,
)
from outrig.admission.settings import AdmissionSettings
from outrig.attest.evidence import Evidence
from outrig.attest.refusals import AwsUnavailable, Malformed, NoCredentials, ProofRefused
from outrig.attest.task import VerifiedTask
from outrig.attest.tokens import TokenAttestor
from outrig.ca.authorities import Authorities, open_authorities
from outrig.dialects.bans import BANNED
from outrig.resources import Key, Resource
from outrig.store.cascade import delete_with_dependents
from outrig.store.memory import MemoryStore
from outrig.store.protocol import Query, Unavailable
from outrig.wire.join import AwsProof, EcsTask, HostAddress, JoinRequest, JoinResponse
from tests.mesh_keeping import make_authority

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
GROUP = Key("networking.istio.io", "WorkloadGroup", "", "bookinfo", "ratings")
POLICY = Key("authorization.onboarding.tetrate.io", "OnboardingPolicy", "", "bookinfo", "allow-ecs")
NAMESPACE = Key("", "Namespace", "", "", "bookinfo")
PEER = Peer("10.0.0.1")


def verified(number: int) -> VerifiedTask:
    task = f"{number:032x}"
    return VerifiedTask(
        partition="aws",
        account="123456789012",
        region="us-east-1",
        zone="us-east-1a",
        cluster="bookinfo",
        role_name="ratings-task",
        role_id="AROAEXAMPLE",
        role_arn="arn:aws:iam::123456789012:role/ratings-task",
        task_id=task,
        task_arn=f"arn:aws:ecs:us-east-1:123456789012:task/bookinfo/{task}",
        task_definition="ratings:1",
        address="10.0.0.1",
        addresses=("10.0.0.1",),
    )


@dataclass
class Attestor:
    """Vouches for the task it is told to; remembers whether it was asked for fresh answers."""

    task: VerifiedTask
    fresh: list[bool] = field(default_factory=list)
    refusal: Refused | None = None

    def check(self, evidence: Evidence, now: datetime) -> None:
        pass

    async def verify(self, _: Evidence, *, fresh: bool) -> VerifiedTask:
        self.fresh.append(fresh)
        if self.refusal:
            raise self.refusal
        return self.task


@dataclass
class Scene:
    """An admission and a way to join."""

    store: MemoryStore
    authorities: Authorities
    attestor: Attestor
    admission: Admission
    now: datetime = NOW

    async def join(self, csr: bytes, *, peer: Peer = PEER, **changes: Any) -> JoinResponse:
        task = self.attestor.task
        nonce = (await self.admission.challenge(peer, self.now)).nonce
        request = JoinRequest(
            version=1,
            namespace="bookinfo",
            workload_group="ratings",
            csr=base64.b64encode(csr).decode(),
            aws=AwsProof("us-east-1", "20260301T120000Z", "ASIA", "secret-token", "0" * 64, nonce),
            ecs=EcsTask("bookinfo", task.task_arn),
            addresses=(HostAddress("10.0.0.1", "VPC"),),
            agent_version="0.1.0",
            envoy_version="1.40.0",
        )
        return await self.admission.join(replace(request, **changes), peer, self.now)

    async def found(self, kind: str) -> list[Resource]:
        return [one for one in (await self.store.list(Query())).items if one.key.kind == kind]

    async def put(self, resource: Resource) -> None:
        async with self.store.transaction() as tx:
            await (tx.update(resource) if await tx.get(resource.key) else tx.create(resource))

    async def remove(self, key: Key) -> None:
        async with self.store.transaction() as tx:
            await delete_with_dependents(tx, key)


def csr() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    return x509.CertificateSigningRequestBuilder(x509.Name([])).sign(key, hashes.SHA256()).public_bytes(
        serialization.Encoding.DER
    )  # fmt: skip


def group(account: str = "bookinfo-ratings") -> Resource:
    template = {"labels": {"app": "ratings", "class": "ecs"}, "serviceAccount": account}
    return Resource(GROUP, body={"spec": {"template": template}}, labels={"app": "ratings"})


def policy(**aws: Any) -> Resource:
    workloads = [{"aws": {"accounts": ["123456789012"], "ecs": {}, **aws}}]
    return Resource(POLICY, body={"spec": {"allow": [{"workloads": workloads, "onboardTo": [EVERY]}]}})


EVERY: dict[str, Any] = {"workloadGroupSelector": {}}


async def open_scene(store: MemoryStore, **settings: Any) -> Scene:
    scenes: list[Scene] = []
    authorities = await open_authorities(store, clock=lambda: scenes[0].now if scenes else NOW)
    await make_authority(store, now=NOW)
    attestor = Attestor(verified(1))
    limits = AdmissionSettings(xds_port=5679, **settings)
    admission = Admission(limits, store=store, attestor=attestor, tokens=TokenAttestor(()), authorities=authorities)
    scenes.append(Scene(store, authorities, attestor, admission))
    return scenes[0]


@pytest.fixture
async def scene() -> Scene:
    opened = await open_scene(MemoryStore())
    for resource in (Resource(NAMESPACE), group(), policy()):
        await opened.put(resource)
    return opened


async def test_a_join_makes_a_registration_and_an_entry_that_goes_with_it(scene: Scene) -> None:
    told = await scene.join(csr(), labels={"version": "v5", "app": "ratings"})
    (registration,), (entry,) = await scene.found("WorkloadAutoRegistration"), await scene.found("WorkloadEntry")
    assert (told.registration, told.uid, told.node_id) == (
        registration.key.name,
        registration.uid,
        f"bookinfo/{registration.key.name}",
    )
    assert registration.spec["identity"]["aws"]["ecs"] == {"cluster": "bookinfo", "taskId": f"{1:032x}"}
    assert entry.labels == {"version": "v5", "app": "ratings", "class": "ecs"}
    assert entry.spec["serviceAccount"] == "bookinfo-ratings"
    assert (told.expires_in, told.renew_in, told.xds_port) == (3600, 1800, 5679)
    await scene.remove(registration.key)
    assert await scene.found("WorkloadEntry") == []


@pytest.mark.parametrize(
    ("label", "place"), [("app", "metadata"), ("class", "template"), ("tier", "spec.metadata"), ("kubernetes.io/x", "")]
)
async def test_a_label_of_the_group_cannot_be_changed_by_an_agent(label: str, place: str, scene: Scene) -> None:
    body = {"spec": {**group().spec, "metadata": {"labels": {"tier": "back"}}}}
    await scene.put(replace(group(), body=body))
    with pytest.raises(LabelRefused) as caught:
        await scene.join(csr(), labels={"fine": "1", label: "mine"})
    assert caught.value.place == f"labels[{label}]"
    assert ("the WorkloadGroup sets it to" in caught.value.problem) == bool(place)
    assert not await scene.found("WorkloadAutoRegistration")
    assert any(f"labels[{label}]" in event.body["message"] for event in await scene.found("Event"))


async def test_a_renewal_keeps_the_group_as_it_was_when_the_task_joined(scene: Scene) -> None:
    running = csr()
    await scene.join(running)
    (before,), (entry,) = await scene.found("WorkloadAutoRegistration"), await scene.found("WorkloadEntry")
    await scene.put(replace(group(account="other"), labels={"app": "other"}))
    told = await scene.join(running, labels={"edition": "second"})
    (after,), (now,) = await scene.found("WorkloadAutoRegistration"), await scene.found("WorkloadEntry")
    assert (after.uid, after.annotations, after.labels) == (before.uid, before.annotations, before.labels)
    assert now.spec == {**entry.spec, "labels": {**entry.labels, "edition": "second"}}
    leaf = x509.load_pem_x509_certificate(told.workload_chain.encode())
    assert "sa/bookinfo-ratings" in str(leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)


async def test_the_entry_follows_what_its_agent_says_and_keeps_its_status_and_what_others_wrote(scene: Scene) -> None:
    running = csr()
    await scene.join(running)
    (entry,) = await scene.found("WorkloadEntry")
    await scene.put(replace(entry, body={"spec": {**entry.spec, "weight": 7}}, status={"conditions": []}))
    await scene.join(running)
    (after,) = await scene.found("WorkloadEntry")
    assert (after.spec["weight"], after.status) == (7, {"conditions": []})
    await scene.join(running, labels={"version": "v6"})
    (after,) = await scene.found("WorkloadEntry")
    assert (after.labels["version"], after.status, after.uid) == ("v6", {"conditions": []}, entry.uid)
    doubts = {"validationMessages": [{"level": "WARNING", "message": "x"}], "observedGeneration": after.generation}
    await scene.put(replace(after, status={**after.status, **doubts}))
    await scene.join(running, labels={"version": "v7"})
    (now,) = await scene.found("WorkloadEntry")
    assert (now.generation, now.status) == (
        after.generation + 1,
        {"conditions": [], "observedGeneration": now.generation},
    )


async def test_a_deleted_group_takes_registration_and_entry_along_and_a_new_one_lets_the_task_in(scene: Scene) -> None:
    running = csr()
    await scene.join(running)
    await scene.remove(GROUP)
    assert not await scene.found("WorkloadAutoRegistration") + await scene.found("WorkloadEntry")
    with pytest.raises(GroupUnknown):
        await scene.join(running)
    await scene.put(group())
    await scene.join(running)
    assert len(await scene.found("WorkloadEntry")) == 1


async def test_a_task_gets_its_identity_from_the_mesh_of_its_namespace(scene: Scene) -> None:
    await scene.put(Resource(NAMESPACE, labels={"kuma.io/mesh": "payments"}))
    with pytest.raises(GroupUnknown, match="mesh 'payments', which does not exist"):
        await scene.join(csr())
    mesh = await make_authority(scene.store, "payments", now=NOW)
    told = await scene.join(csr())
    assert subject(told.workload_chain) == "spiffe://payments/ns/bookinfo/sa/bookinfo-ratings"
    leaf = x509.load_pem_x509_certificate(told.workload_chain.encode())
    leaf.verify_directly_issued_by(mesh.authority.certificate)


BANS = ("123456789012", "123456789012/ratings-task", f"arn:aws:ecs:us-east-1:123456789012:task/bookinfo/{1:032x}")


@pytest.mark.parametrize("name", BANS)
async def test_a_banned_name_gets_neither_in_nor_a_renewal_until_the_ban_is_lifted(name: str, scene: Scene) -> None:
    running = csr()
    await scene.join(running)
    await scene.put(Resource(NAMESPACE, annotations={BANNED: f"999999999999\n {name} \n"}))
    with pytest.raises(Banned, match=name) as caught:
        await scene.join(running)
    assert caught.value.status == 403
    await scene.put(Resource(NAMESPACE, annotations={BANNED: f"{name}0\n{name[:-1]}"}))
    await scene.join(running)


async def test_every_certificate_is_on_record(scene: Scene) -> None:
    told = await scene.join(csr())
    async with scene.store.transaction() as tx:
        rows = await tx.identities(told.uid)
    chains = (told.control_chain, told.workload_chain)
    digests = {x509.load_pem_x509_certificate(one.encode()).fingerprint(hashes.SHA256()).hex() for one in chains}
    assert {row.digest for row in rows} == digests
    assert {row.task for row in rows} == {scene.attestor.task.task_arn}


async def test_the_first_join_may_use_caches_and_a_renewal_may_not(scene: Scene) -> None:
    request = csr()
    await scene.join(request)
    await scene.join(request)
    assert scene.attestor.fresh == [False, True]


async def test_a_deleted_policy_stops_new_tasks_and_leaves_running_ones(scene: Scene) -> None:
    running = csr()
    uid = (await scene.join(running)).uid
    await scene.remove(POLICY)
    assert (await scene.join(running)).uid == uid
    scene.attestor.task = verified(2)
    with pytest.raises(PolicyRefused, match="Not authorized by OnboardingPolicy"):
        await scene.join(csr())


async def test_a_task_whose_certificates_have_expired_is_new_to_the_policies(scene: Scene) -> None:
    running = csr()
    await scene.join(running)
    await scene.remove(POLICY)
    scene.now += timedelta(hours=1)
    with pytest.raises(PolicyRefused):
        await scene.join(running)


async def test_a_deleted_registration_is_new_to_the_policies_and_takes_the_group_as_it_is(scene: Scene) -> None:
    running = csr()
    first = await scene.join(running)
    await scene.put(replace(group("other"), revision=0))
    assert "sa/bookinfo-ratings" in subject((await scene.join(running)).workload_chain)
    (registration,) = await scene.found("WorkloadAutoRegistration")
    await scene.remove(registration.key)
    again = await scene.join(running)
    assert again.uid != first.uid
    assert "sa/other" in subject(again.workload_chain)
    await scene.remove(again_key(again))
    await scene.remove(POLICY)
    with pytest.raises(PolicyRefused):
        await scene.join(running)


def again_key(told: JoinResponse) -> Key:
    return Key("runtime.onboarding.tetrate.io", "WorkloadAutoRegistration", "", told.namespace, told.registration)


def subject(chain: str) -> str:
    names = x509.load_pem_x509_certificate(chain.encode()).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    return names.value.get_values_for_type(x509.UniformResourceIdentifier)[0]


async def test_a_key_is_pinned_for_as_long_as_the_registration_is_there(scene: Scene) -> None:
    told = await scene.join(csr())
    with pytest.raises(KeyPinned):
        await scene.join(csr())
    await scene.remove(again_key(told))
    await scene.join(csr())


async def test_a_renewal_tells_the_agents_news_and_keeps_the_identity(scene: Scene) -> None:
    running = csr()
    await scene.join(running)
    await scene.join(running, agent_version="0.2.0")
    (registration,) = await scene.found("WorkloadAutoRegistration")
    assert registration.spec["registration"]["agent"]["version"] == "0.2.0"
    assert registration.spec["identity"]["aws"]["ecs"]["taskId"] == f"{1:032x}"


async def test_a_renewal_that_brings_no_news_changes_no_resource(scene: Scene) -> None:
    running = csr()
    await scene.join(running)
    before = await scene.store.revision()
    await scene.join(running)
    assert await scene.store.revision() == before


async def test_a_missing_entry_comes_back_with_the_renewal(scene: Scene) -> None:
    running = csr()
    await scene.join(running)
    (entry,) = await scene.found("WorkloadEntry")
    await scene.remove(entry.key)
    await scene.join(running)
    assert len(await scene.found("WorkloadEntry")) == 1


async def test_an_entry_of_somebody_else_is_not_taken_over(scene: Scene) -> None:
    told = await scene.join(csr())
    (entry,) = await scene.found("WorkloadEntry")
    await scene.remove(again_key(told))
    await scene.put(replace(entry, owners=(), uid="", revision=0))
    scene.now += timedelta(hours=1)
    with pytest.raises(RegistrationTaken):
        await scene.join(csr())
    assert await scene.found("WorkloadAutoRegistration") == []


@pytest.mark.parametrize("gone", [NAMESPACE, GROUP])
async def test_a_namespace_or_group_that_does_not_exist_is_named(gone: Key, scene: Scene) -> None:
    await scene.remove(gone)
    with pytest.raises(GroupUnknown, match="does not exist") as refused:
        await scene.join(csr())
    assert gone.name in refused.value.reason
    assert len(await scene.found("Event")) == (gone == GROUP)


async def test_a_namespace_in_no_known_mesh_is_refused(scene: Scene) -> None:
    await scene.put(Resource(NAMESPACE, labels={"kuma.io/mesh": "other"}))
    with pytest.raises(GroupUnknown, match="other"):
        await scene.join(csr())


async def test_a_policy_says_no_to_the_caller_and_why_to_the_operator(scene: Scene) -> None:
    await scene.put(policy(zones=["us-east-1b"]))
    with pytest.raises(PolicyRefused) as refused:
        await scene.join(csr())
    (event,) = await scene.found("Event")
    assert "us-east-1b" not in refused.value.reason + refused.value.hint
    assert "zone us-east-1a is not among us-east-1b" in event.body["message"]
    assert event.body["reason"] == "OnboardingDenied"
    assert event.body["type"] == "Warning"
    assert event.body["involvedObject"]["name"] == "ratings"
    assert refused.value.reference in event.body["message"]


async def test_equal_refusals_count_up_one_event(scene: Scene) -> None:
    await scene.remove(POLICY)
    for number in range(1, 4):
        scene.attestor.task = verified(number)
        with pytest.raises(PolicyRefused):
            await scene.join(csr())
        scene.now += timedelta(seconds=1)
    (event,) = await scene.found("Event")
    assert event.body["count"] == 3
    assert event.body["firstTimestamp"] == "2026-03-01T12:00:00Z"
    assert event.body["lastTimestamp"] == "2026-03-01T12:00:02Z"


async def test_a_namespace_gets_so_many_events_a_minute() -> None:
    scene = await open_scene(MemoryStore(), events_per_minute=3)
    await scene.put(Resource(NAMESPACE))
    for number in range(9):
        with pytest.raises(GroupUnknown):
            await scene.join(csr(), workload_group=f"missing-{number}")
    assert len(await scene.found("Event")) == 3


async def test_old_denials_go_when_a_new_one_comes(scene: Scene) -> None:
    other = Resource(Key("", "Event", "", "bookinfo", "other"), body={"reason": "Other", "lastTimestamp": ""})
    await scene.put(other)
    for missing in ("a", "b"):
        with pytest.raises(GroupUnknown):
            await scene.join(csr(), workload_group=missing)
        scene.now += timedelta(hours=1, seconds=1)
    about = [event.body["involvedObject"]["name"] for event in await scene.found("Event") if event.key != other.key]
    assert about == ["b"]
    assert await scene.store.get(other.key)


async def test_who_has_not_proven_anything_causes_no_event_about_a_group_that_does_not_exist(scene: Scene) -> None:
    scene.attestor.refusal = ProofRefused("aws", "no")
    for name, events in (("missing", 0), ("ratings", 1)):
        with pytest.raises(ProofRefused):
            await scene.join(csr(), workload_group=name)
        assert len(await scene.found("Event")) == events


async def test_an_outage_is_no_denial(scene: Scene) -> None:
    scene.attestor.refusal = AwsUnavailable("aws", "away", retry_after=5)
    with pytest.raises(AwsUnavailable):
        await scene.join(csr())
    assert await scene.found("Event") == []


@pytest.mark.parametrize("name", ["ratings", "missing"])
@pytest.mark.parametrize(
    ("refusal", "changes", "told"),
    [
        (NoCredentials("aws", "the control plane has no AWS credentials"), {}, "OUT131 aws: the control plane has no"),
        (None, {"labels": {"istio.io/rev": "x"}}, "OUT116 labels[istio.io/rev]: is reserved"),
    ],
)
async def test_what_a_person_has_to_mend_is_told_about_groups_that_exist(
    scene: Scene, name: str, refusal: Refused | None, changes: dict[str, Any], told: str
) -> None:
    scene.attestor.refusal = refusal
    for _ in range(2):
        with pytest.raises(Refused):
            await scene.join(csr(), workload_group=name, **changes)
    events = await scene.found("Event")
    assert [(event.body["message"].startswith(told), event.body["count"]) for event in events] == (
        [(True, 2)] if name == "ratings" else []
    )


async def test_a_certificate_request_that_cannot_be_signed_is_told(scene: Scene) -> None:
    with pytest.raises(CsrRefused):
        await scene.join(b"no request")
    (event,) = await scene.found("Event")
    assert event.body["message"].startswith("OUT106 csr: ")


@pytest.mark.parametrize("changes", [{"version": 2}, {"namespace": "\ud800"}, {"addresses": ()}])
async def test_a_request_without_the_agreed_form_is_no_denial(scene: Scene, changes: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        await scene.join(csr(), **changes)
    assert await scene.found("Event") == []


async def test_an_address_that_asks_too_often_waits() -> None:
    scene = await open_scene(MemoryStore(), rate=0.5, burst=2)
    for _ in range(2):
        await scene.admission.challenge(PEER, NOW)
    with pytest.raises(TooMany) as refused:
        await scene.admission.challenge(PEER, NOW)
    assert refused.value.retry_after in (2, 3)
    await scene.admission.challenge(Peer("10.0.0.2"), NOW)


async def test_a_task_that_renews_too_often_waits_and_aws_is_not_asked() -> None:
    scene = await open_scene(MemoryStore(), task_rate=0.01, task_burst=2)
    for resource in (Resource(NAMESPACE), group(), policy()):
        await scene.put(resource)
    running, other = csr(), csr()
    for _ in range(3):  # the join itself, and two renewals
        await scene.join(running)
    asked = len(scene.attestor.fresh)
    with structlog.testing.capture_logs() as lines, pytest.raises(TooMany, match="renews too often") as refused:
        await scene.join(running)
    assert 90 < refused.value.retry_after <= 101
    assert (len(scene.attestor.fresh), lines) == (asked, [])
    scene.attestor.task = verified(2)
    for _ in range(3):
        await scene.join(other)


async def test_nobody_elsewhere_uses_up_the_renewals_of_a_task() -> None:
    scene = await open_scene(MemoryStore(), task_rate=0.01, task_burst=2)
    for resource in (Resource(NAMESPACE), group(), policy()):
        await scene.put(resource)
    running = csr()
    await scene.join(running)
    scene.attestor.refusal = ProofRefused("aws", "no")
    for _ in range(2):
        with pytest.raises(ProofRefused):
            await scene.join(csr(), peer=Peer("10.0.0.66"))
    with pytest.raises(TooMany):
        await scene.join(csr(), peer=Peer("10.0.0.66"))
    scene.attestor.refusal = None
    await scene.join(running)


async def test_a_task_that_is_not_let_in_may_go_on_trying() -> None:
    scene = await open_scene(MemoryStore(), task_rate=0.01, task_burst=1)
    for resource in (Resource(NAMESPACE), group()):
        await scene.put(resource)
    waiting = csr()
    for _ in range(5):
        with pytest.raises(PolicyRefused):
            await scene.join(waiting)
    await scene.put(policy())
    await scene.join(waiting)


async def test_all_callers_together_get_so_many_challenges() -> None:
    scene = await open_scene(MemoryStore(), challenge_rate=0.5, challenge_burst=2)
    for number in (1, 2):
        await scene.admission.challenge(Peer(f"10.0.0.{number}"), NOW)
    with pytest.raises(TooMany, match="too many callers") as refused:
        await scene.admission.challenge(Peer("10.0.0.3"), NOW)
    assert refused.value.retry_after in (2, 3)


class Failing(MemoryStore):
    """Cannot commit while `away`."""

    away = False

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        async with super().transaction() as tx:
            yield tx
            if self.away and await tx.identities((await tx.list(Query()))[-1].uid):
                raise Unavailable("store", "away")


async def test_a_store_that_fails_is_no_denial_and_leaves_nothing_half_done() -> None:
    store = Failing()
    scene = await open_scene(store)
    for resource in (Resource(NAMESPACE), group(), policy()):
        await scene.put(resource)
    store.away = True
    with pytest.raises(NotNow):
        await scene.join(csr())
    assert await scene.found("WorkloadAutoRegistration") == await scene.found("WorkloadEntry") == []
    store.away = False
    await scene.join(csr())


async def test_the_connection_may_have_to_come_from_the_task() -> None:
    scene = await open_scene(MemoryStore(), require_peer_address=True)
    for resource in (Resource(NAMESPACE), group(), policy()):
        await scene.put(resource)
    await scene.join(csr())
    scene.attestor.task = replace(verified(2), address="10.0.0.2", addresses=("10.0.0.2",))
    with pytest.raises(Refused, match=r"the connection comes from 10\.0\.0\.1"):
        await scene.join(csr(), addresses=(HostAddress("10.0.0.2", "VPC"),))


async def test_the_audit_log_names_who_what_and_why_and_no_secret(scene: Scene) -> None:
    with structlog.testing.capture_logs() as lines:
        running = csr()
        await scene.join(running)
        await scene.join(running)
        await scene.remove(POLICY)
        scene.attestor.task = verified(2)
        with pytest.raises(PolicyRefused):
            await scene.join(csr())
    assert [line["outcome"] for line in lines if line["event"] == "join"] == ["admitted", "renewed", "refused"]
    assert lines[0]["policy"] == "OnboardingPolicy bookinfo/allow-ecs[0]"
    assert lines[0]["identity"] == "spiffe://cluster.local/ns/bookinfo/sa/bookinfo-ratings"
    assert {lines[0]["task"], lines[1]["task"]} == {verified(1).task_arn}
    assert (lines[2]["code"], lines[2]["role_id"]) == ("OUT118", "AROAEXAMPLE")
    assert "secret-token" not in str(lines)
    assert "0" * 64 not in str(lines)


async def test_the_log_tells_a_refusal_once_and_then_counts(scene: Scene) -> None:
    await scene.remove(POLICY)
    with structlog.testing.capture_logs() as lines:
        for number in (1, 2):
            scene.attestor.task = verified(number)
            for _ in range(10):
                with pytest.raises(PolicyRefused):
                    await scene.join(csr())
    told = [line for line in lines if line["event"] == "join refused"]
    assert [line["claimed"].rpartition("/")[2] for line in told] == [f"{number:032x}" for number in (1, 1, 2, 2)]
    assert told[0]["reason"].startswith("OUT118 WorkloadGroup bookinfo/ratings: Not authorized by OnboardingPolicy")
    assert told[1]["reason"].endswith("(10 times)")
    assert told[0]["hint"] == "ask who owns the namespace"
    assert sum(line["event"] == "join" for line in lines) == 20, "the audit log has each"


async def test_strangers_cannot_use_up_the_events_that_tell_of_known_callers() -> None:
    scene = await open_scene(MemoryStore(), events_per_minute=2)
    for resource in (Resource(NAMESPACE), group()):
        await scene.put(resource)
    scene.attestor.refusal = ProofRefused("aws", "no")
    for _ in range(5):
        with pytest.raises(ProofRefused):
            await scene.join(csr())
    scene.attestor.refusal = None
    with pytest.raises(PolicyRefused):
        await scene.join(csr())
    assert sorted(event.body["count"] for event in await scene.found("Event")) == [1, 2]
