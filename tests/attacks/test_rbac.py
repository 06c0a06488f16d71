"""Attempts at more than one has: escalating, binding, acting as others, keeping what was taken away."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.unit.access_making import (
    BINDINGS,
    CERTIFICATES,
    CLUSTER_BINDINGS,
    CLUSTER_ROLES,
    ROLES,
    SERVICES,
    Scene,
    binding,
    role,
    rule,
    scene,
    service,
)

pytestmark = pytest.mark.slow

MERGE = {"content-type": "application/merge-patch+json"}
STRATEGIC = {"content-type": "application/strategic-merge-patch+json"}
READS = rule(["get", "list", "watch"])
WRITES = ["create", "delete", "get", "list", "patch", "update"]
GIVES = rule(WRITES, ["roles", "rolebindings"], ["rbac.authorization.k8s.io"])
NOT_HELD = "is attempting to grant RBAC permissions not currently held:\n"


@pytest.fixture
async def api() -> AsyncIterator[Scene]:
    async with scene() as found:
        yield found


@pytest.fixture
async def manager(api: Scene) -> Scene:
    """Alice reads services of `shop`, and writes roles and bindings there, by two roles."""
    admin = api.of()
    await admin.makes(ROLES, role(READS, GIVES, name="manager"))
    await admin.makes(BINDINGS, binding("alice", to="manager", name="managers"))
    return api


async def test_what_is_not_held_cannot_be_given(manager: Scene) -> None:
    alice = manager.of("alice")
    told = await alice.told("POST", ROLES, 403, json=role(rule(["get", "delete"])))
    assert told["message"] == (
        'roles.rbac.authorization.k8s.io "r" is forbidden: user "alice" (groups=["dev" "system:authenticated"]) '
        f'{NOT_HELD}{{APIGroups:[""], Resources:["services"], Verbs:["delete"]}}'
    )
    await alice.makes(ROLES, role(rule(["get"])))
    for change in ([rule(["*"])], [READS, rule(["get"], ["*"])], [rule(["get"], groups=["*"])]):
        told = await alice.told("PATCH", f"{ROLES}/r", 403, json={"rules": change}, headers=MERGE)
        assert NOT_HELD in told["message"]
        await alice.told("PATCH", f"{ROLES}/r?dryRun=All", 403, json={"rules": change}, headers=STRATEGIC)
    changed = await alice.told("GET", f"{ROLES}/r", 200)
    await alice.told("PUT", f"{ROLES}/r", 403, json={**changed, "rules": [rule(["create"])]})
    assert not await alice.may("delete", "services", namespace="shop")


async def test_a_role_of_more_cannot_be_bound_nor_one_that_is_not_there(manager: Scene) -> None:
    alice = manager.of("alice")
    for to in ("edit", "admin", "cluster-admin"):
        told = await alice.told("POST", BINDINGS, 403, json=binding("alice", to=to, role_kind="ClusterRole"))
        assert NOT_HELD in told["message"]
    told = await alice.told("POST", BINDINGS, 404, json=binding("alice", to="later"))
    assert told["message"] == 'roles.rbac.authorization.k8s.io "later" not found'
    await alice.makes(ROLES, role(READS))
    await alice.makes(BINDINGS, binding("bob"))
    assert await manager.of("bob").may("list", "services", namespace="shop")


async def test_the_role_of_a_binding_is_for_good(manager: Scene) -> None:
    admin, elsewhere = manager.of(), {"roleRef": {"kind": "ClusterRole", "name": "cluster-admin"}}
    await manager.of("alice").makes(ROLES, role(READS))
    await manager.of("alice").makes(BINDINGS, binding("bob"))
    for person, code in ((manager.of("alice"), 422), (admin, 422)):
        told = await person.told("PATCH", f"{BINDINGS}/b", code, json=elsewhere, headers=MERGE)
        assert "roleRef: Invalid value: " in told["message"]
        assert "cannot change roleRef" in told["message"]


async def test_a_binding_of_more_than_one_has_is_not_touched_at_all(manager: Scene) -> None:
    admin, alice = manager.of(), manager.of("alice")
    made = await admin.makes(BINDINGS, binding("bob", to="edit", role_kind="ClusterRole"))
    for said in ({"labels": {"a": "b"}}, {"annotations": {"a": "b"}}):
        told = await alice.told("PATCH", f"{BINDINGS}/b", 403, json={"metadata": said}, headers=MERGE)
        assert NOT_HELD in told["message"]
        await admin.told("PATCH", f"{BINDINGS}/b", 200, json={"metadata": said}, headers=MERGE)
    kept = {"metadata": {"finalizers": ["a.example/b"]}}
    told = await alice.told("PATCH", f"{BINDINGS}/b", 200, json=kept, headers=MERGE)
    assert told["subjects"] == made["subjects"]
    await alice.told("PATCH", f"{BINDINGS}/b", 200, json={"metadata": {"finalizers": []}}, headers=MERGE)
    await alice.told("DELETE", f"{BINDINGS}/b", 200)


async def test_a_namespace_is_a_fence(manager: Scene) -> None:
    alice, elsewhere = manager.of("alice"), "/apis/rbac.authorization.k8s.io/v1/namespaces/default"
    for path, document in (
        (f"{elsewhere}/roles", role(READS)),
        (f"{elsewhere}/rolebindings", binding("alice", to="manager")),
        (CLUSTER_ROLES, role(READS, kind="ClusterRole")),
        (CLUSTER_BINDINGS, binding("alice", to="view", kind="ClusterRoleBinding", role_kind="ClusterRole")),
    ):
        await alice.told("POST", path, 403, json=document)
    assert not await alice.may("list", "services", namespace="default")
    await alice.told("GET", "/api/v1/services", 403)


async def test_the_verbs_bind_and_escalate_allow_what_they_name(api: Scene) -> None:
    admin, alice = api.of(), api.of("alice")
    rbac = ["rbac.authorization.k8s.io"]
    binds = rule(["bind"], ["clusterroles"], rbac, resourceNames=["edit"])
    await admin.makes(ROLES, role(GIVES, binds, rule(["escalate"], ["roles"], rbac, resourceNames=["mine"])))
    await admin.makes(BINDINGS, binding("alice"))
    await alice.makes(BINDINGS, binding("bob", to="edit", role_kind="ClusterRole", name="b2"))
    await alice.told("POST", BINDINGS, 403, json=binding("bob", to="admin", role_kind="ClusterRole", name="b3"))
    await alice.told("POST", ROLES, 403, json=role(READS, name="other"))


async def test_what_is_built_in_stays(api: Scene) -> None:
    admin = api.of()
    for path, document in (
        (f"{CLUSTER_ROLES}/view", role(rule(["*"], ["*"], ["*"]), name="view", kind="ClusterRole")),
        (f"{CLUSTER_BINDINGS}/cluster-admin", binding("eve", kind="ClusterRoleBinding", name="cluster-admin")),
    ):
        await admin.told("DELETE", path, 403)
        await admin.told("PUT", path, 403, json=document)
        await admin.told("PATCH", path, 403, json={"subjects": [], "rules": []}, headers=MERGE)
        told = await admin.told("POST", path.rpartition("/")[0], 409, json=document)
        assert told["reason"] == "AlreadyExists"
        await api.of("eve").told("POST", path.rpartition("/")[0], 403, json=document)
    await admin.told("DELETE", CLUSTER_BINDINGS, 200)
    listed = await admin.told("GET", CLUSTER_BINDINGS, 200)
    assert {one["metadata"]["name"] for one in listed["items"]} >= {"cluster-admin", "view"}
    assert await admin.may("delete", "services")


async def test_acting_as_somebody_needs_the_verb_for_the_user_and_each_group(api: Scene) -> None:
    as_admin = {"impersonate-user": "root", "impersonate-group": "outrig:admins"}
    told = await api.of("alice", **as_admin).told("GET", SERVICES, 403)
    assert told["message"] == (
        'users "root" is forbidden: User "alice" cannot impersonate resource "users" in API group "" '
        "at the cluster scope"
    )
    assert (await api.of("", **as_admin).get(SERVICES)).status_code == 403
    assert (await api.of("nobody", **as_admin).get(SERVICES)).status_code == 401
    acts = rule(["impersonate"], ["users"], resourceNames=["bob", "root"])
    await api.of().makes(CLUSTER_ROLES, role(acts, kind="ClusterRole"))
    everywhere = binding("alice", kind="ClusterRoleBinding", role_kind="ClusterRole")
    await api.of().makes(CLUSTER_BINDINGS, everywhere)
    told = await api.of("alice", **as_admin).told("GET", SERVICES, 403)
    assert 'groups "outrig:admins" is forbidden' in told["message"]
    told = await api.of("alice", **{"impersonate-user": "bob"}).told("GET", SERVICES, 403)
    assert told["message"].startswith('services is forbidden: User "bob" cannot list resource "services"')
    await api.of("alice", **{"impersonate-group": "dev"}).told("GET", SERVICES, 400)
    for more in ({"impersonate-uid": "1"}, {"impersonate-extra-scopes": "all"}):
        told = await api.of("alice", **{"impersonate-user": "bob", **more}).told("GET", SERVICES, 403)
        assert 'in API group "authentication.k8s.io" at the cluster scope' in told["message"]


async def test_who_acts_as_somebody_loses_what_he_has_himself(api: Scene) -> None:
    as_bob = api.of("admin", **{"impersonate-user": "bob"})
    await as_bob.told("GET", SERVICES, 403)
    await as_bob.told("POST", ROLES, 403, json=role(READS))
    assert not await as_bob.may("list", "services", namespace="shop")
    as_nobody = api.of("admin", **{"impersonate-user": "system:anonymous"})
    assert (await as_nobody.get("/apis/authorization.k8s.io/v1/x")).status_code in (403, 404)


async def test_what_is_taken_away_is_gone_at_the_next_request(manager: Scene) -> None:
    admin, alice = manager.of(), manager.of("alice")
    for _ in range(3):
        assert (await alice.get(SERVICES)).status_code == 200
        await admin.told("DELETE", f"{BINDINGS}/managers", 200)
        assert (await alice.get(SERVICES)).status_code == 403
        await admin.makes(BINDINGS, binding("alice", to="manager", name="managers"))
    assert (await alice.get(SERVICES)).status_code == 200
    await admin.told("PATCH", f"{ROLES}/manager", 200, json={"rules": []}, headers=MERGE)
    assert (await alice.get(SERVICES)).status_code == 403


async def test_a_name_that_is_allowed_allows_no_other(api: Scene) -> None:
    admin, alice = api.of(), api.of("alice")
    await admin.makes(ROLES, role(rule(["get", "list", "watch", "delete"], resourceNames=["cart"])))
    await admin.makes(BINDINGS, binding("alice"))
    for name in ("cart", "till"):
        await admin.makes(SERVICES, service(name))
    await alice.told("GET", f"{SERVICES}/cart", 200)
    await alice.told("GET", f"{SERVICES}/till", 403)
    await alice.told("GET", SERVICES, 403)
    await alice.told("GET", f"{SERVICES}?fieldSelector=metadata.name=cart", 200)
    for tricked in ("metadata.name!=till", "metadata.name=cart,metadata.name=till", "metadata.namespace=cart", ""):
        await alice.told("GET", f"{SERVICES}?fieldSelector={tricked}", 403)
    await alice.told("DELETE", SERVICES, 403)
    await alice.told("GET", f"{SERVICES}/cart/status", 403)


@pytest.mark.parametrize("sent", [{"user": "eve"}, {"user": "alice", "groups": ["outrig:admins"]}])
async def test_a_certificate_is_issued_for_whom_one_may_act_as(api: Scene, sent: dict[str, Any]) -> None:
    alice = api.of("alice")
    await alice.told("POST", CERTIFICATES, 403, json={"csr": "", **sent})
    issues = rule(["create"], ["certificates"], ["access.outrig.dev"])
    acts = rule(["impersonate"], ["users"], resourceNames=["alice"])
    await api.of().makes(CLUSTER_ROLES, role(issues, acts, kind="ClusterRole"))
    everywhere = binding("alice", kind="ClusterRoleBinding", role_kind="ClusterRole")
    await api.of().makes(CLUSTER_BINDINGS, everywhere)
    told = await alice.told("POST", CERTIFICATES, 403, json={"csr": "", **sent})
    assert "cannot impersonate" in told["message"]
    told = await alice.told("POST", CERTIFICATES, 400, json={"csr": "", "user": "alice"})
    assert "PKCS#10" in told["message"]


GATHERS = {"clusterRoleSelectors": [{"matchLabels": {"part": "mesh"}}]}
TO_VIEW = "rbac.authorization.k8s.io/aggregate-to-view"


@pytest.fixture
async def author(api: Scene) -> Scene:
    """Alice reads services everywhere, and writes ClusterRoles and their bindings."""
    admin = api.of()
    gives = rule(WRITES, ["clusterroles", "clusterrolebindings"], ["rbac.authorization.k8s.io"])
    await admin.makes(CLUSTER_ROLES, role(READS, gives, name="author", kind="ClusterRole"))
    bound = binding("alice", to="author", kind="ClusterRoleBinding", role_kind="ClusterRole", name="authors")
    await admin.makes(CLUSTER_BINDINGS, bound)
    return api


async def test_a_role_that_gathers_is_written_by_who_may_do_everything(author: Scene) -> None:
    admin, alice = author.of(), author.of("alice")
    gathering = {**role(name="all", kind="ClusterRole"), "aggregationRule": GATHERS}
    refused = (
        'clusterroles.rbac.authorization.k8s.io "all" is forbidden: '
        "must have cluster-admin privileges to use the aggregationRule"
    )
    told = await alice.told("POST", CLUSTER_ROLES, 403, json=gathering)
    assert told["message"] == refused
    await alice.makes(CLUSTER_ROLES, role(READS, name="all", kind="ClusterRole"))
    told = await alice.told("PATCH", f"{CLUSTER_ROLES}/all", 403, json={"aggregationRule": GATHERS}, headers=MERGE)
    assert told["message"] == refused
    await admin.told("PATCH", f"{CLUSTER_ROLES}/all", 200, json={"aggregationRule": GATHERS}, headers=MERGE)
    for change in ({"aggregationRule": None}, {"metadata": {"labels": {TO_VIEW: "true"}}}):
        told = await alice.told("PATCH", f"{CLUSTER_ROLES}/all", 403, json=change, headers=MERGE)
        assert told["message"] == refused
    escalates = rule(["escalate"], ["clusterroles"], ["rbac.authorization.k8s.io"], resourceNames=["all"])
    await admin.makes(CLUSTER_ROLES, role(escalates, name="escalates", kind="ClusterRole"))
    bound = binding("alice", to="escalates", kind="ClusterRoleBinding", role_kind="ClusterRole", name="escalates")
    await admin.makes(CLUSTER_BINDINGS, bound)
    await alice.told("PATCH", f"{CLUSTER_ROLES}/all", 200, json={"aggregationRule": None}, headers=MERGE)


async def test_a_label_that_has_rules_gathered_needs_those_rules(author: Scene) -> None:
    admin, alice = author.of(), author.of("alice")
    await admin.makes(CLUSTER_ROLES, role(rule(["delete"]), name="more", kind="ClusterRole"))
    await alice.makes(CLUSTER_ROLES, role(READS, name="mine", kind="ClusterRole"))
    labels = {"metadata": {"labels": {TO_VIEW: "true"}}}
    for headers in (MERGE, STRATEGIC):
        told = await alice.told("PATCH", f"{CLUSTER_ROLES}/more", 403, json=labels, headers=headers)
        assert NOT_HELD in told["message"]
    there = await alice.told("GET", f"{CLUSTER_ROLES}/more", 200)
    await alice.told(
        "PUT", f"{CLUSTER_ROLES}/more", 403, json={**there, "metadata": {"name": "more", **labels["metadata"]}}
    )
    await alice.told("PATCH", f"{CLUSTER_ROLES}/mine", 200, json=labels, headers=MERGE)
    assert not await author.of("eve").may("delete", "services")


async def test_who_binds_a_role_that_gathers_holds_what_it_gathers(author: Scene) -> None:
    admin, alice = author.of(), author.of("alice")
    await admin.makes(CLUSTER_ROLES, {**role(name="all", kind="ClusterRole"), "aggregationRule": GATHERS})
    part = {**role(READS, name="part", kind="ClusterRole"), "metadata": {"name": "part", "labels": {"part": "mesh"}}}
    await alice.makes(CLUSTER_ROLES, part)
    bound = binding("bob", to="all", kind="ClusterRoleBinding", role_kind="ClusterRole")
    await alice.makes(CLUSTER_BINDINGS, bound)
    assert await author.of("bob").may("list", "services")
    await admin.told("PATCH", f"{CLUSTER_ROLES}/part", 200, json={"rules": [rule(["delete"])]}, headers=MERGE)
    again = {**bound, "metadata": {"name": "again"}}
    told = await alice.told("POST", CLUSTER_BINDINGS, 403, json=again)
    assert NOT_HELD in told["message"]
    for to in ("view", "edit"):
        wanted = binding("alice", to=to, kind="ClusterRoleBinding", role_kind="ClusterRole", name="c")
        assert NOT_HELD in (await alice.told("POST", CLUSTER_BINDINGS, 403, json=wanted))["message"]
