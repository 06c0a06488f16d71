"""What permissions mean together at a port: who passes, who does not, and by which rule."""

from typing import Any

import pytest

from outrig.model import (
    Access,
    Action,
    Address,
    Group,
    Ingress,
    Mesh,
    PeerTls,
    Policy,
    Protocol,
    ProxyShape,
    Regime,
    Rule,
    Selector,
    Service,
    TlsMode,
    Workload,
    WorkloadId,
)
from outrig.model.conditions import (
    ALWAYS,
    NEVER,
    AllOf,
    AnyOf,
    Behind,
    Condition,
    Form,
    Having,
    Header,
    Identity,
    Not,
    Path,
    Port,
    Text,
    all_of,
    any_of,
    exactly,
    none_of,
    widened_to_bytes,
)
from outrig.resources import Key
from outrig.view import Gate, Guard, Inward, Traffic, inward_of
from outrig.view.guard import OPEN

GET = Header(":method", exactly("GET"))


def key(name: str) -> Key:
    return Key("test", "Permission", "", "shop", name)


def someone(name: str) -> Identity:
    return Identity(exactly(f"spiffe://test/{name}"))


A, B, C = map(someone, "abc")


def rule(name: str, action: Action, callers: Condition = ALWAYS, calls: Condition = ALWAYS, **more: Any) -> Rule:
    return Rule(key(name), name, action, callers, calls, **more)


def policy(*rules: Rule, rank: int = 0, labels: tuple[tuple[str, str], ...] = (), **more: Any) -> Policy[Access]:
    return Policy(key(f"p{rank}"), Selector("shop", labels), Access(rules, **more), (rank,))


def inward(*policies: Policy[Access], tls: TlsMode = TlsMode.STRICT, **more: Any) -> Inward:
    """What a workload with an HTTP port 80 and a TCP port 90 lets pass."""
    regime = more.pop("regime", Regime.OPEN)
    workload = Workload(key("w"), WorkloadId("shop/w"), "shop", (("app", "w"),), "10.0.0.1", ("x",), regime=regime)
    http = Ingress(80, Protocol.HTTP, Address("127.0.0.1", 8080), name="web", labels=(("tag", "http"),))
    tcp = Ingress(90, Protocol.TCP, Address("127.0.0.1", 9090))
    shape = Policy(key("s"), Selector("shop"), ProxyShape((http, tcp)), (0,))
    demand = Policy(key("d"), Selector("shop"), PeerTls(tls), (0,))
    mesh = Mesh(
        "m", "test", ("pem",), workloads=(workload,), shapes=(shape,), peer_tls=(demand,), access=policies, **more
    )
    return inward_of(workload, mesh)


def guards(*policies: Policy[Access], **more: Any) -> dict[int, Guard]:
    return {guard.port: guard for guard in inward(*policies, **more).guards}


def gate(*policies: Policy[Access], **more: Any) -> Gate:
    """Of the HTTP port."""
    return guards(*policies, **more)[80].gate


def named(rules: tuple[Rule, ...] | None) -> list[str] | None:
    return None if rules is None else [one.name for one in rules]


def test_without_permissions_an_open_workload_lets_everything_pass_and_a_closed_one_nothing() -> None:
    assert guards() == {80: Guard(80, Traffic.REQUESTS, OPEN), 90: Guard(90, Traffic.BYTES, OPEN)}
    assert gate(regime=Regime.CLOSED) == Gate((), ())


def test_one_exclusive_permission_closes_an_open_workload() -> None:
    allow, deny = rule("allow", Action.ALLOW, A), rule("deny", Action.DENY, B)
    assert gate(policy(deny)) == Gate((deny,), None)
    assert gate(policy(allow, exclusive=True), policy(deny)) == Gate((deny,), (allow,))
    assert gate(policy(exclusive=True)) == Gate((), ())


def test_of_a_closed_workload_nothing_counts_while_callers_have_no_certificate() -> None:
    deny = policy(rule("deny", Action.DENY), regime=Regime.CLOSED)
    assert gate(deny, regime=Regime.CLOSED, tls=TlsMode.DISABLE) == OPEN
    assert gate(deny, regime=Regime.CLOSED, tls=TlsMode.PERMISSIVE) != OPEN
    assert gate(policy(rule("deny", Action.DENY)), tls=TlsMode.DISABLE) != OPEN


def test_only_permissions_of_the_own_regime_count() -> None:
    other = policy(rule("deny", Action.DENY), regime=Regime.CLOSED)
    assert gate(other) == OPEN
    assert gate(policy(rule("deny", Action.DENY), exclusive=True), regime=Regime.CLOSED) == Gate((), ())


def test_a_denial_that_yields_leaves_out_whom_a_later_rule_allows() -> None:
    """So of several that fit a caller the last counts."""
    first = rule("all", Action.DENY, yields=True)
    second = rule("a", Action.ALLOW, A)
    third = rule("b", Action.DENY, B, yields=True)
    decided = gate(policy(third, rank=2), policy(second, rank=1), policy(first, rank=0))
    assert decided.denied == (
        Rule(first.origin, "all", Action.DENY, Not(A), ALWAYS, yields=True),
        third,
    )
    assert gate(policy(second, rank=0), policy(first, rank=1)).denied == (first,)


def test_a_firm_denial_stays_whatever_comes_later() -> None:
    deny = rule("deny", Action.DENY, A)
    assert gate(policy(deny, rank=0), policy(rule("allow", Action.ALLOW, A), rank=1)).denied == (deny,)


def test_a_later_allowance_of_some_calls_only_does_not_lift_a_denial_that_yields() -> None:
    deny = rule("deny", Action.DENY, A, yields=True)
    assert gate(policy(deny, rank=0), policy(rule("allow", Action.ALLOW, A, GET), rank=1)).denied == (deny,)


def test_rules_about_other_ports_vanish_and_those_about_this_one_say_no_more_about_it() -> None:
    here, there = rule("here", Action.ALLOW, A, Port(80)), rule("there", Action.ALLOW, B, Port(90))
    found = guards(policy(here, there, exclusive=True))
    assert [named(found[port].gate.allowed) for port in (80, 90)] == [["here"], ["there"]]
    assert found[80].gate.allowed == (rule("here", Action.ALLOW, A),)


def test_where_bytes_come_a_rule_about_requests_allows_nothing_and_denies_by_the_rest() -> None:
    allow, deny = rule("allow", Action.ALLOW, A, GET), rule("deny", Action.DENY, B, AllOf((GET, Port(90))))
    found = guards(policy(allow, exclusive=True), policy(deny))
    assert found[80].gate == Gate((), (allow,))
    assert found[90].gate == Gate((rule("deny", Action.DENY, B),), ())


def test_what_a_rule_asks_of_requests_to_other_ports_does_not_matter_where_bytes_come() -> None:
    mixed = AnyOf((AllOf((GET, Port(80))), Port(90)))
    found = guards(policy(rule("allow", Action.ALLOW, A, mixed), rule("deny", Action.DENY, B, AllOf((GET, Port(80))))))
    assert found[90].gate == OPEN
    found = guards(policy(rule("allow", Action.ALLOW, A, mixed), exclusive=True))
    assert found[90].gate == Gate((), (rule("allow", Action.ALLOW, A),))


@pytest.mark.parametrize(
    ("condition", "widened"),
    [
        (GET, ALWAYS),
        (Not(GET), ALWAYS),
        (AllOf((GET, Port(1))), Port(1)),
        (AnyOf((GET, Port(1))), ALWAYS),
        (AnyOf((AllOf((GET, Port(1))), Port(2))), AnyOf((Port(1), Port(2)))),
        (Not(AllOf((GET, Port(1)))), ALWAYS),
        (Not(Port(1)), Not(Port(1))),
        (Path(exactly("/")), ALWAYS),
    ],
)
def test_widening_never_misses_a_connection(condition: Condition, widened: Condition) -> None:
    assert widened_to_bytes(condition) == widened


def test_rehearsals_change_nothing_and_are_told_apart() -> None:
    deny = policy(rule("deny", Action.DENY, A), rehearsed=True)
    assert guards(deny)[80] == Guard(80, Traffic.REQUESTS, OPEN, Gate(deny.settings.rules, None))
    exclusive = policy(rule("allow", Action.ALLOW, A), rehearsed=True, exclusive=True)
    assert guards(exclusive)[80] == Guard(80, Traffic.REQUESTS, OPEN, Gate((), exclusive.settings.rules))


def test_a_doubt_allows_and_denies_in_rehearsal() -> None:
    doubt = rule("doubt", Action.DOUBT, A, yields=True)
    found = guards(policy(doubt, regime=Regime.CLOSED), regime=Regime.CLOSED)[80]
    assert found.gate == Gate((), (doubt,))
    assert found.rehearsed == Gate((Rule(doubt.origin, "doubt", Action.DENY, A, yields=True),), ())


def test_permissions_of_ports_choose_by_the_labels_and_the_name_of_a_port() -> None:
    by_label = policy(rule("label", Action.DENY), labels=(("tag", "http"),), of_ports=True)
    by_name = policy(rule("name", Action.DENY), section="web", rank=1)
    found = guards(by_label, by_name)
    assert [named(found[port].gate.denied) for port in (80, 90)] == [["label", "name"], []]
    of_workload = policy(rule("workload", Action.DENY), labels=(("tag", "http"),))
    assert gate(of_workload) == OPEN
    assert gate(policy(rule("port", Action.DENY), labels=(("app", "w"),), of_ports=True)) == OPEN


def test_groups_are_named_by_what_they_declare_and_by_services_that_choose_that() -> None:
    """A service whose workloads might be of the group is not enough: labels that a task adds lend it no permission."""
    groups = (
        Group(key("web"), "shop", (("app", "web"),), ("spiffe://test/web",)),
        Group(key("bare"), "shop", (), ("spiffe://test/bare",)),
    )
    services = (Service(key("front"), "shop", "front", (), Selector("shop", (("app", "web"),))),)
    known = {"groups": groups, "services": services}
    allow = policy(
        rule("behind", Action.ALLOW, Behind("shop", "front")), rule("having", Action.ALLOW, Having((("app", "web"),)))
    )
    decided = gate(allow, regime=Regime.OPEN, **known)
    assert decided == OPEN
    decided = gate(policy(*allow.settings.rules, exclusive=True), **known)
    assert decided.allowed is not None
    assert [one.callers for one in decided.allowed] == [someone("web"), someone("web")]
    assert named(gate(policy(*allow.settings.rules, exclusive=True)).allowed) == []


def test_findings_tell_what_cannot_have_the_effect_it_looks_like() -> None:
    deny = policy(
        rule("r0", Action.DENY, Behind("shop", "nobody"), Port(8080)),
        rule("r1", Action.DENY, ALWAYS, GET),
        rule("r2", Action.ALLOW, ALWAYS, GET),
        labels=(("app", "w"),),
    )
    assert [f"{one.code} {one.problem}" for one in inward(deny).findings] == [
        "OUT612 shop/nobody is no service that chooses a WorkloadGroup by the labels it declares, so the rule names "
        "nobody",
        "OUT613 r0 is about port 8080, where the proxy of this workload does not receive",
        "OUT614 r1 asks for hosts, methods, paths or headers, but port 90 takes bytes: it denies by what else it says",
        "OUT614 r2 asks for hosts, methods, paths or headers, but port 90 takes bytes: it never allows anything there",
    ]


def test_a_permission_for_a_port_that_is_not_there_is_told_where_it_is_aimed_at_some() -> None:
    rules = (rule("r", Action.ALLOW),)
    aimed = policy(*rules, labels=(("app", "w"),), section="gone")
    assert [(one.code, one.problem, one.hint) for one in inward(aimed).findings] == [
        (
            "OUT613",
            "is for inbound 'gone', which this workload does not have, so it has no effect here",
            "it has web",
        )
    ]
    assert inward(policy(*rules, section="gone")).findings == ()
    assert inward(policy(*rules, labels=(("app", "w"),), section="web")).findings == ()


def test_conditions_are_joined_in_the_shortest_form() -> None:
    assert all_of([A, ALWAYS, A]) == A
    assert all_of([A, NEVER]) == NEVER
    assert any_of([NEVER, A]) == A
    assert any_of([A, ALWAYS]) == ALWAYS
    assert none_of([]) == ALWAYS
    assert none_of([ALWAYS, A]) == NEVER
    assert none_of([Not(A)]) == A
    assert none_of([A, B]) == Not(AnyOf((A, B)))


@pytest.mark.parametrize(
    ("text", "fitting", "other"),
    [
        (exactly("ab"), "ab", "abc"),
        (Text(Form.PREFIX, "ab"), "abc", "bab"),
        (Text(Form.SUFFIX, "ab"), "cab", "abc"),
        (Text(Form.PATTERN, "a.c"), "abc", "abcd"),
        (Text(Form.PRESENT), "a", ""),
    ],
)
def test_texts_are_compared_as_their_form_says(text: Text, fitting: str, other: str) -> None:
    assert text.fits(fitting)
    assert not text.fits(other)
