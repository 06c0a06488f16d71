"""WorkloadEntries of tasks that have joined: what they say is the control plane's, whoever asks."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from outrig.dialects.istio.workload_entry import NETWORKING, REGISTRATION
from outrig.resources import Key, Owner, Resource
from tests.unit.test_kube_api import MERGE, Api, running

PATH = f"/apis/{NETWORKING}/v1/namespaces/default/workloadentries/ratings-1"
READY = {"type": "Ready", "status": "True"}


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with running() as client:
        registration = Key(*REGISTRATION, "", "default", "ratings-1")
        entry = Key(NETWORKING, "WorkloadEntry", "", "default", "ratings-1")
        async with client.store.transaction() as tx:
            made = await tx.create(Resource(registration, body={"spec": {}}))
            owner = Owner(made.key, made.uid, "runtime.onboarding.tetrate.io/v1alpha1")
            body = {"spec": {"address": "10.0.0.7", "serviceAccount": "ratings"}}
            await tx.create(Resource(entry, body=body, owners=(owner,), status={"conditions": [READY]}))
        yield client


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("", {"spec": {"address": "1.2.3.4"}}),
        ("", {"spec": {"serviceAccount": "evil"}}),
        ("", {"metadata": {"ownerReferences": None}}),
        ("/status", {"status": {"conditions": [{"type": "Ready", "status": "False"}]}}),
        ("/status", {"status": None}),
    ],
    ids=["address", "identity", "owner", "condition", "no status"],
)
@pytest.mark.parametrize("query", ["", "?dryRun=All"])
async def test_nobody_else_says_where_and_who_a_task_is_or_how_it_fares(
    api: Api, part: str, change: dict[str, Any], query: str
) -> None:
    told = await api.refused("PATCH", f"{PATH}{part}{query}", 403, json=change, headers=MERGE)
    assert "its spec, status and owners are Outrig's alone" in told["message"]


async def test_an_apply_says_no_more_than_a_patch(api: Api) -> None:
    said = {"apiVersion": f"{NETWORKING}/v1", "kind": "WorkloadEntry", "metadata": {"name": "ratings-1"}}
    path, media = f"{PATH}?fieldManager=me&force=true", {"content-type": "application/apply-patch+yaml"}
    await api.refused("PATCH", path, 403, json={**said, "spec": {"address": "1.2.3.4"}}, headers=media)
    assert (await api.patch(path, json={**said, "spec": {"address": "10.0.0.7"}}, headers=media)).is_success


async def test_its_labels_can_be_changed_and_it_can_be_deleted(api: Api) -> None:
    labelled = await api.patch(PATH, json={"metadata": {"labels": {"drained": "yes"}}}, headers=MERGE)
    assert labelled.json()["metadata"]["labels"] == {"drained": "yes"}
    assert labelled.json()["status"]["conditions"] == [READY]
    assert (await api.put(PATH, json=labelled.json())).is_success
    assert (await api.delete(PATH)).is_success
