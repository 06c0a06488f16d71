"""What the audit log tells of writes that were refused, or that changed nothing."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from outrig.api.access.traffic import Limits
from outrig.resources import Resource
from outrig.tokens.claims import UserClaims
from outrig.tokens.keys import USER, secret_body
from outrig.tokens.tokens import Tokens, ensure_signing_key
from tests.unit.access_making import BINDINGS, ROLES, SERVICES, Scene, binding, role, rule, scene, service
from tests.unit.kuma_making import dataplane

MERGE = {"content-type": "application/merge-patch+json"}
APPLY = {"content-type": "application/apply-patch+yaml"}


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ({**service("cart"), "spec": {"ports": []}}, 422),
        (service("till"), 409),
        ({**service("cart"), "spec": 1}, 422),
        ({"metadata": {"name": "cart"}}, 422),
    ],
)
async def test_a_create_that_is_refused_is_told_with_its_name(api: Scene, document: dict[str, Any], code: int) -> None:
    await api.of().makes(SERVICES, service("till"))
    with capture_logs() as lines:
        await api.of().told("POST", SERVICES, code, json=document)
    assert (lines[0]["name"], lines[0]["code"]) == (document["metadata"]["name"], code)
    assert "revision" not in lines[0]


async def test_a_role_that_may_not_be_given_is_told_with_its_name(api: Scene) -> None:
    await api.of().makes(ROLES, role(rule(["create"], ["roles"], ["rbac.authorization.k8s.io"])))
    await api.of().makes(BINDINGS, binding("alice"))
    with capture_logs() as lines:
        await api.of("alice").told("POST", ROLES, 403, json=role(rule(["*"]), name="all"))
    assert (lines[0]["name"], lines[0]["verb"], lines[0]["code"]) == ("all", "create", 403)


@pytest.mark.parametrize("metadata", [None, [], "x", {}, {"name": 1}, {"name": None}])
async def test_a_document_without_a_name_is_told_without_one(api: Scene, metadata: Any) -> None:
    with capture_logs() as lines:
        answer = await api.of().post(SERVICES, json={**service(), "metadata": metadata})
    assert answer.status_code in (400, 422)
    assert "name" not in lines[0]


async def test_what_is_turned_away_for_being_too_much_is_told_with_verb_and_resource() -> None:
    async with scene(Limits(reads=1, writes=0)) as api:
        with capture_logs() as lines:
            await api.of().told("DELETE", f"{SERVICES}/cart", 429)
            await api.of().told("PUT", "/meshes/default/dataplanes/kv-1", 429, json={})
    told = [(one["user"], one["verb"], one["resource"], one["name"], one["reason"]) for one in lines]
    assert told == [
        ("admin", "delete", "services", "cart", "TooManyRequests"),
        ("admin", "update", "dataplanes", "kv-1", "TooManyRequests"),
    ]


async def test_a_write_that_changes_nothing_has_no_revision(api: Scene) -> None:
    admin, cart, kv = api.of(), f"{SERVICES}/cart", "/meshes/default/dataplanes/kv-1"
    made = await admin.makes(SERVICES, {**service(), "metadata": {"name": "cart", "finalizers": ["acme.com/x"]}})
    await admin.told("PUT", kv, 201, json=dataplane())
    with capture_logs() as same:
        await admin.told("PUT", cart, 200, json=made)
        await admin.told("PATCH", cart, 200, json={}, headers=MERGE)
        await admin.told("PUT", kv, 200, json=dataplane())
    with capture_logs() as changed:
        await admin.told("PATCH", cart, 200, json={"metadata": {"labels": {"a": "b"}}}, headers=MERGE)
        await admin.told("DELETE", cart, 200)
    with capture_logs() as again:
        await admin.told("DELETE", cart, 200)
    assert ["revision" in line for line in (*same, *changed, *again)] == [False, False, False, True, True, False]
    assert {line["code"] for line in (*same, *changed, *again)} == {200}


async def test_a_configuration_that_is_applied_twice_changes_nothing_the_second_time(api: Scene) -> None:
    path, sent = f"{SERVICES}/cart?fieldManager=me", json.dumps(service())
    with capture_logs() as lines:
        for code in (201, 200):
            await api.of().told("PATCH", path, code, content=sent, headers=APPLY)
    assert ["revision" in line for line in lines] == [True, False]


async def token_for(api: Scene, name: str, lifetime: timedelta) -> tuple[str, str]:
    """A user token that was made an hour ago, and its jti."""
    tokens = Tokens()
    async with api.store.transaction() as tx:
        await ensure_signing_key(tx, USER)
        then = datetime.now(UTC) - timedelta(hours=1)
        token = await tokens.issue_user(tx, UserClaims(name, ("dev",)), now=then, lifetime=lifetime)
    return token, (await tokens._verify(api.store, USER, token, then)).jti


async def test_a_user_token_that_has_ended_or_is_revoked_is_told_with_its_name_and_jti(api: Scene) -> None:
    ended, first = await token_for(api, "carol", timedelta(minutes=1))
    revoked, second = await token_for(api, "carol", timedelta(days=1))
    async with api.store.transaction() as tx:
        await tx.create(Resource(USER.revocations[0], body=secret_body(second)))
    with capture_logs() as lines:
        for token in (ended, revoked):
            await api.of("", authorization=f"Bearer {token}").told("DELETE", f"{SERVICES}/cart", 401)
    told = [(one["user"], one["by"], one["token"], one["code"]) for one in lines]
    assert told == [("carol", "user token", first, 401), ("carol", "user token", second, 401)]
    assert ended.rpartition(".")[2] not in str(lines), "without its signature it is no token"


async def test_what_nobody_signed_is_told_of_nobody(api: Scene) -> None:
    token, _ = await token_for(api, "carol", timedelta(minutes=1))
    head, claims, signature = token.split(".")
    forged = f"{head}.{claims}.{signature[:-8]}AAAAAAAA"
    with capture_logs() as lines:
        await api.of("", authorization=f"Bearer {forged}").told("DELETE", f"{SERVICES}/cart", 401)
    assert (lines[0]["user"], "token" in lines[0], "by" in lines[0]) == ("", False, False)


async def test_each_request_has_one_line_also_where_many_come_at_once(api: Scene) -> None:
    with capture_logs() as lines:
        await asyncio.gather(*(api.of().post(SERVICES, json=service(f"s{n}")) for n in range(5)))
    assert sorted(line["name"] for line in lines) == [f"s{n}" for n in range(5)]
