"""Rules only ever add up, and what covers a rule allows all that the rule does: whatever the rules and the request."""

from hypothesis import given
from hypothesis import strategies as st

from outrig.api.access.rules import Attributes, Rule, uncovered

VERBS = st.sampled_from(["get", "list", "delete", "*"])
GROUPS = st.sampled_from(["", "kuma.io", "*"])
RESOURCES = st.sampled_from(["services", "services/status", "*/status", "*", "meshes", "meshes/status"])
NAMES = st.sampled_from(["a", "b"])
PATHS = st.sampled_from(["/", "/a", "/a/*", "/a/b", "*", "/a*"])


def some(values: st.SearchStrategy[str], *, least: int = 1) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(values, min_size=least, max_size=3, unique=True).map(tuple)


ABOUT_RESOURCES = st.builds(Rule, some(VERBS), some(GROUPS), some(RESOURCES), some(NAMES, least=0))
ABOUT_PATHS = st.builds(lambda verbs, paths: Rule(verbs, paths=paths), some(VERBS), some(PATHS))
RULES = st.one_of(ABOUT_RESOURCES, ABOUT_PATHS)
REQUESTS = st.one_of(
    st.builds(
        Attributes,
        st.sampled_from(["get", "list", "delete", "patch"]),
        st.sampled_from(["", "kuma.io", "other"]),
        st.sampled_from(["services", "meshes", "pods"]),
        st.sampled_from(["", "status", "scale"]),
        st.just(""),
        st.sampled_from(["", "a", "b", "c"]),
    ),
    st.builds(lambda verb, path: Attributes(verb, path=path), VERBS, st.sampled_from(["/", "/a", "/a/b", "/ab", "/b"])),
)


def allowed(rules: list[Rule], asked: Attributes) -> bool:
    return any(rule.allows(asked) for rule in rules)


@given(st.lists(RULES, max_size=4), RULES, REQUESTS)
def test_one_rule_more_never_takes_away(rules: list[Rule], more: Rule, asked: Attributes) -> None:
    assert allowed([*rules, more], asked) >= allowed(rules, asked)


@given(st.lists(RULES, max_size=4), st.lists(RULES, max_size=3), REQUESTS)
def test_who_may_give_rules_may_do_all_that_they_allow(held: list[Rule], wanted: list[Rule], asked: Attributes) -> None:
    missing = uncovered(held, wanted)
    if not missing:
        assert allowed(held, asked) >= allowed(wanted, asked)
    assert allowed([*held, *missing], asked) >= allowed(wanted, asked), "what is named as missing is all of it"


@given(st.lists(RULES, max_size=4))
def test_everybody_may_give_what_he_has(held: list[Rule]) -> None:
    assert uncovered(held, held) == []


@given(RULES, REQUESTS)
def test_a_rule_in_parts_says_the_same(rule: Rule, asked: Attributes) -> None:
    assert allowed(list(rule.split()), asked) is rule.allows(asked)
