"""What is folded into denials and allowances means what the permissions mean one by one."""

from hypothesis import given, settings
from hypothesis import strategies as st

from outrig.model import (
    Access,
    Action,
    Address,
    Ingress,
    Mesh,
    PeerTls,
    Policy,
    Protocol,
    ProxyShape,
    Regime,
    Rule,
    Selector,
    TlsMode,
    Workload,
    WorkloadId,
)
from outrig.model.conditions import ALWAYS, NEVER, AllOf, AnyOf, Condition, Identity, Not, exactly
from outrig.resources import Key
from outrig.view import Gate, inward_of

CALLERS = ("a", "b", "c", "")  # the last has no certificate
KEY = Key("test", "Permission", "", "shop", "p")
CONDITIONS: st.SearchStrategy[Condition] = st.recursive(
    st.sampled_from([ALWAYS, NEVER, *(Identity(exactly(one)) for one in "abc")]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2).map(lambda parts: AllOf(tuple(parts))),
        st.lists(inner, max_size=2).map(lambda parts: AnyOf(tuple(parts))),
        inner.map(Not),
    ),
    max_leaves=4,
)
SHAPE = Policy(KEY, Selector("shop"), ProxyShape((Ingress(80, Protocol.HTTP, Address("127.0.0.1", 81)),)), (0,))
STRICT = Policy(KEY, Selector("shop"), PeerTls(TlsMode.STRICT), (0,))


def holds(condition: Condition, caller: str) -> bool:
    match condition:
        case AllOf(parts):
            return all(holds(part, caller) for part in parts)
        case AnyOf(parts):
            return any(holds(part, caller) for part in parts)
        case Not(part):
            return not holds(part, caller)
        case Identity(uri):
            return caller != "" and uri.fits(caller)
    raise AssertionError(condition)


def gate(regime: Regime, *some: Access) -> Gate:
    workload = Workload(KEY, WorkloadId("shop/w"), "shop", (), "10.0.0.1", ("w",), regime=regime)
    access = tuple(Policy(KEY, Selector("shop"), one, (rank,)) for rank, one in enumerate(some))
    mesh = Mesh("m", "test", ("pem",), workloads=(workload,), shapes=(SHAPE,), peer_tls=(STRICT,), access=access)
    (guard,) = inward_of(workload, mesh).guards
    return guard.gate


def passes(decided: Gate, caller: str) -> bool:
    """As a proxy reads it."""
    if any(holds(rule.callers, caller) for rule in decided.denied):
        return False
    return decided.allowed is None or any(holds(rule.callers, caller) for rule in decided.allowed)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([Action.ALLOW, Action.DENY]), CONDITIONS), max_size=6))
def test_of_rules_that_yield_the_last_that_fits_counts_and_without_one_nobody_passes(
    items: list[tuple[Action, Condition]],
) -> None:
    rules = tuple(Rule(KEY, str(n), action, callers, yields=True) for n, (action, callers) in enumerate(items))
    decided = gate(Regime.CLOSED, *(Access((rule,), Regime.CLOSED) for rule in rules))
    for caller in CALLERS:
        fitting = [rule.action for rule in rules if holds(rule.callers, caller)]
        assert passes(decided, caller) == (bool(fitting) and fitting[-1] is Action.ALLOW)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([Action.ALLOW, Action.DENY]), st.lists(CONDITIONS, max_size=2)), max_size=4))
def test_of_policies_a_denial_counts_first_and_then_one_allowance_if_there_is_any(
    policies: list[tuple[Action, list[Condition]]],
) -> None:
    some = [
        Access(tuple(Rule(KEY, "r", action, one) for one in conditions), exclusive=action is Action.ALLOW)
        for action, conditions in policies
    ]
    decided = gate(Regime.OPEN, *some)
    for caller in CALLERS:

        def fits(action: Action, caller: str = caller) -> bool:
            return any(act is action and holds(one, caller) for act, conditions in policies for one in conditions)

        allowances = any(action is Action.ALLOW for action, _ in policies)
        assert passes(decided, caller) == (not fits(Action.DENY) and (not allowances or fits(Action.ALLOW)))
