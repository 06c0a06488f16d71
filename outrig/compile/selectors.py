"""Who chooses whom, both ways, without looking at everything.

A selector is filed under one of its labels, since whatever it matches has that label; a workload under all of its own.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

from outrig.model import Labels, Selector

T = TypeVar("T", bound=Hashable)
_Drawer = tuple[str | None, tuple[str, str] | None]  # namespace (None: any), label (None: none asked)


class SelectorIndex(Generic[T]):
    """Things with a selector; finds those that choose given labels."""

    def __init__(self) -> None:
        self._drawers: dict[_Drawer, dict[T, Selector]] = defaultdict(dict)

    def add(self, selector: Selector, thing: T) -> None:
        """File a thing."""
        self._drawers[_drawer(selector)][thing] = selector

    def discard(self, selector: Selector, thing: T) -> None:
        """Forget a thing that was filed with this selector."""
        drawer = self._drawers[_drawer(selector)]
        drawer.pop(thing, None)
        if not drawer:
            del self._drawers[_drawer(selector)]

    def choosing(self, namespace: str, labels: Labels) -> Iterator[T]:
        """The things that choose a workload of that namespace with those labels."""
        for place in (namespace, None):
            for label in (None, *labels):
                for thing, selector in self._drawers.get((place, label), {}).items():
                    if selector.matches(namespace, labels):
                        yield thing


class LabelIndex(Generic[T]):
    """Things with a namespace and labels; finds those that a selector chooses."""

    def __init__(self) -> None:
        self._drawers: dict[_Drawer, set[T]] = defaultdict(set)

    def add(self, namespace: str, labels: Labels, thing: T) -> None:
        """File a thing."""
        for drawer in _all_drawers(namespace, labels):
            self._drawers[drawer].add(thing)

    def discard(self, namespace: str, labels: Labels, thing: T) -> None:
        """Forget a thing that was filed so."""
        for drawer in _all_drawers(namespace, labels):
            self._drawers[drawer].discard(thing)
            if not self._drawers[drawer]:
                del self._drawers[drawer]

    def chosen_by(self, selector: Selector) -> set[T]:
        """The things that a selector chooses; costs as much as its rarest label has things."""
        drawers = [(selector.namespace, label) for label in selector.labels or (None,)]
        found = sorted((self._drawers.get(drawer, set()) for drawer in drawers), key=len)
        return found[0].intersection(*found[1:])


def _drawer(selector: Selector) -> _Drawer:
    return selector.namespace, next(iter(selector.labels), None)


def _all_drawers(namespace: str, labels: Labels) -> Iterator[_Drawer]:
    for place in (namespace, None):
        for label in (None, *labels):
            yield place, label
