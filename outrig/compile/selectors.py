"""Who chooses whom, both ways, without looking at everything.

A selector is filed under one of its labels, since whatever it matches has that label; a thing under all of its own.
Both also answer the weaker question about *possible* matches: things whose labels are a minimum, not all they have.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterator, Set
from typing import Generic, TypeVar

from outrig.model import Labels, Selector

T = TypeVar("T", bound=Hashable)
_Place = str | None  # a namespace; None: any
_NO_LABEL = ("", "")  # where selectors without labels are filed; no label has an empty key


class SelectorIndex(Generic[T]):
    """Things with a selector; finds those that choose given labels."""

    def __init__(self) -> None:
        self._filed: dict[_Place, dict[str, dict[str, dict[T, Selector]]]] = {}  # by place, key and value of a label

    def add(self, selector: Selector, thing: T) -> None:
        """File a thing."""
        key, value = _filing_label(selector)
        by_key = self._filed.setdefault(selector.namespace, {})
        by_key.setdefault(key, {}).setdefault(value, {})[thing] = selector

    def discard(self, selector: Selector, thing: T) -> None:
        """Forget a thing that was filed with this selector."""
        key, value = _filing_label(selector)
        by_key = self._filed[selector.namespace]
        del by_key[key][value][thing]
        if not by_key[key][value]:
            del by_key[key][value]
        if not by_key[key]:
            del by_key[key]

    def __iter__(self) -> Iterator[T]:
        """All things."""
        for by_key in self._filed.values():
            for by_value in by_key.values():
                for things in by_value.values():
                    yield from things

    def choosing(self, namespace: str, labels: Labels) -> Iterator[T]:
        """The things that choose what has that namespace and those labels."""
        for by_key in self._places(namespace):
            for key, value in (_NO_LABEL, *labels):
                for thing, selector in by_key.get(key, {}).get(value, {}).items():
                    if selector.matches(namespace, labels):
                        yield thing

    def possibly_choosing(self, namespace: str, labels: Labels) -> Iterator[T]:
        """The things that could choose what has that namespace and at least those labels."""
        declared = dict(labels)
        for by_key in self._places(namespace):
            for key, by_value in by_key.items():
                drawers = [by_value.get(declared[key], {})] if key in declared else by_value.values()
                for drawer in drawers:
                    yield from (thing for thing, chosen in drawer.items() if chosen.could_match(namespace, labels))

    def _places(self, namespace: str) -> Iterator[dict[str, dict[str, dict[T, Selector]]]]:
        return (self._filed[place] for place in (namespace, None) if place in self._filed)


class LabelIndex(Generic[T]):
    """Things with a namespace and labels; finds those that a selector chooses."""

    def __init__(self) -> None:
        self._all: dict[Hashable, set[T]] = defaultdict(set)  # by place
        self._keyed: dict[Hashable, set[T]] = defaultdict(set)  # by place and key of a label
        self._labelled: dict[Hashable, set[T]] = defaultdict(set)  # by place and label

    def add(self, namespace: str, labels: Labels, thing: T) -> None:
        """File a thing."""
        for drawers, name in self._drawers(namespace, labels):
            drawers[name].add(thing)

    def discard(self, namespace: str, labels: Labels, thing: T) -> None:
        """Forget a thing that was filed so."""
        for drawers, name in self._drawers(namespace, labels):
            drawers[name].discard(thing)
            if not drawers[name]:
                del drawers[name]

    def chosen_by(self, selector: Selector) -> Set[T]:
        """The things that a selector chooses; costs as much as its rarest label has things."""
        place = selector.namespace
        found = [self._labelled.get((place, label), set()) for label in selector.labels]
        first, *others = sorted(found, key=len) or [self._all.get(place, set())]
        return first.intersection(*others)

    def possibly_chosen_by(self, selector: Selector) -> Set[T]:
        """The things that a selector could choose if they had more labels than they declare."""
        place = selector.namespace
        possible = self._all.get(place, set())
        for label in selector.labels:
            silent = possible - self._keyed.get((place, label[0]), set())
            possible = silent | (possible & self._labelled.get((place, label), set()))
        return possible

    def _drawers(self, namespace: str, labels: Labels) -> Iterator[tuple[dict[Hashable, set[T]], Hashable]]:
        for place in (namespace, None):
            yield self._all, place
            for label in labels:
                yield self._labelled, (place, label)
                yield self._keyed, (place, label[0])


def _filing_label(selector: Selector) -> tuple[str, str]:
    return next(iter(selector.labels), _NO_LABEL)
