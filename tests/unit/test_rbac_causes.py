"""What is wrong with a role or binding: all of it at once, each with the reason that Kubernetes gives."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.unit.access_making import BINDINGS, CLUSTER_BINDINGS, CLUSTER_ROLES, ROLES, SERVICES, Scene, binding, role
from tests.unit.access_making import scene as made

REQUIRED = "FieldValueRequired"
INVALID = "FieldValueInvalid"
ACCOUNT = {"kind": "ServiceAccount", "name": "ci"}
REF = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}


@pytest.fixture
async def api() -> AsyncIterator[Scene]:
    async with made() as found:
        yield found


def causes(told: dict[str, Any]) -> set[tuple[str, str]]:
    return {(cause["field"], cause["reason"]) for cause in told["details"]["causes"]}


@pytest.mark.parametrize(
    ("path", "document", "wrong"),
    [
        (ROLES, role({}), {("rules[0].verbs", REQUIRED), ("rules[0].apiGroups", REQUIRED),
                           ("rules[0].resources", REQUIRED)}),
        (CLUSTER_ROLES, role({"nonResourceURLs": ["/x"]}, kind="ClusterRole"), {("rules[0].verbs", REQUIRED)}),
        (BINDINGS, binding("", to=""), {("roleRef.name", REQUIRED), ("subjects[0].name", REQUIRED)}),
        (BINDINGS, binding(to="a/b"), {("roleRef.name", INVALID)}),
        (BINDINGS, {**binding(), "subjects": [{**ACCOUNT, "name": "X_y"}, {**ACCOUNT, "name": ""}]},
         {("subjects[0].name", INVALID), ("subjects[1].name", REQUIRED)}),
        (CLUSTER_BINDINGS, {**binding(kind="ClusterRoleBinding", role_kind="ClusterRole"), "subjects": [ACCOUNT]},
         {("subjects[0].namespace", REQUIRED)}),
        (BINDINGS, {**binding(), "subjects": [{**ACCOUNT, "apiGroup": "x"}]}, {("subjects[0].apiGroup", INVALID)}),
        (BINDINGS, {**binding(), "subjects": [{"kind": "User"}, {"kind": "Robot", "name": ""}], "roleRef": {}},
         {("subjects[0].name", REQUIRED), ("subjects[1].name", REQUIRED), ("subjects[1].kind", INVALID),
          ("roleRef.kind", REQUIRED), ("roleRef.name", REQUIRED)}),
    ],
)  # fmt: skip
async def test_all_that_is_wrong_is_told_with_its_reason(
    api: Scene, path: str, document: dict[str, Any], wrong: set[tuple[str, str]]
) -> None:
    assert causes(await api.of().told("POST", path, 422, json=document)) == wrong


async def test_what_is_required_is_worded_as_in_kubernetes(api: Scene) -> None:
    told = await api.of().told("POST", ROLES, 422, json=role({"resources": ["services"], "apiGroups": [""]}))
    assert "rules[0].verbs: Required value: verbs must contain at least one value" in told["message"]


async def test_a_changed_role_is_told_beside_all_that_is_wrong_elsewhere(api: Scene) -> None:
    kept = await api.of().makes(BINDINGS, binding("alice"))
    subjects = [{"kind": "Foo", "name": "x"}, {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": ""}]
    told = await api.of().told("PUT", f"{BINDINGS}/b", 422, json={**kept, "roleRef": REF, "subjects": subjects})
    assert causes(told) == {("roleRef", INVALID), ("subjects[0].kind", INVALID), ("subjects[1].name", REQUIRED)}
    assert "cannot change roleRef" in told["message"]
    assert (await api.of().told("GET", f"{BINDINGS}/b", 200))["subjects"] == kept["subjects"]


async def test_a_service_account_without_a_namespace_is_one_of_the_bindings_own(api: Scene) -> None:
    await api.of().makes(BINDINGS, {**binding(to="view", role_kind="ClusterRole"), "subjects": [ACCOUNT]})
    for namespace, code in (("shop", 200), ("default", 403)):
        as_account = api.of("admin", **{"impersonate-user": f"system:serviceaccount:{namespace}:ci"})
        await as_account.told("GET", SERVICES, code)
