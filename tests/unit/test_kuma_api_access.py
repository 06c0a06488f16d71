"""Kuma's API: who may read, who may write, and which tokens are issued to whom."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from outrig.api.access.grants import Grants
from outrig.api.access.rules import Attributes
from outrig.api.callers import Authenticator
from outrig.dialects.kuma import KINDS
from outrig.resources import Key, Resource
from outrig.store.protocol import Unavailable
from outrig.tokens.claims import UserClaims
from outrig.tokens.keys import USER, ZONE, dataplane_ring
from outrig.tokens.tokens import ensure_signing_key
from tests.unit.kuma_making import NOW, Kuma, claims_of, dataplane, serving

READER = {"authorization": "Bearer reader-token"}
WRONG = {"authorization": "Bearer nobody"}
SECRET = {"type": "Secret", "mesh": "default", "name": "ca", "data": "c2VjcmV0"}
PATHS = ["/meshes", "/meshes/default/dataplanes/_overview", "/dataplanes", "/zones", "/mesh-insights", "/config"]
SECRETS = ["/meshes/default/secrets", "/meshes/default/secrets/ca", "/secrets", "/global-secrets", "/global-secrets/x"]


@pytest.fixture
async def api() -> AsyncIterator[Kuma]:
    async with serving() as client:
        await client.written("/meshes/default/secrets/ca", SECRET)
        yield client


def as_nobody(api: Kuma) -> None:
    del api.headers["authorization"]


@pytest.mark.parametrize("path", [*PATHS, *SECRETS])
async def test_without_a_credential_nothing_of_the_mesh_is_read(api: Kuma, path: str) -> None:
    as_nobody(api)
    problem = await api.refused("GET", path, 403)
    assert problem["title"] == "Access Denied"
    assert 'user "mesh-system:anonymous/mesh-system:unauthenticated" cannot access' in problem["detail"]


@pytest.mark.parametrize("path", ["/", "/who-am-i", "/policies", "/_resources"])
async def test_what_the_server_is_anybody_may_read(api: Kuma, path: str) -> None:
    as_nobody(api)
    await api.read(path)


@pytest.mark.parametrize("path", PATHS)
async def test_a_user_reads(api: Kuma, path: str) -> None:
    assert (await api.get(path, headers=READER)).status_code == 200


@pytest.mark.parametrize("path", SECRETS)
async def test_secrets_are_for_administrators(api: Kuma, path: str) -> None:
    problem = await api.refused("GET", path, 403, headers=READER)
    assert "alice" in problem["detail"]
    assert "c2VjcmV0" not in json.dumps(problem)


@pytest.mark.parametrize("headers", [READER, {"authorization": ""}, WRONG])
async def test_only_administrators_write(api: Kuma, headers: dict[str, str]) -> None:
    if not headers["authorization"]:
        as_nobody(api)
    code = 401 if headers is WRONG else 403
    sent: dict[str, Any] = {"headers": headers} if headers["authorization"] else {}
    await api.refused("PUT", "/meshes/default/dataplanes/kv-1", code, json=dataplane(), **sent)
    await api.refused("DELETE", "/meshes/default", code, **sent)
    await api.refused("PUT", "/meshes/default/meshtimeouts/t", code, json={}, **sent)
    for what in ("dataplane", "zone", "user"):
        await api.refused("POST", f"/tokens/{what}", code, json={"validFor": "1h"}, **sent)


async def test_a_wrong_token_is_not_nobody(api: Kuma) -> None:
    answer = await api.get("/who-am-i", headers=WRONG)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert answer.json()["title"] == "Invalid authentication data"


async def test_callers_learn_who_they_are(api: Kuma) -> None:
    everyone = "mesh-system:authenticated"
    admin = {"name": "mesh-system:admin", "groups": ["mesh-system:admin", everyone]}
    assert await api.read("/who-am-i") == admin
    assert (await api.get("/who-am-i", headers=READER)).json() == {"name": "alice", "groups": ["developers", everyone]}
    as_nobody(api)
    nobody = {"name": "mesh-system:anonymous", "groups": ["mesh-system:unauthenticated"]}
    assert await api.read("/who-am-i") == nobody


async def test_a_store_that_is_away_is_no_wrong_token(api: Kuma, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: Any) -> Resource:
        raise Unavailable("database", "is not there")

    monkeypatch.setattr(api.store, "get", away)
    claims = {"authorization": f"Bearer {await user_token(api)}"}
    assert (await api.get("/who-am-i", headers=claims)).status_code == 503


async def user_token(api: Kuma) -> str:
    async with api.store.transaction() as tx:
        await ensure_signing_key(tx, USER)
    answer = await api.post(
        "/tokens/user", json={"name": "bob", "groups": ["mesh-system:admin"], "validFor": "24h0m0s"}
    )
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/plain; charset=utf-8"), answer.text
    return answer.text


async def test_a_user_token_that_was_issued_lets_its_user_in(api: Kuma) -> None:
    bearer = {"authorization": f"Bearer {await user_token(api)}"}
    answer = await api.put("/meshes/default/dataplanes/kv-1", json=dataplane(), headers=bearer)
    assert answer.status_code == 201, answer.text


async def test_tokens_of_proxies_say_what_was_asked(api: Kuma) -> None:
    async with api.store.transaction() as tx:
        await ensure_signing_key(tx, ZONE)
        await ensure_signing_key(tx, dataplane_ring("default"))
    asked = {"mesh": "default", "name": "kv-1", "tags": {"kuma.io/service": ["kv"]}, "validFor": "30d"}
    said = claims_of((await api.post("/tokens/dataplane", json=asked)).text)
    assert (said["Mesh"], said["Name"], said["Tags"]) == ("default", "kv-1", {"kuma.io/service": ["kv"]})
    assert said["exp"] - said["iat"] == pytest.approx(timedelta(days=30).total_seconds(), abs=60)
    said = claims_of(
        (await api.post("/tokens/zone", json={"zone": "east", "scope": ["ingress"], "validFor": "1h"})).text
    )
    assert (said["Zone"], said["Scope"]) == ("east", ["ingress"])


@pytest.mark.parametrize(
    ("what", "asked", "field"),
    [
        ("dataplane", {"mesh": "default"}, "validFor"),
        ("dataplane", {"mesh": "default", "validFor": "soon"}, "validFor"),
        ("dataplane", {"mesh": "default", "validFor": "0s"}, "validFor"),
        ("dataplane", {"mesh": "default", "validFor": "1000y"}, "validFor"),
        ("dataplane", {"mesh": "default", "validFor": "1h", "service": "kv"}, "service"),
        ("dataplane", {"mesh": "default", "validFor": "1h", "tags": "kv"}, "tags"),
        ("dataplane", {"mesh": "a/b", "validFor": "1h"}, "mesh"),
        ("dataplane", {"validFor": "1h"}, "mesh"),
        ("dataplane", {"mesh": "default", "type": "ingress", "validFor": "1h"}, "type"),
        ("zone", {"zone": "east", "scope": ["cp"], "validFor": "1h"}, "scope"),
        ("zone", {"zone": "east", "scope": [], "validFor": "1h"}, "scope"),
        ("user", {"groups": ["x"], "validFor": "1h"}, "name"),
    ],
)
async def test_tokens_that_mean_nothing_are_not_issued(api: Kuma, what: str, asked: dict[str, Any], field: str) -> None:
    problem = await api.refused("POST", f"/tokens/{what}", 400, json=asked)
    assert problem["title"] == "Could not issue a token"
    assert [one["field"] for one in problem["causes"]] == [field]


@pytest.mark.parametrize(
    ("what", "asked", "problem"),
    [
        ("zone", {"zone": "east", "scope": [], "validFor": "1h"}, "cannot be empty"),
        ("zone", {"zone": "east", "validFor": "1000000h"}, "must be a duration of more than nothing, and of a century"),
        ("dataplane", {"validFor": "1h"}, "cannot be empty"),
    ],
)
async def test_why_a_token_is_not_issued_is_said(api: Kuma, what: str, asked: dict[str, Any], problem: str) -> None:
    (wrong,) = (await api.refused("POST", f"/tokens/{what}", 400, json=asked))["causes"]
    assert wrong["message"].startswith(problem)


async def test_a_mesh_that_is_not_there_has_no_tokens(api: Kuma) -> None:
    problem = await api.refused("POST", "/tokens/dataplane", 400, json={"mesh": "defualt", "validFor": "1h"})
    (wrong,) = problem["causes"]
    assert wrong["field"] == "mesh"
    assert wrong["message"] == "mesh \"defualt\" does not exist (did you mean 'default'?) [OUT153]"


async def test_a_mesh_without_a_signing_key_has_no_tokens(api: Kuma) -> None:
    async with api.store.transaction() as tx:
        await tx.create(Resource(Key("kuma.io", "Mesh", "none", "", "none")))
    problem = await api.refused("POST", "/tokens/dataplane", 400, json={"mesh": "none", "validFor": "1h"})
    assert "signing-key" in problem["detail"]
    await api.refused("POST", "/tokens/other", 404, json={})
    await api.refused("GET", "/tokens/user", 405)


async def test_discovery_lists_what_is_served_and_what_is_not_yet(api: Kuma) -> None:
    known = {one["name"]: one for one in (await api.read("/_resources"))["resources"]}
    assert set(known) >= {kind.name for kind in KINDS}
    assert known["Dataplane"] == {
        "name": "Dataplane",
        "path": "dataplanes",
        "scope": "Mesh",
        "readOnly": False,
        "includeInFederation": False,
        "singularDisplayName": "Dataplane",
        "pluralDisplayName": "Dataplanes",
        "shortName": "dp",
    }
    assert known["Mesh"]["pluralDisplayName"] == "Meshes"
    assert (known["MeshHTTPRoute"]["singularDisplayName"], known["MeshHTTPRoute"]["readOnly"]) == (
        "Mesh HTTP Route",
        True,
    )
    assert "not supported yet" in known["MeshService"]["notSupported"]
    policies = {one["name"]: one for one in (await api.read("/policies"))["policies"]}
    assert policies["MeshTrafficPermission"]["isInbound"]
    assert policies["MeshRetry"]["pluralDisplayName"] == "Mesh Retries"
    assert "Dataplane" not in policies


async def test_the_index_says_which_server_this_is(api: Kuma) -> None:
    found = await api.read("/")
    assert (found["product"], found["instanceId"], found["clusterId"]) == ("Outrig", "host-1", "cluster-1")
    await api.refused("PUT", "/", 405)
    assert (await api.read("/config")) == {"mode": "zone"}


async def test_users_without_a_group_of_administrators_are_viewers() -> None:
    async def alice(_: str) -> UserClaims:
        return UserClaims("alice", ("mesh-system:admins",))

    caller = await Authenticator(now=lambda: NOW, verify_user=alice)(
        {"type": "http", "scheme": "https", "headers": [(b"authorization", b"Bearer x")]}
    )
    decision = Grants().decide(caller, Attributes("update", "kuma.io", "meshes", name="default"))
    assert not decision.allowed, "a group that is only like the administrators' makes nobody one"
