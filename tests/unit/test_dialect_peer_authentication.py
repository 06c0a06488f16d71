"""PeerAuthentication: which mode holds where, and what is refused or ignored."""

from datetime import timedelta

import pytest

from outrig.model import PeerTls, Policy, Selector, TlsMode
from outrig.resources import Resource
from tests.unit.dialect_making import NOON, cells, facts, resource, said

SELECTOR = "selector: {matchLabels: {app: ratings}}"


def peer(spec: str, *, name: str = "x", namespace: str = "bookinfo", age: int = 0) -> Resource:
    text = (
        "{apiVersion: security.istio.io/v1, kind: PeerAuthentication, "
        f"metadata: {{name: {name}, namespace: {namespace}}}, spec: {{{spec}}}}}"
    )
    return resource(text, created=NOON - timedelta(seconds=age))


def policy(made: Resource) -> Policy[PeerTls]:
    (fact,) = facts(made)
    assert isinstance(fact, Policy)
    assert isinstance(fact.settings, PeerTls)
    return fact


@pytest.mark.parametrize(
    ("spec", "settings"),
    [
        ("", PeerTls()),
        ("mtls: {}", PeerTls()),
        ("mtls: {mode: UNSET}", PeerTls()),
        ("mtls: {mode: PERMISSIVE}", PeerTls(TlsMode.PERMISSIVE)),
        (
            f"{SELECTOR}, portLevelMtls: {{'9090': {{mode: DISABLE}}, '80': {{mode: STRICT}}, '81': {{}}}}",
            PeerTls(None, ((80, TlsMode.STRICT), (9090, TlsMode.DISABLE))),
        ),
    ],
)
def test_what_is_unset_falls_through(spec: str, settings: PeerTls) -> None:
    assert policy(peer(spec)).settings == settings
    assert said(peer(spec)) == []


def test_it_reaches_workloads_a_namespace_or_from_the_root_namespace_all() -> None:
    mode = "mtls: {mode: STRICT}"
    assert policy(peer(f"{mode}, {SELECTOR}")).applies_to == Selector("bookinfo", (("app", "ratings"),))
    assert policy(peer(mode)).applies_to == Selector("bookinfo")
    assert policy(peer(mode, namespace="istio-system")).applies_to == Selector(None)


def test_workload_outranks_namespace_outranks_mesh_and_the_oldest_wins_within() -> None:
    in_order = [
        peer(SELECTOR, name="b", age=2),
        peer(SELECTOR, name="a", age=1),
        peer("", age=3),
        peer("", age=2),
        peer("", namespace="istio-system", age=9),
    ]
    assert sorted(in_order, key=lambda made: policy(made).rank, reverse=True) == in_order


def test_a_selector_in_the_root_namespace_is_ignored_and_said_to_be() -> None:
    made = peer(f"{SELECTOR}, mtls: {{mode: DISABLE}}", namespace="istio-system")
    assert facts(made) == ()
    assert said(made) == [
        "warning OUT311 spec.selector: is ignored: in istio-system only a PeerAuthentication without selector has an "
        "effect (move it to the workloads' namespace)"
    ]


def test_modes_of_ports_need_a_selector() -> None:
    assert said(peer("portLevelMtls: {'80': {mode: STRICT}}")) == [
        "error OUT304 spec.portLevelMtls: port level modes need a selector (add spec.selector)"
    ]


def test_the_table_shows_the_mode() -> None:
    assert cells(peer("mtls: {mode: STRICT}"))[0] == "STRICT"
    assert cells(peer(""))[0] == ""
