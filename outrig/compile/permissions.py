"""The permissions of one mesh: which choose whom, and whom they name."""

from collections.abc import Iterable, Iterator, Set
from typing import Any

from outrig.compile.selectors import SelectorIndex
from outrig.model import Access, Group, Labels, Policy, Selector, Service
from outrig.model.conditions import Behind, Having, Who, tests_in


class Permissions:
    """Permissions, filed by whom they choose and by those they name whom only the mesh knows."""

    def __init__(self) -> None:
        self._policies: SelectorIndex[Policy[Access]] = SelectorIndex()
        self._naming: dict[Who, set[Policy[Access]]] = {}
        self._having: SelectorIndex[Having] = SelectorIndex()

    def add(self, selector: Selector, policy: Policy[Any]) -> None:
        """File a permission, which has that selector."""
        self._policies.add(selector, policy)
        for who in _named_by(policy):
            if who not in self._naming and isinstance(who, Having):
                self._having.add(Selector(None, who.labels), who)
            self._naming.setdefault(who, set()).add(policy)

    def discard(self, selector: Selector, policy: Policy[Any]) -> None:
        """Forget a permission that was filed with this selector."""
        self._policies.discard(selector, policy)
        for who in _named_by(policy):
            self._naming[who].discard(policy)
            if self._naming[who]:
                continue
            del self._naming[who]
            if isinstance(who, Having):
                self._having.discard(Selector(None, who.labels), who)

    def __iter__(self) -> Iterator[Policy[Access]]:
        return iter(self._policies)

    def choosing(self, namespace: str, labels: Labels) -> Iterator[Policy[Access]]:
        """The permissions that choose what has that namespace and those labels."""
        return self._policies.choosing(namespace, labels)

    def naming(self, who: Who) -> Set[Policy[Access]]:
        """The permissions that name someone."""
        return self._naming.get(who, set())

    def meaning(self, group: Group, services: Iterable[Service]) -> Iterator[Who]:
        """By what a permission may mean a group, given the services that its members are behind."""
        yield from self._having.choosing(group.namespace, group.labels)
        for service in services:
            yield from self.behind(service)

    def behind(self, service: Service) -> Iterator[Who]:
        """By what a permission may mean those behind a service."""
        who = Behind(service.namespace, service.origin.name)
        if who in self._naming:
            yield who


def _named_by(policy: Policy[Any]) -> set[Who]:
    conditions = (rule.callers for rule in policy.settings.rules)
    return {test for one in conditions for test in tests_in(one) if isinstance(test, Behind | Having)}
