"""The selector indexes find exactly what looking at everything finds."""

from hypothesis import given
from hypothesis import strategies as st

from outrig.compile.selectors import LabelIndex, SelectorIndex
from outrig.model import Labels, Selector, labels_of

SPACES = st.sampled_from(["a", "b"])
LABELS = st.dictionaries(st.sampled_from("xyz"), st.sampled_from("12")).map(labels_of)
SELECTORS = st.builds(Selector, st.one_of(st.none(), SPACES), LABELS)
THINGS = st.dictionaries(st.integers(0, 9), st.tuples(SPACES, LABELS))


@given(st.dictionaries(st.integers(0, 9), SELECTORS), st.sets(st.integers(0, 9)), SPACES, LABELS)
def test_selectors(selectors: dict[int, Selector], gone: set[int], space: str, labels: Labels) -> None:
    index: SelectorIndex[int] = SelectorIndex()
    for name, selector in selectors.items():
        index.add(selector, name)
    left = {name: selector for name, selector in selectors.items() if name not in gone}
    for name in selectors.keys() - left.keys():
        index.discard(selectors[name], name)
    assert sorted(index.choosing(space, labels)) == [n for n, s in sorted(left.items()) if s.matches(space, labels)]
    possible = [n for n, s in sorted(left.items()) if s.could_match(space, labels)]
    assert sorted(index.possibly_choosing(space, labels)) == possible


@given(THINGS, st.sets(st.integers(0, 9)), SELECTORS)
def test_labels(things: dict[int, tuple[str, Labels]], gone: set[int], selector: Selector) -> None:
    index: LabelIndex[int] = LabelIndex()
    for name, (space, labels) in things.items():
        index.add(space, labels, name)
    left = {name: thing for name, thing in things.items() if name not in gone}
    for name in things.keys() - left.keys():
        index.discard(*things[name], name)
    assert index.chosen_by(selector) == {name for name, thing in left.items() if selector.matches(*thing)}
    assert index.possibly_chosen_by(selector) == {name for name, thing in left.items() if selector.could_match(*thing)}
