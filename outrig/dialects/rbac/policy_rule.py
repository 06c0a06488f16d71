"""The rules of a role: what may be done with what.

In: rules as written. Out: findings. Refused: rules without a verb, rules about nothing, and rules about both resources
and paths, as in Kubernetes; and more combinations in one role than anybody writes, as each is compared with what its
author has.
"""

from collections.abc import Iterator, Sequence
from math import prod
from typing import Final

from pydantic import Field

from outrig.dialects.findings import INVALID, MISSING, Place
from outrig.dialects.schema import Form
from outrig.errors import Finding

MOST: Final = 10_000


class PolicyRule(Form):
    """What may be done with what; rules only ever add up."""

    verbs: list[str] = Field(
        default=[],
        description="What may be done: get, list, watch, create, update, patch, delete, deletecollection; bind, "
        "escalate, impersonate; `*` is everything.",
    )
    api_groups: list[str] = Field(
        default=[], description='Groups of the resources; "" is the core group, `*` is every group.'
    )
    resources: list[str] = Field(
        default=[],
        description="Plural names of kinds; `kind/status` is a part of one, `*/status` that part of all, `*` is all.",
    )
    resource_names: list[str] = Field(
        default=[], description="Only the resources of these names; none given: all. Create knows no name."
    )
    non_resource_urls: list[str] = Field(
        default=[],
        alias="nonResourceURLs",
        description="Paths that are no resources, such as /outrig/v1/why; a `*` at the end stands for any rest. Only "
        "ClusterRoles that a ClusterRoleBinding names give them.",
    )


def rule_findings(rules: Sequence[PolicyRule], place: Place, *, namespaced: bool) -> Iterator[Finding]:
    """What is wrong with the rules of a role."""
    for index, rule in enumerate(rules):
        yield from _findings(rule, place[index], namespaced=namespaced)
    if sum(map(_combinations, rules)) > MOST:
        yield place.error(INVALID, f"more than {MOST} combinations of verb and resource: use `*`, or several roles")


def _findings(rule: PolicyRule, place: Place, *, namespaced: bool) -> Iterator[Finding]:
    if not rule.verbs:
        yield (place / "verbs").error(MISSING, "verbs must contain at least one value")
    if rule.non_resource_urls:
        if namespaced:
            why = "namespaced rules cannot apply to non-resource URLs"
            yield (place / "nonResourceURLs").error(INVALID, why)
        if rule.api_groups or rule.resources or rule.resource_names:
            why = "rules cannot apply to both regular resources and non-resource URLs"
            yield (place / "nonResourceURLs").error(INVALID, why)
        return
    if not rule.api_groups:
        yield (place / "apiGroups").error(MISSING, "resource rules must supply at least one api group")
    if not rule.resources:
        yield (place / "resources").error(MISSING, "resource rules must supply at least one resource")


def _combinations(rule: PolicyRule) -> int:
    parts = (rule.verbs, rule.api_groups, rule.resources, rule.resource_names, rule.non_resource_urls)
    return prod(len(part) or 1 for part in parts)
