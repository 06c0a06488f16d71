"""Labels as hashable data, and the choosing of workloads by them."""

from collections.abc import Mapping
from dataclasses import dataclass

Labels = tuple[tuple[str, str], ...]  # sorted by key, so that equal labels are equal tuples


def labels_of(mapping: Mapping[str, str]) -> Labels:
    """The labels of a mapping, in their one order."""
    return tuple(sorted(mapping.items()))


@dataclass(frozen=True, slots=True)
class Selector:
    """Chooses workloads: those of `namespace` (None: of every namespace) that have all of `labels`."""

    namespace: str | None
    labels: Labels = ()

    def matches(self, namespace: str, labels: Labels) -> bool:
        """Whether a workload of that namespace with those labels is chosen."""
        return self._reaches(namespace) and set(self.labels) <= set(labels)

    def could_match(self, namespace: str, labels: Labels) -> bool:
        """Whether a workload with those labels *and possibly more* could be chosen.

        A group's members may add labels of their own, but never change one the group declares.
        """
        declared = dict(labels)
        return self._reaches(namespace) and all(declared.get(key, value) == value for key, value in self.labels)

    def _reaches(self, namespace: str) -> bool:
        return self.namespace is None or self.namespace == namespace
