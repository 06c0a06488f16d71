"""Rules against what a request would do: the decisions of Kubernetes' RBAC, as pure functions.

In: rules, attributes. Out: whether they allow it; which of wanted rules are not covered by those held. A rule about
resources says nothing of other paths, and the other way round.
https://kubernetes.io/docs/reference/access-authn-authz/rbac/
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Final

ALL: Final = "*"
COMPARISONS: Final = 300_000
"""Of single rules, at most: a fraction of a second."""


@dataclass(frozen=True, slots=True)
class Attributes:
    """What a request would do: a verb, on a resource (group and plural), or on a path that is none.

    `namespace` and `name` are empty for the whole cluster and for a collection.
    """

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""

    @property
    def whole(self) -> str:
        """The resource with its part: `kind/status`."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule as roles have them: each part matches one of its texts; `names` empty: every name."""

    verbs: tuple[str, ...]
    groups: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()

    def allows(self, asked: Attributes) -> bool:
        """Whether it allows that."""
        if not _has(self.verbs, asked.verb):
            return False
        if asked.path:
            return any(_path_covers(path, asked.path) for path in self.paths)
        named = not self.names or asked.name in self.names
        return named and _has(self.groups, asked.group) and self._has_resource(asked.resource, asked.subresource)

    def covers(self, wanted: "Rule") -> bool:
        """Whether it allows everything that the other does."""
        if not _has_all(self.verbs, wanted.verbs):
            return False
        if wanted.paths:
            return all(any(_path_covers(held, path) for held in self.paths) for path in wanted.paths)
        named = not self.names or (bool(wanted.names) and set(wanted.names) <= set(self.names))
        return named and _has_all(self.groups, wanted.groups) and all(map(self._covers_resource, wanted.resources))

    def split(self) -> Iterator["Rule"]:
        """The same as rules of one verb and one thing each."""
        for verb, path in product(self.verbs, self.paths):
            yield Rule((verb,), paths=(path,))
        for verb, group, resource in product(self.verbs, self.groups, self.resources):
            one = Rule((verb,), (group,), (resource,))
            yield from [replace(one, names=(name,)) for name in self.names] or [one]

    def __str__(self) -> str:
        """As Kubernetes' messages show it."""
        parts = (
            ("APIGroups", self.groups),
            ("Resources", self.resources),
            ("NonResourceURLs", self.paths),
            ("ResourceNames", self.names),
            ("Verbs", self.verbs),
        )
        return "{" + ", ".join(f"{name}:{quoted(texts)}" for name, texts in parts if texts) + "}"

    def _covers_resource(self, wanted: str) -> bool:
        resource, _, subresource = wanted.partition("/")
        return self._has_resource(resource, subresource)

    def _has_resource(self, resource: str, subresource: str) -> bool:
        whole = f"{resource}/{subresource}" if subresource else resource
        return any(held in (ALL, whole) or (subresource and held == f"*/{subresource}") for held in self.resources)


class TooManyRulesError(Exception):
    """Comparing them would take so long that everybody else had to wait."""


def uncovered(held: Iterable[Rule], wanted: Iterable[Rule]) -> list[Rule]:
    """What the wanted rules would allow and the held ones do not. Raises TooManyRulesError."""
    own, missing, left = tuple(dict.fromkeys(held)), dict[Rule, None](), COMPARISONS
    for rule in wanted:
        parts = [] if any(one.covers(rule) for one in own) else rule.split()
        for part in parts:
            left -= len(own) + 1
            if left < 0:
                raise TooManyRulesError
            if not any(one.covers(part) for one in own):
                missing[part] = None
    return _compact(missing)


def quoted(texts: Iterable[str]) -> str:
    """A list of texts as Go prints it."""
    return "[" + " ".join('"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"' for text in texts) + "]"


def _compact(rules: Iterable[Rule]) -> list[Rule]:
    """Rules that differ in their verbs alone, as one."""
    verbs: dict[Rule, list[str]] = {}
    for rule in rules:
        verbs.setdefault(Rule((), rule.groups, rule.resources, rule.names, rule.paths), []).extend(rule.verbs)
    return [Rule(tuple(found), r.groups, r.resources, r.names, r.paths) for r, found in verbs.items()]


def _has(held: Sequence[str], wanted: str) -> bool:
    return ALL in held or wanted in held


def _has_all(held: Sequence[str], wanted: Sequence[str]) -> bool:
    return ALL in held or set(wanted) <= set(held)


def _path_covers(held: str, path: str) -> bool:
    return held == path or (held.endswith(ALL) and path.startswith(held.rstrip(ALL)))
