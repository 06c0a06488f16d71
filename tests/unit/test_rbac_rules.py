"""The authorizer: which rules allow what, who has which, and what one may give to others."""

from dataclasses import replace

import pytest

from outrig.api.access.builtin import BUILT_IN
from outrig.api.access.grants import Grants, rules_in
from outrig.api.access.rules import Attributes, Rule, TooManyRulesError, uncovered
from outrig.api.callers import ADMINS, ANONYMOUS, AUTHENTICATED, MESH_ADMINS, VIEWERS, Caller, signed_in
from outrig.dialects import rbac
from outrig.dialects.rbac.aggregation import with_gathered
from outrig.resources import Key, Resource
from outrig.store.protocol import Change, ChangeType

ISTIO = "networking.istio.io"
GROUPS = Attributes("get", ISTIO, "workloadgroups", namespace="shop", name="cart")
READ_GROUPS = Rule(("get", "list"), (ISTIO,), ("workloadgroups",))


@pytest.mark.parametrize(
    ("rule", "asked", "allowed"),
    [
        (READ_GROUPS, GROUPS, True),
        (READ_GROUPS, replace(GROUPS, verb="delete"), False),
        (READ_GROUPS, replace(GROUPS, verb="GET"), False),
        (READ_GROUPS, replace(GROUPS, group=""), False),
        (READ_GROUPS, replace(GROUPS, resource="workloadentries"), False),
        (READ_GROUPS, replace(GROUPS, subresource="status"), False),
        (replace(READ_GROUPS, resources=("workloadgroups/status",)), replace(GROUPS, subresource="status"), True),
        (replace(READ_GROUPS, resources=("workloadgroups/status",)), GROUPS, False),
        (replace(READ_GROUPS, resources=("*/status",)), replace(GROUPS, subresource="status"), True),
        (replace(READ_GROUPS, resources=("*/status",)), GROUPS, False),
        (replace(READ_GROUPS, resources=("*",)), replace(GROUPS, subresource="status"), True),
        (replace(READ_GROUPS, verbs=("*",)), replace(GROUPS, verb="escalate"), True),
        (replace(READ_GROUPS, groups=("*",)), replace(GROUPS, group="anything"), True),
        (replace(READ_GROUPS, groups=("*.io",)), GROUPS, False),
        (replace(READ_GROUPS, names=("cart",)), GROUPS, True),
        (replace(READ_GROUPS, names=("cart",)), replace(GROUPS, name="till"), False),
        (replace(READ_GROUPS, names=("cart",)), replace(GROUPS, verb="list", name=""), False),
        (replace(READ_GROUPS, names=("*",)), GROUPS, False),
        (Rule(("get",), paths=("/config",)), Attributes("get", path="/config"), True),
        (Rule(("get",), paths=("/config",)), Attributes("get", path="/config/more"), False),
        (Rule(("get",), paths=("/config/*",)), Attributes("get", path="/config/more"), True),
        (Rule(("get",), paths=("/config*",)), Attributes("get", path="/configuration"), True),
        (Rule(("get",), paths=("*",)), Attributes("get", path="/tokens/user"), True),
        (Rule(("get",), paths=("*",)), Attributes("post", path="/tokens/user"), False),
        (Rule(("*",), paths=("*",)), GROUPS, False),
        (Rule(("*",), ("*",), ("*",)), Attributes("get", path="/config"), False),
        (Rule(("*",), ("*",), ()), GROUPS, False),
        (Rule((), ("*",), ("*",)), GROUPS, False),
    ],
)
def test_a_rule_allows_what_each_of_its_parts_matches(rule: Rule, asked: Attributes, allowed: bool) -> None:
    assert rule.allows(asked) is allowed


@pytest.mark.parametrize(
    ("held", "wanted", "missing"),
    [
        ([READ_GROUPS], [READ_GROUPS], []),
        ([READ_GROUPS], [replace(READ_GROUPS, verbs=("get",), names=("cart",))], []),
        ([replace(READ_GROUPS, names=("cart",))], [replace(READ_GROUPS, verbs=("get",))], ["get workloadgroups"]),
        ([READ_GROUPS], [replace(READ_GROUPS, verbs=("get", "delete"))], ["delete workloadgroups"]),
        ([READ_GROUPS], [replace(READ_GROUPS, verbs=("*",))], ["* workloadgroups"]),
        ([READ_GROUPS], [replace(READ_GROUPS, resources=("*",))], ["get,list *"]),
        (
            [replace(READ_GROUPS, verbs=("get",)), replace(READ_GROUPS, verbs=("list",))],
            [READ_GROUPS],
            [],
        ),
        ([replace(READ_GROUPS, resources=("*/status",))], [replace(READ_GROUPS, resources=("sidecars/status",))], []),
        ([Rule(("*",), ("*",), ("*",))], [Rule(("get",), paths=("/config",))], ["get /config"]),
        ([Rule(("get",), paths=("/c*",))], [Rule(("get",), paths=("/config", "/d"))], ["get /d"]),
    ],
)
def test_nobody_gives_what_he_does_not_have(held: list[Rule], wanted: list[Rule], missing: list[str]) -> None:
    found = [f"{','.join(rule.verbs)} {','.join(rule.resources or rule.paths)}" for rule in uncovered(held, wanted)]
    assert found == missing


def test_more_than_can_be_compared_in_time_is_not_given() -> None:
    many = [replace(READ_GROUPS, names=(f"n{n}",)) for n in range(100)]
    wide = Rule(tuple(f"v{n}" for n in range(100)), (ISTIO,), tuple(f"r{n}" for n in range(100)))
    with pytest.raises(TooManyRulesError):
        uncovered(many, [wide])
    assert uncovered([*many, Rule(("*",), ("*",), ("*",))], [wide]) == []


def test_missing_rules_read_as_in_kubernetes() -> None:
    assert str(Rule(("get", "list"), ("",), ("services",), ("a",))) == (
        '{APIGroups:[""], Resources:["services"], ResourceNames:["a"], Verbs:["get" "list"]}'
    )


def role(name: str = "reader", namespace: str = "shop", *, verbs: tuple[str, ...] = ("get",)) -> Resource:
    kind = rbac.ROLE if namespace else rbac.CLUSTER_ROLE
    rules = [{"verbs": list(verbs), "apiGroups": [ISTIO], "resources": ["workloadgroups"]}]
    return Resource(Key(rbac.GROUP, kind.name, "", namespace, name), body={"rules": rules}, revision=1)


def binding(*subjects: tuple[str, str], of: Resource, namespace: str = "shop") -> Resource:
    kind = rbac.ROLE_BINDING if namespace else rbac.CLUSTER_ROLE_BINDING
    listed = [{"kind": kind_, "name": name, "namespace": "shop"} for kind_, name in subjects]
    body = {"subjects": listed, "roleRef": {"kind": of.key.kind, "name": of.key.name}}
    return Resource(Key(rbac.GROUP, kind.name, "", namespace, "b"), body=body, revision=2)


def granting(*resources: Resource) -> Grants:
    grants = Grants()
    grants.heard([Change(ChangeType.ADDED, resource) for resource in resources])
    return grants


ALICE = signed_in("alice", ["dev"], by="certificate")


@pytest.mark.parametrize("subject", [("User", "alice"), ("Group", "dev"), ("Group", "system:authenticated")])
def test_a_binding_gives_its_role_in_its_namespace_alone(subject: tuple[str, str]) -> None:
    grants = granting(role(), binding(subject, of=role()))
    decision = grants.decide(ALICE, GROUPS)
    assert decision.allowed
    assert decision.reason.startswith('RBAC: allowed by RoleBinding "b/shop" of Role "reader" to ')
    assert not grants.decide(ALICE, replace(GROUPS, namespace="other")).allowed
    assert not grants.decide(ALICE, replace(GROUPS, namespace="")).allowed
    assert not grants.decide(signed_in("bob", [], by="certificate"), GROUPS).allowed or "system:" in subject[1]
    assert not grants.decide(ANONYMOUS, GROUPS).allowed


@pytest.mark.parametrize("subject", [("Group", "alice"), ("User", "dev"), ("User", "*"), ("ServiceAccount", "alice")])
def test_a_binding_of_somebody_else_gives_nothing(subject: tuple[str, str]) -> None:
    assert not granting(role(), binding(subject, of=role())).decide(ALICE, GROUPS).allowed


def test_a_cluster_role_counts_where_it_is_bound() -> None:
    everywhere = role(namespace="")
    grants = granting(everywhere, binding(("User", "alice"), of=everywhere))
    assert grants.decide(ALICE, GROUPS).allowed
    assert not grants.decide(ALICE, replace(GROUPS, namespace="")).allowed
    grants = granting(everywhere, binding(("User", "alice"), of=everywhere, namespace=""))
    assert all(grants.decide(ALICE, replace(GROUPS, namespace=where)).allowed for where in ("", "shop", "other"))


def test_a_role_of_another_namespace_cannot_be_bound() -> None:
    elsewhere = role(namespace="other")
    assert not granting(elsewhere, binding(("User", "alice"), of=elsewhere)).decide(ALICE, GROUPS).allowed


def test_what_is_taken_away_counts_no_more() -> None:
    bound = binding(("User", "alice"), of=role())
    for gone in (role(), bound):
        grants = granting(role(), bound)
        grants.heard([Change(ChangeType.DELETED, gone)])
        assert not grants.decide(ALICE, GROUPS).allowed
    grants = granting(role(), bound)
    grants.heard([Change(ChangeType.MODIFIED, binding(("User", "bob"), of=role()))])
    assert not grants.decide(ALICE, GROUPS).allowed


def test_a_role_that_cannot_be_read_gives_nothing_and_harms_nobody() -> None:
    broken = replace(role("broken"), body={"rules": "everything"})
    grants = granting(role(), broken, binding(("User", "alice"), of=broken))
    assert not grants.decide(ALICE, GROUPS).allowed
    assert grants.decide(signed_in("root", [ADMINS], by="certificate"), GROUPS).allowed


def test_the_store_cannot_change_what_is_built_in() -> None:
    admin = signed_in("root", [ADMINS], by="certificate")
    built_in = [replace(resource, body={}) for resource in BUILT_IN.values()]
    assert granting(*built_in).decide(admin, GROUPS).allowed
    grants = Grants()
    grants.heard([Change(ChangeType.DELETED, resource) for resource in BUILT_IN.values()])
    assert grants.decide(admin, GROUPS).allowed


SECRETS = Attributes("get", "kuma.io", "secrets", name="ca")
ROLES = Attributes("create", rbac.GROUP, "rolebindings", namespace="shop")
CERTIFICATES = Attributes("create", "access.outrig.dev", "certificates")
TOKENS = Attributes("post", path="/tokens/user")
WRITE = replace(GROUPS, verb="patch")
PAGE = Attributes("get", path="/config")
HEALTH = Attributes("get", path="/healthz")


@pytest.mark.parametrize(
    ("caller", "may", "may_not"),
    [
        (("admin", ADMINS), (GROUPS, WRITE, SECRETS, ROLES, CERTIFICATES, TOKENS, PAGE), ()),
        (("admin", MESH_ADMINS), (GROUPS, WRITE, SECRETS, ROLES, CERTIFICATES, TOKENS, PAGE), ()),
        (("root", "system:masters"), (GROUPS, WRITE, SECRETS, ROLES, CERTIFICATES, TOKENS, PAGE), ()),
        (("eve", VIEWERS), (GROUPS, PAGE, HEALTH), (WRITE, SECRETS, ROLES, CERTIFICATES, TOKENS)),
        (("eve", AUTHENTICATED), (GROUPS, PAGE, HEALTH), (WRITE, SECRETS, ROLES, CERTIFICATES, TOKENS)),
        (("eve", "others"), (HEALTH,), (GROUPS, WRITE, SECRETS, ROLES, CERTIFICATES, TOKENS, PAGE)),
    ],
)
def test_who_has_which_built_in_role(
    caller: tuple[str, str], may: tuple[Attributes, ...], may_not: tuple[Attributes, ...]
) -> None:
    who, grants = signed_in(caller[0], [caller[1]], by="certificate"), Grants()
    assert [asked for asked in may if not grants.decide(who, asked).allowed] == []
    assert [asked for asked in may_not if grants.decide(who, asked).allowed] == []


def test_nobody_at_all_sees_that_the_server_is_well_and_nothing_else() -> None:
    grants = Grants()
    assert grants.decide(ANONYMOUS, HEALTH).allowed
    assert not any(grants.decide(ANONYMOUS, asked).allowed for asked in (GROUPS, PAGE, SECRETS, TOKENS))
    assert not grants.decide(Caller(ANONYMOUS.name, ()), HEALTH).allowed, "it is the group that counts"


@pytest.mark.parametrize("name", ["admin", "edit"])
def test_the_roles_between_hold_more_than_the_one_below(name: str) -> None:
    below = {"admin": "edit", "edit": "view"}[name]
    roles = [role for role in BUILT_IN.values() if role.key.kind == "ClusterRole"]
    whole = {role.key.name: rules_in(with_gathered(role, roles)) for role in roles}
    rules, fewer = whole[name], whole[below]
    assert not uncovered(rules, fewer)
    assert uncovered(fewer, rules)


NAMESPACE = Attributes("delete", "", "namespaces", namespace="shop", name="shop")
SERVICE = Attributes("patch", "", "services", namespace="shop", name="cart")
ASKING = Attributes("create", "authorization.k8s.io", "localsubjectaccessreviews", namespace="shop")


@pytest.mark.parametrize(("name", "gives"), [("edit", False), ("admin", True)])
@pytest.mark.parametrize("bound_in", ["shop", ""])
def test_who_works_in_a_namespace_does_not_touch_the_namespace_nor_any_status(
    name: str, gives: bool, bound_in: str
) -> None:
    whole = BUILT_IN[Key(rbac.GROUP, "ClusterRole", "", "", name)]
    grants = granting(binding(("User", "alice"), of=whole, namespace=bound_in))
    for verb in ("create", "update", "patch", "delete", "deletecollection"):
        for part in ("", "status"):
            assert not grants.decide(ALICE, replace(NAMESPACE, verb=verb, subresource=part)).allowed
        assert grants.decide(ALICE, replace(SERVICE, verb=verb)).allowed
        for written in (SERVICE, GROUPS):
            assert not grants.decide(ALICE, replace(written, verb=verb, subresource="status")).allowed
    for read in (NAMESPACE, SERVICE, GROUPS):
        for part in ("", "status"):
            assert grants.decide(ALICE, replace(read, verb="get", subresource=part)).allowed
    assert {grants.decide(ALICE, asked).allowed for asked in (ROLES, ASKING)} == {gives}
    assert not grants.decide(ALICE, Attributes("impersonate", "", "serviceaccounts", namespace="shop")).allowed


def test_a_decision_costs_what_the_caller_is_bound_to_and_not_what_there_is() -> None:
    class Counted(dict[Key, tuple[Rule, ...]]):
        looked = 0

        def get(self, key: Key, default: tuple[Rule, ...] = ()) -> tuple[Rule, ...]:  # type: ignore[override]
            Counted.looked += 1
            return super().get(key, default)

    others = [replace(role(), key=replace(role().key, name=f"r{n}")) for n in range(500)]
    bindings = [
        replace(binding(("User", f"u{n}"), of=one), key=replace(binding(of=one).key, name=f"b{n}"))
        for n, one in enumerate(others)
    ]
    grants = granting(role(), binding(("User", "alice"), of=role()), *others, *bindings)
    grants._roles = Counted(grants._roles)
    assert grants.decide(ALICE, GROUPS).allowed
    assert Counted.looked == 1
