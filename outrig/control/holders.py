"""Who holds what: a set of pairs, looked up from either thing held."""

from collections import defaultdict
from collections.abc import Hashable, Set
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)
H = TypeVar("H", bound=Hashable)


class Holders(Generic[T, H]):
    """Holders by the things they hold."""

    def __init__(self) -> None:
        self._holders: dict[T, set[H]] = defaultdict(set)

    def move(self, holder: H, before: Set[T], after: Set[T]) -> None:
        """It holds other things than before."""
        for thing in after - before:
            self.put(holder, thing, held=True)
        for thing in before - after:
            self.put(holder, thing, held=False)

    def put(self, holder: H, thing: T, *, held: bool) -> None:
        """It holds a thing, or does not, whichever it did before."""
        if held:
            self._holders[thing].add(holder)
            return
        self._holders[thing].discard(holder)
        if not self._holders[thing]:
            del self._holders[thing]

    def of(self, thing: T) -> Set[H]:
        """Those who hold it."""
        return self._holders.get(thing, frozenset())
