"""What the tags of a task's role allow, and what they do not: rows 47 to 54 of the attack table, and Kong Mesh's rules.

Against the real HTTP application, and an AWS that verifies signatures and gives the tags.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from itertools import count

import pytest
from cryptography import x509
from structlog.testing import capture_logs

from outrig.dialects.bans import BANNED
from outrig.resources import Key, Resource
from tests.attacks.dataplane_scene import DataplaneScene, document, open_scene, service, zone_document
from tests.attacks.scene import ACCOUNT, AwsServer, Caller, RunningTask

pytestmark = pytest.mark.slow

PROXY = {"kuma.io/type": "dataplane", "kuma.io/mesh": "default"}
KV = {**PROXY, "kuma.io/service": "kv"}
_names = count()


@pytest.fixture
async def scene(aws: AwsServer) -> AsyncIterator[DataplaneScene]:
    opened = await open_scene(aws.url, accounts=(ACCOUNT,))
    yield opened
    await opened.plane.client.aclose()
    await opened.plane.attestor.close()


def tagged(aws: AwsServer, tags: Mapping[str, str]) -> RunningTask:
    """A task whose role has those tags."""
    return aws.task(aws.role(f"tagged-{next(_names)}", tags=tags))


def uris(chain: str) -> list[str]:
    leaf = x509.load_pem_x509_certificates(chain.encode())[0]
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return names.get_values_for_type(x509.UniformResourceIdentifier)


async def test_a_tagged_task_joins_as_its_dataplane(scene: DataplaneScene, aws: AwsServer) -> None:
    task = tagged(aws, KV)
    told = await scene.join(task, document(address=task.ip))
    assert told.status_code == 200, told.text
    answer = told.json()
    assert (answer["namespace"], answer["registration"], answer["nodeId"]) == (
        "kuma-default",
        "kv-1",
        "dataplane/default/kv-1",
    )
    assert uris(answer["workloadChain"]) == [
        "spiffe://default/kv",
        "kuma://kuma.io/protocol/http",
        "kuma://kuma.io/service/kv",
        "kuma://kuma.io/zone/default",
    ]
    (control,) = uris(answer["controlChain"])
    stored = await scene.dataplane()
    assert stored
    assert control.endswith(f"/dataplane/default/kv-1/{stored.uid}")
    assert stored.annotations["outrig.dev/joined"] == "true"
    assert stored.annotations["outrig.dev/principal"] == task.arn


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({}, "has no tag kuma.io/type"),
        ({"kuma.io/type": ""}, "kuma.io/type is empty"),
        ({"kuma.io/mesh": "default"}, "has no tag kuma.io/type"),
        ({"kuma.io/type": "dataplane"}, "has no tag kuma.io/mesh"),
        ({"kuma.io/type": "dataplane", "kuma.io/mesh": ""}, "kuma.io/mesh is empty"),
        ({**PROXY, "kuma.io/mesh": "other"}, "for mesh other, not for default"),
        ({**PROXY, "kuma.io/mesh": "Default"}, "for mesh Default"),
        ({**PROXY, "kuma.io/type": "ingress"}, "it is for ingress"),
        ({**PROXY, "kuma.io/type": "egress"}, "it is for egress"),
        ({**PROXY, "kuma.io/type": "Dataplane"}, "it is for Dataplane"),
        ({**PROXY, "kuma.io/type": "dataplane ingress"}, "it is for dataplane ingress"),
        ({"Kuma.io/type": "dataplane", "kuma.io/mesh": "default"}, "has a tag 'Kuma.io/type'"),
        ({**PROXY, "kuma.io/Service": "kv"}, "has a tag 'kuma.io/Service'"),
        ({**PROXY, "kuma.io/service": ""}, "kuma.io/service is empty"),
        ({**PROXY, "kuma.io/service": "other"}, "allows kuma.io/service other, not kv"),
        ({**PROXY, "kuma.io/service": "kv demo-app"}, "allows kuma.io/service kv demo-app, not kv"),
        ({**PROXY, "kuma.io/service": "kv/"}, "not kv"),
        ({**PROXY, "kuma.io/service": "*"}, "allows kuma.io/service *, not kv"),
        ({**PROXY, "kuma.io/workload": "kv"}, "it is for workload kv"),
    ],
)
async def test_a_role_whose_tags_do_not_say_so_lets_nobody_in(
    scene: DataplaneScene, aws: AwsServer, tags: Mapping[str, str], reason: str
) -> None:
    task = tagged(aws, tags)
    told = await scene.join(task, document(address=task.ip))
    assert (told.status_code, told.json()["code"]) == (403, "OUT127"), told.text
    assert reason in told.json()["reason"]
    assert await scene.dataplane() is None


async def test_every_inbound_is_bound_by_the_service_tag(scene: DataplaneScene, aws: AwsServer) -> None:
    task = tagged(aws, KV)
    inbounds = [{"port": 1 + n, "tags": {"kuma.io/service": name}} for n, name in enumerate(("kv", "kv", "payments"))]
    told = await scene.join(task, document(address=task.ip, networking={"inbound": inbounds}))
    assert (told.status_code, told.json()["code"]) == (403, "OUT127")
    ignored = [*inbounds[:2], {**inbounds[2], "state": "Ignored"}]
    told = await scene.join(task, document(address=task.ip, networking={"inbound": ignored}))
    assert "not payments" in told.json()["reason"], "an inbound that is ignored still gives an identity"
    gateway = {"inbound": [], "gateway": {"tags": {"kuma.io/service": "payments"}}}
    told = await scene.join(task, document(address=task.ip, networking=gateway))
    assert "not payments" in told.json()["reason"]
    told = await scene.join(task, document(address=task.ip, networking={"inbound": inbounds[:2]}))
    assert told.status_code == 200


async def test_without_a_service_tag_a_role_is_bound_by_its_mesh_only(scene: DataplaneScene, aws: AwsServer) -> None:
    task = tagged(aws, PROXY)
    told = await scene.join(task, document(address=task.ip, networking=service("anything")))
    assert told.status_code == 200


async def test_the_workload_tag_is_compared_with_the_label(scene: DataplaneScene, aws: AwsServer) -> None:
    task = tagged(aws, {**PROXY, "kuma.io/workload": "kv"})
    wrong = document(address=task.ip, labels={"kuma.io/workload": "payments"})
    assert "is payments" in (await scene.join(task, wrong)).json()["reason"]
    told = await scene.join(task, document(address=task.ip, labels={"kuma.io/workload": "kv"}))
    assert told.status_code == 200


async def test_an_account_that_is_not_listed_is_refused(aws: AwsServer) -> None:
    scene, task = await open_scene(aws.url, accounts=("999999999999",)), tagged(aws, KV)
    told = await scene.join(task, document(address=task.ip))
    assert (told.status_code, told.json()["code"]) == (403, "OUT110")
    await scene.plane.attestor.close()


@pytest.mark.parametrize("kind", ["ZoneIngress", "ZoneEgress"])
async def test_zone_proxies_authenticate_and_register(scene: DataplaneScene, aws: AwsServer, kind: str) -> None:
    kind_of = {"ZoneIngress": "ingress", "ZoneEgress": "egress"}[kind]
    task = tagged(aws, {"kuma.io/type": kind_of})
    written = zone_document(kind, "edge", task.ip)
    told = await scene.join(task, written, join={"proxyType": kind_of})
    assert told.status_code == 200, told.text
    (stored,) = await scene.plane.all(kind)
    assert (stored.key.name, stored.body["zone"]) == ("edge", "default")
    assert uris(told.json()["controlChain"])[0].endswith(f"/{kind.lower()}/edge/{stored.uid}")
    assert told.json()["workloadChain"] == "", "it is in no mesh"
    other = tagged(aws, PROXY)
    refused = await scene.join(other, zone_document(kind, "edge-2", other.ip), join={"proxyType": kind_of})
    assert (refused.status_code, refused.json()["code"]) == (403, "OUT127")


async def test_a_dataplane_role_is_no_ingress_and_an_ingress_role_no_egress(
    scene: DataplaneScene, aws: AwsServer
) -> None:
    task = tagged(aws, {"kuma.io/type": "ingress"})
    told = await scene.join(task, zone_document("ZoneEgress", "edge", task.ip), join={"proxyType": "egress"})
    assert "it is for ingress" in told.json()["reason"]
    told = await scene.join(task, document(address=task.ip))
    assert "it is for ingress" in told.json()["reason"]


@pytest.mark.parametrize(
    ("networking", "field"),
    [
        ({"address": "10.99.0.1"}, "networking.address"),
        ({"address": "127.0.0.1"}, "networking.address"),
        ({"advertisedAddress": "10.99.0.1"}, "networking.advertisedAddress"),
        (
            {"inbound": [{"port": 1, "address": "10.99.0.1", "tags": {"kuma.io/service": "kv"}}]},
            "networking.inbound[0].address",
        ),
    ],
)
async def test_60_only_the_addresses_of_the_task_are_its_own(
    scene: DataplaneScene, aws: AwsServer, networking: dict[str, object], field: str
) -> None:
    task = tagged(aws, KV)
    told = await scene.join(task, document(address=task.ip, networking=networking))
    assert (told.status_code, told.json()["code"]) == (403, "OUT115")
    assert told.json()["reason"].startswith(field)


async def test_a_public_address_may_be_advertised_if_ec2_says_it_is_the_tasks(
    scene: DataplaneScene, aws: AwsServer
) -> None:
    task = tagged(aws, KV)
    public = aws.publish(task)
    told = await scene.join(task, document(address=task.ip, networking={"advertisedAddress": public}))
    assert told.status_code == 200, told.text


async def test_53_tags_are_asked_for_anew_at_each_renewal(scene: DataplaneScene, aws: AwsServer) -> None:
    role = aws.role(f"tagged-{next(_names)}", tags=KV)
    task, caller = aws.task(role), Caller()
    assert (await scene.join(task, document(address=task.ip), caller=caller)).status_code == 200
    name = role.rpartition("/")[2]
    aws.client("iam").untag_role(RoleName=name, TagKeys=["kuma.io/type"])
    told = await scene.join(task, document(address=task.ip), caller=caller)
    assert (told.status_code, told.json()["code"]) == (403, "OUT127")


async def test_tags_that_were_mended_count_before_long(scene: DataplaneScene, aws: AwsServer) -> None:
    """What IAM said serves others for two seconds, be it good or bad; a minute would make an operator doubt."""
    role = aws.role(f"tagged-{next(_names)}", tags={"kuma.io/type": "dataplane"})
    task = aws.task(role)
    assert (await scene.join(task, document(address=task.ip))).json()["code"] == "OUT127"
    name, mesh = role.rpartition("/")[2], {"Key": "kuma.io/mesh", "Value": "default"}
    aws.client("iam").tag_role(RoleName=name, Tags=[mesh])
    async with asyncio.timeout(10):
        while (await scene.join(task, document(address=task.ip))).status_code != 200:
            await asyncio.sleep(0.1)


async def test_a_renewal_keeps_the_dataplane_and_follows_its_text(scene: DataplaneScene, aws: AwsServer) -> None:
    task, caller = tagged(aws, KV), Caller()
    await scene.join(task, document(address=task.ip), caller=caller)
    before = await scene.dataplane()
    await scene.connect()
    outbound = [{"port": 9080, "tags": {"kuma.io/service": "demo-app"}}]
    again = await scene.join(task, document(address=task.ip, networking={"outbound": outbound}), caller=caller)
    assert again.status_code == 200, again.text
    after = await scene.dataplane()
    assert before
    assert after
    assert (after.uid, after.body["networking"]["outbound"]) == (before.uid, outbound)
    assert after.status["conditions"], "what is known of it stays"


async def test_62_a_second_process_with_the_tasks_credentials_gets_nothing(
    scene: DataplaneScene, aws: AwsServer
) -> None:
    task = tagged(aws, PROXY)
    assert (await scene.join(task, document(address=task.ip))).status_code == 200
    second = await scene.join(task, document("kv-2", address=task.ip))
    assert (second.status_code, second.json()["code"]) == (409, "OUT119")


async def test_a_task_whose_agent_is_away_may_bring_another_key(scene: DataplaneScene, aws: AwsServer) -> None:
    task, first = tagged(aws, PROXY), Caller()
    assert (await scene.join(task, document(address=task.ip), caller=first)).status_code == 200
    before = await scene.dataplane()
    await scene.connect()
    told = await scene.join(task, document(address=task.ip))
    assert (told.status_code, told.json()["code"]) == (409, "OUT119")
    await scene.connect(connected=False)
    assert (await scene.join(task, document(address=task.ip))).status_code == 200
    after = await scene.dataplane()
    assert before
    assert after
    assert after.uid != before.uid, "the certificates of the one before stand for nothing any more"
    told = await scene.join(task, document("kv-2", address=task.ip), caller=first)
    assert (told.status_code, told.json()["code"]) == (409, "OUT119"), "nor does its key"


async def test_who_has_the_key_may_show_another_kind_of_proof(scene: DataplaneScene, aws: AwsServer) -> None:
    task, caller = tagged(aws, PROXY), Caller()
    proofs = (task, await scene.token(), await scene.token(), task)
    uids = set()
    for proof in proofs:
        told = await scene.join(proof, document(address=task.ip), caller=caller)
        assert told.status_code == 200, told.text
        await scene.connect()
        uids.add(told.json()["uid"])
        other = await scene.join(proof, document(address=task.ip))
        assert (other.status_code, other.json()["code"]) in ((409, "OUT119"), (409, "OUT128"))
    assert len(uids) == 1


async def test_two_dataplanes_of_one_name(scene: DataplaneScene, aws: AwsServer) -> None:
    first, second = tagged(aws, KV), tagged(aws, KV)
    assert (await scene.join(first, document(address=first.ip))).status_code == 200
    await scene.connect()
    told = await scene.join(second, document(address=second.ip))
    assert (told.status_code, told.json()["code"]) == (409, "OUT128")
    before = await scene.dataplane()
    await scene.connect(connected=False)
    assert (await scene.join(second, document(address=second.ip))).status_code == 200
    after = await scene.dataplane()
    assert before
    assert after
    assert after.uid != before.uid, "the certificates of the one before stand for nothing any more"


async def test_a_refusal_that_somebody_has_to_mend_is_told_where_kubectl_shows_the_mesh(
    scene: DataplaneScene, aws: AwsServer
) -> None:
    task = tagged(aws, {**PROXY, "kuma.io/mesh": "other"})
    await scene.join(task, document(address=task.ip))
    (event,) = await scene.plane.all("Event")
    assert event.key.namespace == "kuma-default"
    assert "OUT127" in event.body["message"]


@pytest.mark.parametrize("named", ["task", "role", "account"])
async def test_a_banned_task_gets_neither_in_nor_a_renewal(scene: DataplaneScene, aws: AwsServer, named: str) -> None:
    role = aws.role(f"tagged-{next(_names)}", tags=KV)
    task, caller = aws.task(role), Caller()
    assert (await scene.join(task, document(address=task.ip), caller=caller)).status_code == 200
    name = {"task": task.arn, "role": f"{ACCOUNT}/{role.rpartition('/')[2]}", "account": ACCOUNT}[named]
    namespace = Resource(Key("", "Namespace", "", "", "kuma-default"), annotations={BANNED: name})
    async with scene.plane.store.transaction() as tx:
        await tx.create(namespace)
    told = await scene.join(task, document(address=task.ip), caller=caller)
    assert (told.status_code, told.json()["code"]) == (403, "OUT125")


async def test_each_outcome_is_on_record_without_a_credential(scene: DataplaneScene, aws: AwsServer) -> None:
    task = tagged(aws, KV)
    with capture_logs() as logs:
        await scene.join(task, document(address=task.ip))
        await scene.join(task, document("kv-2", address=task.ip, networking=service("payments")))
    first, second = [log for log in logs if log["event"] == "join"]
    assert (first["outcome"], first["identity"], first["task"]) == ("admitted", "spiffe://default/kv", task.arn)
    assert (second["outcome"], second["code"]) == ("refused", "OUT127")
    assert second["claimed_group"] == "dataplane default/kv-2"
    assert task.credentials.token not in str(logs)
