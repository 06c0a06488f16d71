"""What every request passes: reviews answer as decisions are made, bounds hold, and every write leaves a line."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from structlog.testing import capture_logs

from outrig.api.access.gate import Gate
from outrig.api.access.traffic import Limits
from outrig.api.callers import ANONYMOUS, Caller
from outrig.api.edge import Answering
from outrig.api.kube.answers import refuse
from outrig.server.files import BadDataDir, DataDir
from outrig.server.logs import configure_logs
from outrig.server.trail import open_trail
from outrig.tokens.keys import USER
from outrig.tokens.tokens import ensure_signing_key
from tests.unit.access_making import (
    BINDINGS,
    CERTIFICATES,
    CLUSTER_BINDINGS,
    CLUSTER_ROLES,
    ROLES,
    SERVICES,
    Scene,
    binding,
    lines,
    role,
    rule,
    scene,
    service,
)
from tests.unit.kuma_making import dataplane

AUTHORIZATION = "/apis/authorization.k8s.io/v1"


@pytest.fixture
async def api() -> AsyncIterator[Scene]:
    async with scene() as found:
        await found.of().makes(ROLES, role(rule(["list", "create"])))
        await found.of().makes(BINDINGS, binding("alice"))
        yield found


def review(kind: str, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec}


async def test_a_review_says_why_it_is_allowed(api: Scene) -> None:
    asked = review(
        "SelfSubjectAccessReview", resourceAttributes={"verb": "list", "resource": "services", "namespace": "shop"}
    )
    told = await api.of("alice").makes(f"{AUTHORIZATION}/selfsubjectaccessreviews", asked)
    reason = 'RBAC: allowed by RoleBinding "b/shop" of Role "r" to User "alice"'
    assert told["status"] == {"allowed": True, "reason": reason}
    assert told["spec"] == asked["spec"]
    told = await api.of("alice").makes(f"{AUTHORIZATION}/selfsubjectaccessreviews", {"spec": asked["spec"]})
    assert told["kind"] == "SelfSubjectAccessReview", "some clients leave it to the URL"
    path = review("SelfSubjectAccessReview", nonResourceAttributes={"verb": "get", "path": "/config"})
    told = await api.of("alice").makes(f"{AUTHORIZATION}/selfsubjectaccessreviews", path)
    assert told["status"] == {"allowed": False}


@pytest.mark.parametrize("spec", [{}, {"resourceAttributes": {"verb": "get"}, "nonResourceAttributes": {"path": "/"}}])
async def test_a_review_asks_one_thing(api: Scene, spec: dict[str, Any]) -> None:
    path = f"{AUTHORIZATION}/selfsubjectaccessreviews"
    await api.of("alice").told("POST", path, 400, json=review("SelfSubjectAccessReview", **spec))
    await api.of("alice").told("POST", path, 400, json=review("SubjectAccessReview", **spec))
    await api.of("alice").told("GET", path, 403)
    await api.of("").told("POST", path, 403, json=review("SelfSubjectAccessReview", **spec))


async def test_rules_are_listed_for_a_namespace(api: Scene) -> None:
    path = f"{AUTHORIZATION}/selfsubjectrulesreviews"
    for namespace, found in (("shop", True), ("default", False)):
        told = await api.of("alice").makes(path, review("SelfSubjectRulesReview", namespace=namespace))
        wanted = {"verbs": ["list", "create"], "apiGroups": [""], "resources": ["services"]}
        assert (wanted in told["status"]["resourceRules"]) is found
        assert not told["status"]["incomplete"]
    told = await api.of("alice").told("POST", path, 400, json=review("SelfSubjectRulesReview"))
    assert told["message"] == "no namespace on request"


async def test_administrators_ask_about_others(api: Scene) -> None:
    attributes = {"verb": "create", "resource": "services", "namespace": "shop"}
    asked = {"user": "alice", "groups": [], "resourceAttributes": attributes}
    path = f"{AUTHORIZATION}/subjectaccessreviews"
    assert (await api.of().makes(path, review("SubjectAccessReview", **asked)))["status"]["allowed"]
    await api.of("alice").told("POST", path, 403, json=review("SubjectAccessReview", **asked))
    await api.of().told("POST", path, 422, json=review("SubjectAccessReview", resourceAttributes=attributes))
    local = f"{AUTHORIZATION}/namespaces/shop/localsubjectaccessreviews"
    assert (await api.of().makes(local, review("LocalSubjectAccessReview", **asked)))["status"]["allowed"]
    elsewhere = local.replace("shop", "default")
    await api.of().told("POST", elsewhere, 422, json=review("LocalSubjectAccessReview", **asked))


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
async def test_callers_learn_who_they_are(api: Scene, version: str) -> None:
    asked = {"apiVersion": f"authentication.k8s.io/{version}", "kind": "SelfSubjectReview"}
    path = f"/apis/authentication.k8s.io/{version}/selfsubjectreviews"
    told = await api.of("alice").makes(path, asked)
    assert told["status"]["userInfo"] == {"username": "alice", "groups": ["dev", "system:authenticated"]}
    await api.of("").told("POST", path, 403, json=asked)


async def test_a_decision_reads_nothing_from_the_store(api: Scene) -> None:
    alice, before = api.of("alice"), api.store.reads
    for _ in range(5):
        await alice.told("GET", f"{SERVICES}/cart", 403)
        await alice.may("list", "services", namespace="shop")
    assert api.store.reads == before


async def test_the_built_in_roles_are_shown_beside_others(api: Scene) -> None:
    await api.of().makes(CLUSTER_ROLES, role(rule(["get"]), kind="ClusterRole", name="mine"))
    listed = await api.of().told("GET", CLUSTER_ROLES, 200)
    names = {one["metadata"]["name"] for one in listed["items"]}
    gathered = {f"system:aggregate-to-{name}" for name in ("admin", "edit", "view")}
    own = {"admin", "cluster-admin", "edit", "mine", "system:basic-user", "system:discovery", "view"}
    assert names == own | gathered
    shown = await api.of().told("GET", f"{CLUSTER_ROLES}/cluster-admin", 200)
    assert shown["rules"][0] == {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
    assert shown["metadata"]["resourceVersion"]
    began = (await api.of().told("GET", "/api/v1/namespaces/default", 200))["metadata"]["creationTimestamp"]
    bound = await api.of().told("GET", CLUSTER_BINDINGS, 200)
    ages = {one["metadata"]["creationTimestamp"] for one in (*bound["items"], shown)}
    assert ages == {began}, "they are as old as the installation"


@pytest.mark.parametrize(
    ("document", "field"),
    [
        (role({"apiGroups": [""], "resources": ["services"]}), "rules[0].verbs"),
        (role({"verbs": ["get"], "resources": ["services"]}), "rules[0].apiGroups"),
        (role({"verbs": ["get"], "apiGroups": [""]}), "rules[0].resources"),
        (role({"verbs": ["get"], "nonResourceURLs": ["/x"]}), "rules[0].nonResourceURLs"),
        (role({"verbs": [f"v{n}" for n in range(101)], "apiGroups": ["*"], "resources": [f"r{n}" for n in range(100)]}),
         "rules"),
        ({**role(kind="ClusterRole"), "aggregationRule": {"clusterRoleSelectors": []}},
         "aggregationRule.clusterRoleSelectors"),
        (binding("alice", to="r", role_kind="Group"), "roleRef.kind"),
        ({**binding(), "subjects": [{"kind": "Robot", "name": "x"}]}, "subjects[0].kind"),
        ({**binding(), "subjects": [{"kind": "User", "apiGroup": "x", "name": "x"}]}, "subjects[0].apiGroup"),
        ({**binding(kind="ClusterRoleBinding", role_kind="ClusterRole"), "subjects": [{"kind": "ServiceAccount",
          "name": "x"}]}, "subjects[0].namespace"),
        ({**binding(kind="ClusterRoleBinding"), "roleRef": {"kind": "Role", "name": "r"}}, "roleRef.kind"),
    ],
)  # fmt: skip
async def test_what_means_nothing_is_refused_with_its_field(api: Scene, document: dict[str, Any], field: str) -> None:
    plural = document["kind"].lower() + "s"
    path = f"{CLUSTER_ROLES.rpartition('/')[0]}/{plural}" if "Cluster" in plural else ROLES.replace("roles", plural)
    path = CLUSTER_ROLES.replace("clusterroles", plural) if plural.startswith("cluster") else path
    told = await api.of().told("POST", path, 422, json={**document, "metadata": {"name": "wrong"}})
    assert field in [cause["field"] for cause in told["details"]["causes"]]


async def test_a_service_account_is_accepted_with_a_warning(api: Scene) -> None:
    accounts = [{"kind": "ServiceAccount", "name": "ci", "namespace": "shop"}]
    sent = {**binding(name="ci"), "subjects": accounts}
    answer = await api.of().post(BINDINGS, json=sent)
    assert answer.status_code == 201
    assert "no credential of a service account lets anybody in" in answer.headers["warning"]
    as_account = api.of("admin", **{"impersonate-user": "system:serviceaccount:shop:ci"})
    await as_account.told("GET", SERVICES, 200)


async def test_roles_decide_on_kumas_api_too(api: Scene) -> None:
    admin, alice, path = api.of(), api.of("alice"), "/meshes/default/dataplanes/kv-1"
    await alice.told("GET", "/meshes", 403)
    await alice.told("PUT", path, 403, json=dataplane())
    kuma = rule(["update", "get", "list"], ["dataplanes"], ["kuma.io"])
    issuing = {"verbs": ["post"], "nonResourceURLs": ["/tokens/dataplane"]}
    await admin.makes(CLUSTER_ROLES, role(kuma, issuing, kind="ClusterRole"))
    everywhere = binding("alice", kind="ClusterRoleBinding", role_kind="ClusterRole")
    await admin.makes(CLUSTER_BINDINGS, everywhere)
    with capture_logs() as told:
        await alice.told("PUT", path, 201, json=dataplane())
        refused = await alice.told("DELETE", path, 403)
    await alice.told("GET", "/meshes/default/dataplanes", 200)
    await alice.told("GET", "/meshes/default/secrets", 403)
    await alice.told("POST", "/tokens/dataplane", 400, json={})
    await alice.told("POST", "/tokens/user", 403, json={})
    more = role(kuma, {**issuing, "nonResourceURLs": ["/tokens/*"]}, kind="ClusterRole")
    await admin.told("PUT", f"{CLUSTER_ROLES}/r", 200, json=more)
    for asked in ({"name": "root", "groups": ["mesh-system:admin"]}, {"name": "alice"}, {}, {"groups": "x"}):
        forbidden = await alice.told("POST", "/tokens/user", 403, json={**asked, "validFor": "1h"})
        assert "cannot impersonate" in forbidden["detail"]
    assert "no role of theirs allows delete of dataplanes.kuma.io" in refused["detail"]
    made, kept = told
    assert (made["verb"], made["resource"], made["mesh"], made["name"]) == ("update", "dataplanes", "default", "kv-1")
    assert (made["code"], made["revision"] > 0, kept["code"], kept["verb"]) == (201, True, 403, "delete")


async def test_a_token_that_is_issued_is_told_by_what_it_says(api: Scene) -> None:
    async with api.store.transaction() as tx:
        await ensure_signing_key(tx, USER)
    with capture_logs() as told:
        asked = {"name": "bob", "groups": ["dev"], "validFor": "1h"}
        token = (await api.of().post("/tokens/user", json=asked)).text
    issued = told[0]["issued"]
    assert (issued["Name"], issued["Groups"], len(issued["jti"])) == ("bob", ["dev"], 32)
    assert (told[0]["code"], told[0]["user"]) == (200, "admin")
    assert token.rpartition(".")[2] not in str(told), "without its signature it is no token"


class Stalled:
    """A body that does not come before it is told to."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.begun, self.told = asyncio.Event(), asyncio.Event()
        self._text = json.dumps(document).encode()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self.begun.set()
        yield self._text[:1]
        await self.told.wait()
        yield self._text[1:]


async def test_one_caller_may_have_so_much_going_at_once() -> None:
    async with scene(Limits(reads=1, writes=2)) as api:
        admin, headers = api.of(), {"content-type": "application/json"}
        bodies = [Stalled(service(name)) for name in ("a", "b")]
        sending = [asyncio.ensure_future(admin.post(SERVICES, content=body, headers=headers)) for body in bodies]
        for body in bodies:
            await body.begun.wait()
        refused = await admin.post(SERVICES, json=service("c"))
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        told = refused.json()
        assert (told["reason"], told["details"]["retryAfterSeconds"]) == ("TooManyRequests", 1)
        assert told["message"] == "Too many requests, please try again later."
        assert (await admin.get(SERVICES)).status_code == 200, "reads are counted apart"
        assert (await api.of("eve").post(SERVICES, json=service("c"))).status_code == 403, "others are not concerned"
        for body in bodies:
            body.told.set()
        assert [answer.status_code for answer in await asyncio.gather(*sending)] == [201, 201]
        await admin.makes(SERVICES, service("c"))
        assert not api.gate.traffic._going


async def test_what_takes_too_long_is_ended() -> None:
    async def respond(_request: Request, _caller: Caller) -> Response:
        await asyncio.Event().wait()
        raise AssertionError

    async def nobody(_scope: Any) -> Caller:
        return ANONYMOUS

    app = Starlette(routes=[Route("/", Answering(respond, refuse, Gate(nobody), seconds=0.01))])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
        told = (await client.get("/")).json()
    assert (told["code"], told["reason"]) == (504, "Timeout")
    assert told["message"] == "Timeout: request did not complete within the allotted timeout"


async def test_every_write_leaves_a_line_and_no_read_does(api: Scene) -> None:
    alice = api.of("alice", **{"user-agent": "kubectl/v1"})
    with capture_logs() as told:
        await alice.makes(f"{SERVICES}?fieldManager=me", service("kept"))
        await alice.makes(f"{SERVICES}?dryRun=All", service("tried"))
        await alice.told("DELETE", f"{SERVICES}/kept", 403)
        await alice.told("POST", SERVICES, 400, content=b"hunter2", headers={"content-type": "application/json"})
        await api.of("", authorization="Bearer hunter2").told("POST", SERVICES, 401, json={})
        await api.of("", authorization="Bearer admin", **{"impersonate-user": "bob"}).told("DELETE", SERVICES, 403)
        await alice.told("GET", SERVICES, 200)
        await alice.may("list", "services")
        await alice.told("DELETE", "/nothing", 404)
    assert [one["event"] for one in told] == ["write"] * 7
    kept, tried, refused, wrong, unknown, acting, nowhere = told
    assert (kept["user"], kept["groups"], kept["by"]) == ("alice", ["dev", "system:authenticated"], "token")
    assert (kept["verb"], kept["resource"], kept["namespace"], kept["name"]) == ("create", "services", "shop", "kept")
    assert (kept["code"], kept["manager"], kept["agent"], kept["address"]) == (201, "me", "kubectl/v1", "127.0.0.1")
    assert kept["revision"] > 0
    assert (tried["dry_run"], "revision" in tried, "dry_run" in kept) == (True, False, False)
    assert (refused["verb"], refused["name"], refused["code"], refused["reason"]) == (
        "delete",
        "kept",
        403,
        "Forbidden",
    )
    assert (wrong["code"], unknown["code"], unknown["user"]) == (400, 401, "")
    assert (unknown["verb"], unknown["resource"], unknown["namespace"]) == ("create", "services", "shop")
    assert (acting["user"], acting["impersonated_by"]) == ("bob", "admin")
    assert (nowhere["code"], nowhere["path"]) == (404, "/nothing")
    assert "hunter2" not in str(told)
    assert len({one["id"] for one in told}) == 7


@pytest.mark.parametrize(
    ("method", "path", "what"),
    [
        ("DELETE", f"{SERVICES}/cart", {"resource": "services", "namespace": "shop", "name": "cart", "verb": "delete"}),
        ("PATCH", f"{SERVICES}/cart/status", {"resource": "services/status", "name": "cart", "verb": "patch"}),
        ("POST", CLUSTER_ROLES, {"resource": "clusterroles", "group": "rbac.authorization.k8s.io", "verb": "create"}),
        ("PUT", "/meshes/default/dataplanes/a", {"resource": "dataplanes", "mesh": "default", "name": "a"}),
        ("POST", "/tokens/user", {"verb": "post", "path": "/tokens/user"}),
        ("DELETE", f"{CERTIFICATES}/abc", {"resource": "certificates", "name": "abc", "verb": "delete"}),
    ],
)
async def test_a_write_with_a_wrong_credential_is_told_as_others_are(
    api: Scene, method: str, path: str, what: dict[str, str]
) -> None:
    with capture_logs() as told:
        answer = await api.of("", authorization="Bearer wrong").request(method, path, json={})
    assert answer.status_code == 401
    (line,) = told
    assert (line["user"], line["code"], line["reason"]) == ("", 401, "Unauthorized")
    assert {field: line[field] for field in what} == what


async def test_the_client_is_told_the_id_of_its_line(api: Scene) -> None:
    with capture_logs() as told:
        answer = await api.of().post(SERVICES, json=service())
    assert answer.headers["audit-id"] == told[0]["id"]


async def test_what_was_issued_is_told_and_what_was_asked_for_is_not(api: Scene) -> None:
    with capture_logs() as told:
        await api.of().told("POST", CERTIFICATES, 400, json={"csr": "a request", "user": "bob"})
    assert (told[0]["code"], told[0]["resource"]) == (400, "certificates")
    assert "a request" not in str(told)


def test_audit_lines_are_json_in_a_file_that_can_be_moved_away(tmp_path: Path) -> None:
    data, before = DataDir(tmp_path), structlog.get_config()
    trail = open_trail("", data)
    try:
        configure_logs(trail.write)
        structlog.get_logger("audit").info("write", user="j\u00fcrgen\n", code=201)
        (tmp_path / "audit.log").rename(tmp_path / "audit.1")
        structlog.get_logger("audit").warning("join", outcome="refused")
        trail.reopen()
        structlog.get_logger("audit").info("write", user="b")
    finally:
        structlog.configure(**before)
    old, new = lines((tmp_path / "audit.1").read_text()), lines((tmp_path / "audit.log").read_text())
    assert [(one["event"], one["level"]) for one in old] == [("write", "info"), ("join", "warning")]
    assert list(old[0])[:3] == ["timestamp", "level", "event"]
    assert (old[0]["user"], [one["user"] for one in new]) == ("j\u00fcrgen\n", ["b"])
    assert (tmp_path / "audit.log").stat().st_mode & 0o777 == 0o600


def test_an_audit_log_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadDataDir, match="audit log cannot be opened"):
        open_trail(str(tmp_path / "none" / "log"), DataDir(tmp_path))


def test_lines_that_cannot_be_written_do_not_stop_anybody(tmp_path: Path) -> None:
    trail = open_trail("/dev/full", DataDir(tmp_path))
    with capture_logs() as told:
        trail.write("{}")
    assert told[0]["event"] == "audit line not written"


async def test_a_write_that_is_interrupted_leaves_a_line_too(api: Scene) -> None:
    body, headers = Stalled(service()), {"content-type": "application/json"}
    with capture_logs() as told:
        sending = asyncio.ensure_future(api.of("alice").post(SERVICES, content=body, headers=headers))
        await body.begun.wait()
        sending.cancel()
        await asyncio.wait([sending])
    assert [(one["user"], one["verb"], one["reason"], "code" in one) for one in told] == [
        ("alice", "create", "Interrupted", False)
    ]
