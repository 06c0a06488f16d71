"""`POST /outrig/v1/dry-run`, and `outrig apply` upon it: all of what is given is taken, or nothing is written."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from outrig.api.operator.rehearsal import MOST, PATH
from outrig.store.protocol import Query
from outrig.tokens.keys import USER
from outrig.tokens.tokens import ensure_signing_key
from tests.unit.kuma_making import Kuma, dataplane, mesh, serving

NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "bank", "labels": {"kuma.io/mesh": "shop"}}}
ENTRY = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "WorkloadEntry",
    "metadata": {"name": "vm-1", "namespace": "bank"},
    "spec": {"address": "10.0.0.7"},
}
IN_BANK = "/apis/networking.istio.io/v1/namespaces/bank/workloadentries"
ROLE = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "Role",
    "metadata": {"name": "reader", "namespace": "bank"},
    "rules": [{"apiGroups": [""], "resources": ["services"], "verbs": ["get"]}],
}
IN_ROLES = "/apis/rbac.authorization.k8s.io/v1/namespaces/bank/roles"


@pytest.fixture
async def api() -> AsyncIterator[Kuma]:
    async with serving() as kuma:
        yield kuma


def write(path: str, document: dict[str, Any], collection: str = "") -> dict[str, str]:
    return {"path": path, "collection": collection or path.rpartition("/")[0], "document": json.dumps(document)}


SHOP = write("/meshes/shop", mesh("shop"))
KV = write("/meshes/shop/dataplanes/kv-1", dataplane(mesh="shop"))
BANK = write("/api/v1/namespaces/bank", NAMESPACE)
VM = write(f"{IN_BANK}/vm-1", ENTRY)
READER = write(f"{IN_ROLES}/reader", ROLE)


async def rehearsed(api: Kuma, *writes: dict[str, str], token: str = "admin-token") -> list[dict[str, Any]]:  # noqa: S107
    before = await api.store.list(Query()), await api.store.revision()
    answer = await api.post(PATH, json={"writes": writes}, headers={"authorization": f"Bearer {token}"})
    assert answer.status_code == 200, answer.text
    assert (await api.store.list(Query()), await api.store.revision()) == before
    found: list[dict[str, Any]] = answer.json()["outcomes"]
    return found


async def test_each_write_sees_those_before_it_and_nothing_stays(api: Kuma) -> None:
    outcomes = await rehearsed(api, SHOP, KV, KV, BANK, VM, VM, READER, BANK)
    assert [one["status"] for one in outcomes] == [201, 201, 200, 201, 201, 200, 201, 200]
    early = await rehearsed(api, KV, VM, SHOP)
    assert [one["status"] for one in early] == [400, 404, 201]
    assert early[0]["refusal"]["invalid_parameters"][0]["field"] == "mesh"
    assert "bank" in early[1]["refusal"]["message"]


async def test_what_a_write_is_told_it_is_told_in_rehearsal(api: Kuma) -> None:
    older = {**ENTRY, "apiVersion": "networking.istio.io/v1beta1"}
    *_, outcome = await rehearsed(api, SHOP, BANK, write(f"{IN_BANK}/vm-1".replace("/v1/", "/v1beta1/"), older))
    told = "networking.istio.io/v1beta1 WorkloadEntry is deprecated; use networking.istio.io/v1 WorkloadEntry"
    assert (outcome["status"], outcome["warnings"]) == (201, [told])


async def test_what_is_asked_is_asked_as_the_caller(api: Kuma) -> None:
    outcomes = await rehearsed(api, SHOP, BANK, token="reader-token")
    assert [one["status"] for one in outcomes] == [403, 403]
    nobody = await api.post(PATH, json={"writes": []}, headers={"authorization": ""})
    assert nobody.status_code == 401


@pytest.mark.parametrize(
    "path", ["/tokens/user", PATH, "/", "", "/meshes", "/api/v1/namespaces", "/api/v1/nothing/x", f"{IN_BANK}/none"]
)
async def test_only_resources_are_written(api: Kuma, path: str) -> None:
    async with api.store.transaction() as tx:
        await ensure_signing_key(tx, USER)
    (outcome,) = await rehearsed(
        api, write(path, {**ENTRY, "name": "eve", "validFor": "1h"}, collection="/tokens/user")
    )
    assert outcome["status"] in (400, 404, 405)
    assert "refusal" in outcome


@pytest.mark.parametrize(
    ("sent", "says"),
    [
        ({"writes": [{"path": 1}]}, "writes[0].path"),
        ({"write": []}, "did you mean 'writes'?"),
        ([], "one JSON object"),
        ({"writes": [SHOP] * (MOST + 1)}, f"at most {MOST}"),
    ],
)
async def test_what_is_no_question_is_refused(api: Kuma, sent: Any, says: str) -> None:
    answer = await api.post(PATH, json=sent)
    assert answer.status_code == 400
    assert says in answer.json()["message"]


async def test_a_document_that_is_no_json_is_refused_by_itself(api: Kuma) -> None:
    broken = {**SHOP, "document": "{"}
    assert [one["status"] for one in await rehearsed(api, broken, SHOP)] == [400, 201]
