"""MeshTrafficPermission: whom it is for, whom it is about, in which order several count, and what is refused."""

from typing import Any

import pytest

from outrig.model import Access, Action, Policy, Regime, Selector
from outrig.model.conditions import ALWAYS, AllOf, AnyOf, Behind, Condition, Form, Having, Identity, Text, exactly
from outrig.resources import Resource
from tests.mesh_making import BY_NAME, document
from tests.unit.dialect_making import SCOPE

KNOWN = Identity(Text(Form.PREFIX, "spiffe://"))
MESH = {"kind": "Mesh"}


def permission(spec: dict[str, Any], *, name: str = "p", **labels: str) -> Resource:
    return document({"type": "MeshTrafficPermission", "mesh": "default", "name": name, "labels": labels, "spec": spec})


def of(target: dict[str, Any] | None = None, *, name: str = "p", **labels: str) -> Policy[Access]:
    """What one says that allows everybody."""
    spec = {"from": [{"targetRef": MESH, "default": {"action": "Allow"}}], **({"targetRef": target} if target else {})}
    return compiled(permission(spec, name=name, **labels))


def compiled(made: Resource) -> Policy[Access]:
    (fact,) = BY_NAME["MeshTrafficPermission"].compile(made, SCOPE)
    assert isinstance(fact, Policy)
    assert isinstance(fact.settings, Access)
    return fact


def callers(target: dict[str, Any]) -> Condition:
    spec = {"from": [{"targetRef": target, "default": {"action": "Allow"}}]}
    assert not [line for line in said(spec) if line.startswith("error")]
    return compiled(permission(spec)).settings.rules[0].callers


def said(spec: dict[str, Any], **labels: str) -> list[str]:
    found = BY_NAME["MeshTrafficPermission"].findings(permission(spec, **labels))
    return [f"{one.severity} {str(one).replace(f'{one.origin} ', '')}" for one in found]


def uri(value: str) -> Identity:
    return Identity(exactly(value))


@pytest.mark.parametrize(
    ("target", "labels", "of_ports", "section"),
    [
        (None, {}, False, ""),
        ({"kind": "Mesh"}, {}, False, ""),
        ({"kind": "Dataplane"}, {}, False, ""),
        ({"kind": "Dataplane", "labels": {"app": "kv"}}, {"app": "kv"}, False, ""),
        ({"kind": "Dataplane", "name": "kv-1", "sectionName": "main"}, {"@dataplane": "kv-1"}, False, "main"),
        ({"kind": "MeshSubset", "tags": {"env": "prod"}}, {"env": "prod"}, True, ""),
        ({"kind": "MeshService", "name": "kv"}, {"kuma.io/service": "kv"}, True, ""),
        (
            {"kind": "MeshServiceSubset", "name": "kv", "tags": {"v": "1"}},
            {"kuma.io/service": "kv", "v": "1"},
            True,
            "",
        ),
    ],
)
def test_it_is_for_dataplanes_by_their_labels_or_for_inbounds_by_their_tags(
    target: dict[str, Any] | None, labels: dict[str, str], of_ports: bool, section: str
) -> None:
    found = of(target)
    assert found.applies_to == Selector("kuma-default", tuple(sorted(labels.items())))
    assert (found.settings.of_ports, found.settings.section) == (of_ports, section)
    assert (found.settings.regime, found.settings.exclusive) == (Regime.CLOSED, False)


def test_the_closer_reference_outranks_and_among_equals_the_first_name() -> None:
    in_order = [
        of({"kind": "Mesh"}, name="b"),
        of({"kind": "Mesh"}, name="ab"),
        of({"kind": "Mesh"}, name="a"),
        of({"kind": "Dataplane"}),
        of({"kind": "Dataplane", "labels": {"a": "b"}}),
        of({"kind": "Dataplane", "labels": {"a": "b"}, "sectionName": "s"}),
        of({"kind": "Dataplane", "name": "a"}),
        of({"kind": "Dataplane", "name": "a", "sectionName": "s"}),
        of({"kind": "MeshSubset", "tags": {"a": "b"}}),
        of({"kind": "MeshService", "name": "a"}),
        of({"kind": "MeshServiceSubset", "name": "a"}),
    ]
    assert sorted(in_order, key=lambda one: one.rank) == in_order


@pytest.mark.parametrize(
    ("target", "condition"),
    [
        ({"kind": "Mesh"}, ALWAYS),
        ({"kind": "MeshService", "name": "kv"}, uri("spiffe://default/kv")),
        (
            {"kind": "MeshService", "name": "web_shop_svc_80"},
            AnyOf((uri("spiffe://default/web_shop_svc_80"), Behind("shop", "web"))),
        ),
        (
            {"kind": "MeshSubset", "tags": {"team": "blue", "env": "x"}},
            AnyOf((AllOf((uri("kuma://env/x"), uri("kuma://team/blue"))), Having((("env", "x"), ("team", "blue"))))),
        ),
        (
            {"kind": "MeshSubset", "tags": {"kuma.io/zone": "default"}},
            AnyOf((uri("kuma://kuma.io/zone/default"), KNOWN)),
        ),
        ({"kind": "MeshSubset", "tags": {"kuma.io/zone": "far"}}, uri("kuma://kuma.io/zone/far")),
        ({"kind": "MeshSubset", "tags": {"kuma.io/service": "kv"}}, uri("spiffe://default/kv")),
        (
            {"kind": "MeshServiceSubset", "name": "kv", "tags": {"v": "1"}},
            AllOf((uri("spiffe://default/kv"), uri("kuma://v/1"))),
        ),
    ],
)
def test_callers_are_dataplanes_by_their_certificate_and_groups_by_labels_and_services(
    target: dict[str, Any], condition: Condition
) -> None:
    assert callers(target) == condition


def test_what_comes_from_callers_yields_to_what_comes_later() -> None:
    items = [{"targetRef": MESH, "default": {"action": action}} for action in ("Deny", "Allow", "AllowWithShadowDeny")]
    rules = compiled(permission({"from": items})).settings.rules
    assert [(rule.name, rule.action, rule.yields) for rule in rules] == [
        ("mesh[default]-permission[p]-from[0]", Action.DENY, True),
        ("mesh[default]-permission[p]-from[1]", Action.ALLOW, True),
        ("mesh[default]-permission[p]-from[2]", Action.DOUBT, True),
    ]


def test_what_lists_deny_is_firm() -> None:
    def match(value: str, type_: str = "Exact") -> dict[str, Any]:
        return {"spiffeID": {"type": type_, "value": value}}

    lists = {
        "deny": [match("spiffe://a/b")],
        "allowWithShadowDeny": [match("spiffe://a/c")],
        "allow": [match("spiffe://a/", "Prefix")],
    }
    rules = compiled(permission({"rules": [{"default": lists}]})).settings.rules
    assert [(rule.name.partition("]-")[2], rule.action, rule.callers, rule.yields) for rule in rules] == [
        ("permission[p]-rules[0].deny[0]", Action.DENY, uri("spiffe://a/b"), False),
        ("permission[p]-rules[0].allowWithShadowDeny[0]", Action.DOUBT, uri("spiffe://a/c"), False),
        ("permission[p]-rules[0].allow[0]", Action.ALLOW, Identity(Text(Form.PREFIX, "spiffe://a/")), False),
    ]


def test_one_that_is_labelled_shadow_is_only_rehearsed() -> None:
    assert of(None, **{"kuma.io/effect": "shadow"}).settings.rehearsed
    assert not of().settings.rehearsed


def test_all_that_is_wrong_is_said_at_once_and_where() -> None:
    spec = {
        "targetRef": {"kind": "MeshGateway", "name": "x"},
        "from": [
            {"targetRef": {"kind": "Dataplane"}, "default": {"action": "Allow"}},
            {"targetRef": {"kind": "MeshService", "tags": {"a": "b"}}, "default": {"action": "Allow"}},
            {"targetRef": {"kind": "MeshSubset", "tags": {"a!": "b c"}, "mesh": "x"}, "default": {"action": "Deny"}},
            {"targetRef": {"kind": "MeshSubst"}, "default": {"action": "Deny"}},
        ],
        "rules": [
            {"default": {}},
            {
                "default": {
                    "allow": [
                        {},
                        {"sni": {"type": "Exact", "value": "x"}},
                        {"spiffeID": {"type": "Exact", "value": "kv"}},
                        {"spiffeID": {"type": "Prefix", "value": "spiffe://default/kv"}},
                    ]
                }
            },
        ],
    }
    assert said(spec) == [
        "error OUT301 spec.targetRef.kind: 'MeshGateway' is not supported here (known: Dataplane, Mesh, "
        "MeshService, MeshServiceSubset, MeshSubset)",
        "error OUT303 spec.from: fields 'to' and 'from' must be empty when 'rules' is defined",
        "error OUT301 spec.from[0].targetRef.kind: 'Dataplane' is not supported here (known: Mesh, MeshService, "
        "MeshServiceSubset, MeshSubset)",
        "error OUT303 spec.from[1].targetRef.tags: must not be set with kind MeshService (MeshSubset and "
        "MeshServiceSubset have tags)",
        "error OUT304 spec.from[1].targetRef.name: must be set with kind MeshService",
        "warning OUT318 spec.from[1].targetRef.kind: 'MeshService' is deprecated (write kind: MeshSubset, tags: "
        "{kuma.io/service: NAME})",
        "error OUT301 spec.from[2].targetRef.mesh: is not supported yet",
        'error OUT303 spec.from[2].targetRef.tags["a!"]: tag name must be non-empty and consist of letters, digits '
        "and . - _ : /",
        'error OUT303 spec.from[2].targetRef.tags["a!"]: tag value must be non-empty and consist of letters, digits '
        "and . - _ :",
        "error OUT303 spec.from[3].targetRef.kind: 'MeshSubst' is no kind (did you mean 'MeshSubset'?)",
        "error OUT304 spec.rules[0].default: at least one of deny, allowWithShadowDeny, allow has to be defined",
        "error OUT304 spec.rules[1].default.allow[0]: is empty, so it says nothing (write spiffeID)",
        "error OUT301 spec.rules[1].default.allow[1].sni: is not supported yet: calls of the mesh name no server",
        "error OUT303 spec.rules[1].default.allow[2].spiffeID.value: is no SPIFFE ID (it begins with spiffe://)",
        "warning OUT303 spec.rules[1].default.allow[3].spiffeID.value: also fits identities such as "
        "spiffe://default/kv-other (write type: Exact, unless that is meant)",
    ]


def test_it_says_something_and_names_a_dataplane_in_one_way() -> None:
    target = {"kind": "Dataplane", "name": "a", "labels": {"b": "c"}}
    assert said({"targetRef": target}) == [
        "error OUT303 spec.targetRef.labels: either labels or name can be specified",
        "error OUT304 spec: at least one of 'from', 'rules' has to be defined",
    ]


def test_a_service_by_its_name_works_and_the_hint_at_its_replacement_means_the_same() -> None:
    def hint(place: str) -> str:
        told = f"warning OUT318 spec.{place}.kind: 'MeshService' is deprecated (write kind: MeshSubset, tags: "
        return told + "{kuma.io/service: kv})"

    old, new = {"kind": "MeshService", "name": "kv"}, {"kind": "MeshSubset", "tags": {"kuma.io/service": "kv"}}
    spec = {"from": [{"targetRef": old, "default": {"action": "Allow"}}]}
    assert said({"targetRef": old, **spec}) == [hint("targetRef"), hint("from[0].targetRef")]
    assert callers(old) == callers(new)
    assert of(old).applies_to == of(new).applies_to


@pytest.mark.parametrize(
    ("name", "hint"), [("*", "kind Mesh means all"), ("a b", "it is the value of the tag kuma.io/service")]
)
def test_a_service_that_nothing_can_be_called_is_refused(name: str, hint: str) -> None:
    caller = {"targetRef": {"kind": "MeshService", "name": name}, "default": {"action": "Allow"}}
    assert said({"from": [caller]})[0] == (
        f"error OUT303 spec.from[0].targetRef.name: is no name of a service ({hint})"
    )


def test_an_effect_that_is_none_is_told() -> None:
    spec = {"from": [{"targetRef": MESH, "default": {"action": "Allow"}}]}
    assert said(spec, **{"kuma.io/effect": "dry"}) == [
        "warning OUT302 labels[\"kuma.io/effect\"]: 'dry' has no effect (write shadow, or leave it out)"
    ]


@pytest.mark.parametrize("field", [{"mesh": "other"}, {"namespace": "shop"}, {"proxyTypes": ["Sidecar"]}])
def test_fields_of_a_target_that_are_of_later_work_are_refused_wherever_it_stands(field: dict[str, Any]) -> None:
    (name,) = field
    caller = {"targetRef": {**MESH, **field}, "default": {"action": "Allow"}}
    assert said({"targetRef": {**MESH, **field}, "from": [caller]}) == [
        f"error OUT301 spec.targetRef.{name}: is not supported yet",
        f"error OUT301 spec.from[0].targetRef.{name}: is not supported yet",
    ]


@pytest.mark.parametrize(
    ("form", "value", "told"),
    [
        ("Exact", "spiffe://defualt/demo-app", True),
        ("Exact", "spiffe://default/demo-app", False),
        ("Exact", "spiffe://example.org/ns/shop/sa/web", False),
        ("Exact", "spiffe://example.org", True),
        ("Exact", "spiffe://default", True),
        ("Exact", "spiffe://default/", True),
        ("Exact", "spiffe://default/a?x", True),
        ("Exact", f"spiffe://default/{'a' * 254}", True),
        ("Prefix", "spiffe://default/", False),
        ("Prefix", "spiffe://example.org/", False),
        ("Prefix", "spiffe://default/a?/", True),
    ],
)
def test_an_identity_that_no_dataplane_of_the_mesh_can_have_is_told_at_once(form: str, value: str, told: bool) -> None:
    """Which trust domain WorkloadGroups have depends on the installation, so it is not judged."""
    found = said({"rules": [{"default": {"allow": [{"spiffeID": {"type": form, "value": value}}]}}]})
    assert found == (
        [
            "warning OUT311 spec.rules[0].default.allow[0].spiffeID.value: fits nobody: Dataplanes of mesh default are "
            "spiffe://default/SERVICE (tasks of WorkloadGroups: spiffe://TRUST-DOMAIN/ns/…)"
        ]
        if told
        else []
    )


@pytest.mark.parametrize(
    ("value", "advice"),
    [("spiffe://default/kv", "write type: Exact"), ("spiffe://example.org/ns", "end it with /")],
)
def test_a_prefix_that_fits_more_than_it_seems_is_told_with_what_fits(value: str, advice: str) -> None:
    found = said({"rules": [{"default": {"allow": [{"spiffeID": {"type": "Prefix", "value": value}}]}}]})
    assert found == [
        "warning OUT303 spec.rules[0].default.allow[0].spiffeID.value: also fits identities such as "
        f"{value}-other ({advice}, unless that is meant)"
    ]
