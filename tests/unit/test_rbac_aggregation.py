"""ClusterRoles that gather the rules of others, by their labels: what they hold, what is shown, who may write them."""

from dataclasses import replace
from typing import Any

import pytest

from outrig.api.access.builtin import BUILT_IN
from outrig.api.access.grants import Grants
from outrig.api.access.rules import Rule
from outrig.api.callers import Caller
from outrig.dialects import rbac
from outrig.dialects.rbac.aggregation import Gathering, gathers, with_gathered
from outrig.resources import Key, Resource
from outrig.store.protocol import Change, ChangeType
from tests.unit.access_making import (
    CLUSTER_BINDINGS,
    CLUSTER_ROLES,
    SERVICES,
    Person,
    Scene,
    binding,
    role,
    rule,
)

APPLY = {"content-type": "application/apply-patch+yaml"}
MERGE = {"content-type": "application/merge-patch+json"}
TO_VIEW = "rbac.authorization.k8s.io/aggregate-to-view"
READS, WRITES = rule(["get", "list"]), rule(["create"])


def labelled(name: str, *rules: dict[str, Any], **labels: str) -> dict[str, Any]:
    """A ClusterRole with these labels."""
    made = role(*rules, name=name, kind="ClusterRole")
    return {**made, "metadata": {"name": name, "labels": labels}}


def gathering(name: str, *selectors: dict[str, Any], **labels: str) -> dict[str, Any]:
    """A ClusterRole that gathers what these selectors choose."""
    chosen = list(selectors or ({"matchLabels": {"part": "mesh"}},))
    return {**labelled(name, **labels), "rules": [], "aggregationRule": {"clusterRoleSelectors": chosen}}


def stored(document: dict[str, Any]) -> Resource:
    """The same as it is stored."""
    metadata, body = (
        document["metadata"],
        {part: document[part] for part in ("rules", "aggregationRule") if part in document},
    )
    key = Key(rbac.GROUP, "ClusterRole", "", "", metadata["name"])
    return Resource(key, body=body, labels=metadata.get("labels", {}))


def test_rules_come_by_selector_and_then_by_name_each_once() -> None:
    first, second = {"matchLabels": {"part": "b"}}, {"matchExpressions": [{"key": "part", "operator": "Exists"}]}
    others = [labelled("z", READS, part="a"), labelled("y", WRITES, READS, part="a"), labelled("x", WRITES, part="b")]
    whole = stored(gathering("all", first, second))
    roles = [whole, *map(stored, others), stored(labelled("none", rule(["delete"])))]
    assert [one.key.name for one in Gathering(roles).sources(whole)] == ["x", "y", "z"]
    assert with_gathered(whole, roles).body["rules"] == [WRITES, READS]
    assert with_gathered(roles[1], roles) is roles[1]


def test_roles_that_gather_each_other_have_the_rules_of_both() -> None:
    one = stored(gathering("one", {"matchLabels": {"is": "two"}}, {"matchLabels": {"of": "one"}}, **{"is": "one"}))
    two = stored(gathering("two", {"matchLabels": {"is": "one"}}, {"matchLabels": {"of": "two"}}, **{"is": "two"}))
    roles = [one, two, stored(labelled("a", READS, of="one")), stored(labelled("b", WRITES, of="two"))]
    for role_ in (one, two):
        assert sorted(found.key.name for found in Gathering(roles).sources(role_)) == ["a", "b"]


class Counted(dict[str, str]):
    """Labels that know how often a selector looked at them."""

    looked = 0

    def items(self) -> Any:
        self.looked += 1
        return super().items()


def test_what_a_role_chooses_is_found_out_once_for_all_that_gather_it() -> None:
    ring = [stored(gathering(f"r{number}", part="mesh")) for number in range(12)]
    roles = [replace(one, labels=Counted(one.labels)) for one in (*ring, stored(labelled("a", READS, part="mesh")))]
    grants = Grants()
    grants.heard([Change(ChangeType.ADDED, one) for one in roles])
    looked = [one.labels.looked for one in roles if isinstance(one.labels, Counted)]
    built_in = sum(gathers(one) for one in BUILT_IN.values())
    assert looked == [len(ring) + built_in] * len(roles)


def test_a_role_that_cannot_be_read_gathers_nothing_and_gives_nothing() -> None:
    broken = Resource(
        Key(rbac.GROUP, "ClusterRole", "", "", "b"), body={"aggregationRule": {"clusterRoleSelectors": 1}}
    )
    other = Resource(Key(rbac.GROUP, "ClusterRole", "", "", "o"), body={"rules": 1}, labels={"part": "mesh"})
    whole, sound = stored(gathering("all")), stored(labelled("a", READS, part="mesh"))
    assert gathers(broken)
    assert Gathering([broken, sound]).sources(broken) == []
    assert Gathering([whole, broken, other, sound]).sources(whole) == [sound]


def test_it_does_not_matter_in_which_order_roles_are_heard_of() -> None:
    bound = binding("bob", to="all", kind="ClusterRoleBinding", role_kind="ClusterRole")
    body = {part: bound[part] for part in ("subjects", "roleRef")}
    binds = Resource(Key(rbac.GROUP, "ClusterRoleBinding", "", "", "b"), body=body)
    below = gathering("below", {"matchLabels": {"part": "small"}}, part="mesh")
    roles = [gathering("all"), below, labelled("a", READS, part="mesh"), labelled("b", WRITES, part="small")]
    heard = [binds, *map(stored, roles)]
    for order in (turned[first:] + turned[:first] for turned in (heard, heard[::-1]) for first in range(len(heard))):
        grants = Grants()
        for resource in order:
            grants.heard([Change(ChangeType.ADDED, resource)])
        held = [granted.rule for granted in grants.held_by(Caller("bob", ()), "")]
        assert held == [Rule(("get", "list"), ("",), ("services",)), Rule(("create",), ("",), ("services",))]


async def test_what_is_gathered_counts_and_is_shown_as_it_is_now(api: Scene, admin: Person) -> None:
    eve = api.of("bob")
    await admin.makes(CLUSTER_ROLES, gathering("all"))
    await admin.makes(CLUSTER_BINDINGS, binding("bob", to="all", kind="ClusterRoleBinding", role_kind="ClusterRole"))
    assert not await eve.may("list", "services")
    await admin.makes(CLUSTER_ROLES, labelled("part", READS, part="mesh"))
    assert (await eve.may("list", "services"), await eve.may("create", "services")) == (True, False)
    await admin.told("PATCH", f"{CLUSTER_ROLES}/part", 200, json={"rules": [WRITES]}, headers=MERGE)
    assert (await eve.may("list", "services"), await eve.may("create", "services")) == (False, True)
    shown = await admin.told("GET", f"{CLUSTER_ROLES}/all", 200)
    assert shown["rules"] == [WRITES]
    listed = await admin.told("GET", f"{CLUSTER_ROLES}?fieldSelector=metadata.name%3Dall", 200)
    assert [one["rules"] for one in listed["items"]] == [[WRITES]]
    await admin.told("PATCH", f"{CLUSTER_ROLES}/part", 200, json={"metadata": {"labels": None}}, headers=MERGE)
    assert not await eve.may("create", "services")
    await admin.told("DELETE", f"{CLUSTER_ROLES}/all", 200)
    assert (await eve.get(SERVICES)).status_code == 403


async def test_rules_that_are_gathered_are_not_written(admin: Person) -> None:
    await admin.makes(CLUSTER_ROLES, labelled("part", READS, part="mesh"))
    made = await admin.makes(CLUSTER_ROLES, {**gathering("all"), "rules": [WRITES]})
    assert made["rules"] == [READS]
    path = f"{CLUSTER_ROLES}/all"
    shown = await admin.told("GET", path, 200)
    assert await admin.told("PUT", path, 200, json=shown) == shown
    assert await admin.told("PUT", path, 200, json={**shown, "rules": [WRITES]}) == shown
    assert await admin.told("PATCH", f"{path}?dryRun=All", 200, json={"rules": []}, headers=MERGE) == shown


async def test_applying_a_role_that_gathers_settles(admin: Person) -> None:
    await admin.makes(CLUSTER_ROLES, labelled("part", READS, part="mesh"))
    path = f"{CLUSTER_ROLES}/all?fieldManager=kubectl"
    first = await admin.told("PATCH", path, 201, json=gathering("all"), headers=APPLY)
    assert await admin.told("PATCH", path, 200, json=gathering("all"), headers=APPLY) == first
    assert first["rules"] == [READS]


async def test_the_built_in_roles_gather_what_is_labelled_for_them(api: Scene, admin: Person) -> None:
    extra = rule(["get"], ["widgets"], ["example.org"])
    eve = api.of("eve")
    assert not await eve.may("get", "example.org/widgets")
    await admin.makes(CLUSTER_ROLES, labelled("widgets", extra, **{TO_VIEW: "true"}))
    assert await eve.may("get", "example.org/widgets")
    shown = {name: (await admin.told("GET", f"{CLUSTER_ROLES}/{name}", 200)) for name in ("view", "edit", "admin")}
    assert all(extra in found["rules"] for found in shown.values())
    view, edit, whole = (shown[name]["rules"] for name in ("view", "edit", "admin"))
    assert all(one in edit for one in view)
    assert all(one in whole for one in edit)
    assert shown["view"]["aggregationRule"] == {"clusterRoleSelectors": [{"matchLabels": {TO_VIEW: "true"}}]}
    await admin.told("DELETE", f"{CLUSTER_ROLES}/widgets", 200)
    assert not await eve.may("get", "example.org/widgets")


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"clusterRoleSelectors": []}, "aggregationRule.clusterRoleSelectors"),
        ({}, "aggregationRule.clusterRoleSelectors"),
        (
            {"clusterRoleSelectors": [{"matchExpressions": [{"key": "a", "operator": "In"}]}]},
            "aggregationRule.clusterRoleSelectors[0].matchExpressions[0].values",
        ),
        (
            {"clusterRoleSelectors": [{"matchExpressions": [{"key": "a", "operator": "Is"}]}]},
            "aggregationRule.clusterRoleSelectors[0].matchExpressions[0].operator",
        ),
    ],
)
async def test_selectors_that_choose_nothing_are_refused(admin: Person, wrong: dict[str, Any], field: str) -> None:
    told = await admin.told("POST", CLUSTER_ROLES, 422, json={**gathering("all"), "aggregationRule": wrong})
    assert [cause["field"] for cause in told["details"]["causes"]] == [field]
