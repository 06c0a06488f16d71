"""Policies of one kind that are meant for the same workloads: only one of them has an effect, which its author hears.

In: a policy, and the others of its namespace. Out: findings. Those whose selectors merely may meet in some workload
are left to that workload's status, which knows whether they do.
"""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from outrig.dialects.findings import RIVAL, Place
from outrig.errors import Finding
from outrig.model import Policy

S = TypeVar("S")


def rivalry(policy: Policy[S], others: Iterable[Policy[S]]) -> Iterator[Finding]:
    """A warning for each other policy of the same level all of whose workloads, or all of the own ones, both choose."""
    mine = set(policy.applies_to.labels)
    for other in others:
        theirs = set(other.applies_to.labels)
        if policy.rank[:1] == other.rank[:1] and (mine <= theirs or theirs <= mine):
            first, second = (other, policy) if _is_first(other, policy) else (policy, other)
            problem = f"chooses workloads that {other.origin} chooses too; for them {first.origin} alone has an effect"
            hint = f"make one of both, or narrow the selector of {second.origin}"
            yield Place(policy.origin).warning(RIVAL, problem, hint)


def _is_first(one: Policy[S], other: Policy[S]) -> bool:
    return (one.rank, one.origin) > (other.rank, other.origin)
