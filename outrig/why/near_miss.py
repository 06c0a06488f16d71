"""Permissions that look as if they allowed a call, and do not: for nobody, for another inbound, or naming nobody.

A permission may be there before those whom it is about, so that none of this is a mistake by itself. It is worth saying
where a call is refused.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Final

from outrig.model import Access, Action, Ingress, Policy, Rule, Workload
from outrig.model.conditions import Identity, tests_in
from outrig.view import shape_for
from outrig.why.knowledge import Known
from outrig.why.permission import Arrival, is_about

_SHOWN: Final = 3
_NEAR: Final = 0.5  # of two words, by `SequenceMatcher`: letters that are exchanged are near still
_Miss = tuple[float, str]  # how near it is, and what to say


@dataclass(frozen=True, slots=True)
class Refused:
    """A call that nothing allows, and the workload and port that it came to."""

    arrival: Arrival
    by: Workload
    port: int


def near_misses(refused: Refused, known: Known) -> tuple[str, ...]:
    """What to say of such permissions, a line each, the nearest first. It looks at the whole mesh."""
    shape = shape_for(refused.by, known.mesh)
    ingress = next((one for one in shape.settings.ingress if one.port == refused.port), None) if shape else None
    found = [] if ingress is None else list(_Search(refused, ingress, _population(known)).misses(known))
    return tuple(text for _, text in sorted(found, key=lambda miss: (-miss[0], miss[1]))[:_SHOWN])


@dataclass(frozen=True, slots=True)
class _Population:
    """The labels and identities that somebody in the mesh has."""

    labels: Mapping[str, Set[str]]
    identities: Set[str]


def _population(known: Known) -> _Population:
    labels: dict[str, set[str]] = defaultdict(set)
    for workload in known.workloads.values():
        for key, value in workload.labels:
            labels[key].add(value)
    return _Population(labels, {identity for one in known.workloads.values() for identity in one.identities})


@dataclass(frozen=True, slots=True)
class _Search:
    refused: Refused
    ingress: Ingress
    everybody: _Population

    def misses(self, known: Known) -> Iterator[_Miss]:
        """All of them, of the permissions that the workload reads."""
        for policy in known.mesh.all_access():
            access, by = policy.settings, self.refused.by
            if access.regime is not by.regime:
                continue
            allowing = [rule for rule in access.rules if rule.action is not Action.DENY]
            chosen = policy.applies_to.matches(by.namespace, self.ingress.labels if access.of_ports else by.labels)
            if chosen and access.section in ("", self.ingress.name) and not access.rehearsed:
                yield from self._in_vain(policy, allowing)
            elif any(is_about(rule, self.refused.arrival, known) for rule in allowing):
                yield from self._meant(policy) if chosen else self._for_nobody(policy)

    def _meant(self, policy: Policy[Access]) -> Iterator[_Miss]:
        """It is for the workload, and yet does not count at the port."""
        if policy.settings.rehearsed:
            yield 1.0, f"{policy.origin} would allow it, but is a dry run"
        else:
            port, here = policy.settings.section, self.ingress.name
            yield 1.0, f"{policy.origin} would allow it, but is for inbound {port!r}, and this is {here!r}"

    def _for_nobody(self, policy: Policy[Access]) -> Iterator[_Miss]:
        """If it asks for a label that nobody has, and the workload has nearly that, or the others that it asks for."""
        own = dict((*self.refused.by.labels, *self.ingress.labels))
        agreed = any(own.get(key) == value for key, value in policy.applies_to.labels)
        for key, value in policy.applies_to.labels:
            if value in self.everybody.labels.get(key, ()):
                continue
            nearness = max(_likeness(value, [own.get(key, "")]), _NEAR * agreed)
            if nearness >= _NEAR:
                asked, here = f"{key.lstrip('@')}={value}", f"; here it is {own[key]}" if key in own else ""
                yield nearness, f"{policy.origin} would allow it, but is for {asked}, which nobody has now{here}"

    def _in_vain(self, policy: Policy[Access], rules: Iterable[Rule]) -> Iterator[_Miss]:
        """The identities that it names and nobody has."""
        identities = self.refused.arrival.identities
        named = (test.uri for rule in rules for test in tests_in(rule.callers) if isinstance(test, Identity))
        for uri in dict.fromkeys(named):
            if identities and not any(map(uri.fits, self.everybody.identities)):
                text = f"{policy.origin} allows {uri.value}, which nobody is now"
                yield _likeness(uri.value, identities), text


def _likeness(text: str, others: Iterable[str]) -> float:
    return max((SequenceMatcher(None, text, other).ratio() for other in others), default=0.0)
