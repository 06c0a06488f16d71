"""ClusterRole: what may be done in every namespace, or in one, as whoever binds it says."""

from collections.abc import Iterator
from typing import Final

from pydantic import Field

from outrig.dialects.columns import CREATED_AT
from outrig.dialects.findings import MISSING, Place
from outrig.dialects.kind import Kind
from outrig.dialects.label_selector import LabelSelector, selector_findings
from outrig.dialects.rbac.binding import GROUP, VERSIONS
from outrig.dialects.rbac.policy_rule import PolicyRule, rule_findings
from outrig.dialects.schema import Form, parse
from outrig.errors import Finding
from outrig.resources import Json, Resource


class AggregationRule(Form):
    """Rules taken over from other ClusterRoles."""

    cluster_role_selectors: list[LabelSelector] = Field(default=[], description="Which: what any of them chooses.")


class ClusterRoleBody(Form):
    """What whoever has this role may do: everywhere by a ClusterRoleBinding, in one namespace by a RoleBinding."""

    rules: list[PolicyRule] = Field(default=[], description="What may be done; rules only ever add up.")
    aggregation_rule: AggregationRule | None = Field(
        default=None,
        description="Rules of other ClusterRoles, by their labels; they are shown as the rules of this one.",
    )


def _with_own_rules(body: Json) -> Json:
    """Rules that are gathered are not kept: whoever reads the role is told those that there are then."""
    return {field: value for field, value in body.items() if field != "rules"} if body.get("aggregationRule") else body


def _findings(resource: Resource) -> tuple[Finding, ...]:
    body, key = parse(ClusterRoleBody, resource), resource.key
    selectors = Place(key, "aggregationRule.clusterRoleSelectors")
    found = rule_findings(body.rules, Place(key, "rules"), namespaced=False)
    return (*found, *_selector_findings(body, selectors))


def _selector_findings(body: ClusterRoleBody, place: Place) -> Iterator[Finding]:
    if body.aggregation_rule is None:
        return
    if not body.aggregation_rule.cluster_role_selectors:
        yield place.error(MISSING, "at least one clusterRoleSelector required if aggregationRule is non-nil")
    for index, selector in enumerate(body.aggregation_rule.cluster_role_selectors):
        yield from selector_findings(place[index], selector)


CLUSTER_ROLE: Final = Kind(
    group=GROUP,
    name="ClusterRole",
    plural="clusterroles",
    versions=VERSIONS,
    schema=ClusterRoleBody,
    namespaced=False,
    has_status=False,
    strategic_merge=True,
    created_by_update=True,
    columns=(CREATED_AT,),
    default=_with_own_rules,
    findings=_findings,
)
