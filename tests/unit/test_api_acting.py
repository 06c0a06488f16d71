"""Acting as somebody else, as Kubernetes' impersonation filter has it: what is asked for, and who comes out."""

from typing import Any

import pytest
from starlette.datastructures import Headers
from structlog.testing import capture_logs

from outrig.api.access.acting import Wanted, acting
from outrig.api.access.grants import Grants
from outrig.api.access.rules import Attributes
from outrig.api.callers import ADMINS, signed_in
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
    service,
)

CI = "system:serviceaccount:shop:ci"
ADMIN = signed_in("admin", (ADMINS,), by="token")
WHOAMI = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


def headers(user: str, *groups: str, **more: str) -> Headers:
    """Headers as kubectl sends them."""
    named = [("Impersonate-User", user), *(("Impersonate-Group", group) for group in groups), *more.items()]
    return Headers(raw=[(name.lower().encode(), value.encode()) for name, value in named])


@pytest.mark.parametrize(
    ("user", "groups", "found"),
    [
        ("joe", [], ["system:authenticated"]),
        ("joe", ["a", "b", "a"], ["a", "b", "system:authenticated"]),
        ("joe", ["system:unauthenticated"], ["system:unauthenticated"]),
        ("joe", ["system:authenticated", "a"], ["system:authenticated", "a"]),
        ("system:anonymous", [], ["system:unauthenticated"]),
        ("system:anonymous", ["a"], ["a", "system:unauthenticated"]),
        ("system:anonymous", ["system:authenticated"], ["system:authenticated", "system:unauthenticated"]),
        (CI, [], ["system:serviceaccounts", "system:serviceaccounts:shop", "system:authenticated"]),
        (CI, ["a"], ["a", "system:authenticated"]),
        ("system:serviceaccount:shop", [], ["system:authenticated"]),
        ("system:serviceaccount:shop:a:b", [], ["system:authenticated"]),
        ("system:serviceaccount:Shop:ci", [], ["system:authenticated"]),
    ],
)
def test_the_groups_are_those_that_kubernetes_gives(user: str, groups: list[str], found: list[str]) -> None:
    caller = acting(ADMIN, headers(user, *groups), Grants())
    assert (caller.name, list(caller.groups), caller.behind) == (user, found, ADMIN)


def test_each_part_is_asked_for_by_itself() -> None:
    users = Attributes("impersonate", resource="users", name="joe")
    group = Attributes("impersonate", resource="groups", name="g")
    account = Attributes("impersonate", resource="serviceaccounts", namespace="shop", name="ci")
    uid = Attributes("impersonate", "authentication.k8s.io", "uids", name="7")
    scope = Attributes("impersonate", "authentication.k8s.io", "userextras", "scopes", name="read")
    assert [*Wanted("joe", ("g",)).asked()] == [users, group]
    assert [*Wanted(CI).asked()] == [account]
    assert [*Wanted("joe", (), "7", {"scopes": ("read",)}).asked()] == [users, scope, uid]
    assert next(Wanted("system:serviceaccount:shop:X_y").asked()).resource == "users"


async def test_a_service_account_is_acted_as_where_its_namespace_allows_it(api: Scene) -> None:
    acts = rule(["impersonate"], ["serviceaccounts"], resourceNames=["ci"])
    await api.of().makes(ROLES, role(acts))
    await api.of().makes(BINDINGS, binding("alice"))
    lists = {**binding(to="view", role_kind="ClusterRole", name="of-accounts")}
    group = {"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "system:serviceaccounts:shop"}
    await api.of().makes(BINDINGS, {**lists, "subjects": [group]})
    as_ci = api.of("alice", **{"impersonate-user": CI})
    await as_ci.told("GET", SERVICES, 200)
    await as_ci.told("POST", SERVICES, 403, json=service())
    for other in ("system:serviceaccount:shop:other", "system:serviceaccount:default:ci"):
        told = await api.of("alice", **{"impersonate-user": other}).told("GET", SERVICES, 403)
        namespace, name = other.split(":")[2:]
        assert told["message"] == (
            f'serviceaccounts "{name}" is forbidden: User "alice" cannot impersonate resource "serviceaccounts" in '
            f'API group "" in the namespace "{namespace}"'
        )
    with_groups = api.of("alice", **{"impersonate-user": CI, "impersonate-group": "system:serviceaccounts:shop"})
    assert 'groups "system' in (await with_groups.told("GET", SERVICES, 403))["message"]


async def test_whoever_may_act_as_users_may_not_act_as_service_accounts_by_that(api: Scene) -> None:
    await api.of().makes(CLUSTER_ROLES, role(rule(["impersonate"], ["users"]), kind="ClusterRole"))
    await api.of().makes(CLUSTER_BINDINGS, binding("alice", kind="ClusterRoleBinding", role_kind="ClusterRole"))
    await api.of("alice", **{"impersonate-user": "joe"}).told("POST", WHOAMI, 201, json={})
    await api.of("alice", **{"impersonate-user": CI}).told("POST", WHOAMI, 403, json={})


async def test_a_uid_and_extra_fields_are_carried_to_whoami_and_to_the_audit_log(api: Scene) -> None:
    sent = {"impersonate-user": "joe", "impersonate-uid": "7", "impersonate-extra-acme.com%2Fscopes": "read"}
    as_joe = api.of("admin", **sent)
    told = await as_joe.told("POST", WHOAMI, 201, json={})
    extra = {"acme.com/scopes": ["read"]}
    who = {"username": "joe", "uid": "7", "groups": ["system:authenticated"], "extra": extra}
    assert told["status"]["userInfo"] == who
    with capture_logs() as lines:
        await as_joe.told("POST", SERVICES, 403, json=service())
    assert (lines[0]["user"], lines[0]["uid"], lines[0]["extra"]) == ("joe", "7", extra)
    assert lines[0]["impersonated_by"] == "admin"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"impersonate-uid": "7"}, 'uids.authentication.k8s.io "7" is forbidden'),
        ({"impersonate-extra-scopes": "all"}, 'resource "userextras/scopes" in API group "authentication.k8s.io"'),
        ({"impersonate-group": "outrig:admins"}, 'groups "outrig:admins" is forbidden'),
    ],
)
async def test_a_refusal_is_told_with_whom_one_wanted_to_act_as(api: Scene, more: dict[str, str], said: str) -> None:
    acts = rule(["impersonate"], ["users"], resourceNames=["joe"])
    scopes = rule(["impersonate"], ["userextras/scopes"], ["authentication.k8s.io"], resourceNames=["read"])
    await api.of().makes(CLUSTER_ROLES, role(acts, scopes, kind="ClusterRole"))
    await api.of().makes(CLUSTER_BINDINGS, binding("alice", kind="ClusterRoleBinding", role_kind="ClusterRole"))
    reads = api.of("alice", **{"impersonate-user": "joe", "impersonate-extra-scopes": "read"})
    await reads.told("POST", WHOAMI, 201, json={})
    with capture_logs() as lines:
        told = await api.of("alice", **{"impersonate-user": "joe", **more}).told("POST", SERVICES, 403, json=service())
    assert said in told["message"]
    assert (lines[0]["user"], lines[0]["wanted"]["user"]) == ("alice", "joe")
    assert next(iter(more.values())) in str(lines[0]["wanted"])


@pytest.mark.parametrize("name", ["group", "uid", "extra-scopes"])
async def test_parts_of_somebody_without_a_name_are_refused(api: Scene, name: str) -> None:
    told = await api.of("admin", **{f"impersonate-{name}": "x"}).told("GET", SERVICES, 400)
    assert "without impersonating a user" in told["message"]


async def test_a_certificate_that_is_refused_is_told_with_whom_it_was_for(api: Scene) -> None:
    issues = rule(["create"], ["certificates"], ["access.outrig.dev"])
    await api.of().makes(CLUSTER_ROLES, role(issues, kind="ClusterRole"))
    await api.of().makes(CLUSTER_BINDINGS, binding("alice", kind="ClusterRoleBinding", role_kind="ClusterRole"))
    asked: dict[str, Any] = {"csr": "", "user": "root", "groups": ["outrig:admins"]}
    with capture_logs() as lines:
        await api.of("alice").told("POST", CERTIFICATES, 403, json=asked)
    assert lines[0]["wanted"] == {"user": "root", "groups": ["outrig:admins"]}
