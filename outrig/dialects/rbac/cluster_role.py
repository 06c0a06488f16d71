"""ClusterRole: what may be done in every namespace, or in one, as whoever binds it says."""

from typing import Final

from pydantic import Field

from outrig.dialects.columns import CREATED_AT
from outrig.dialects.findings import NOT_SUPPORTED, Place
from outrig.dialects.kind import Kind
from outrig.dialects.rbac.binding import GROUP, VERSIONS
from outrig.dialects.rbac.policy_rule import PolicyRule, rule_findings
from outrig.dialects.schema import Form, Labels, parse
from outrig.errors import Finding
from outrig.resources import Resource


class Requirement(Form):
    """A condition on a label."""

    key: str = Field(description="The label.")
    operator: str = Field(description="In, NotIn, Exists or DoesNotExist.")
    values: list[str] = Field(default=[], description="The values that In and NotIn speak of.")


class LabelSelector(Form):
    """Chooses ClusterRoles by their labels."""

    match_labels: Labels = Field(default={}, description="Labels that each must have.")
    match_expressions: list[Requirement] = Field(default=[], description="Conditions that each must meet.")


class AggregationRule(Form):
    """Rules taken over from other ClusterRoles."""

    cluster_role_selectors: list[LabelSelector] = Field(default=[], description="Which; not supported yet.")


class ClusterRoleBody(Form):
    """What whoever has this role may do: everywhere by a ClusterRoleBinding, in one namespace by a RoleBinding."""

    rules: list[PolicyRule] = Field(default=[], description="What may be done; rules only ever add up.")
    aggregation_rule: AggregationRule | None = Field(
        default=None, description="Rules of other ClusterRoles, by their labels. Not supported yet: refused."
    )


def _findings(resource: Resource) -> tuple[Finding, ...]:
    body, place = parse(ClusterRoleBody, resource), Place(resource.key, "rules")
    found = tuple(rule_findings(body.rules, place, namespaced=False))
    if body.aggregation_rule is None:
        return found
    why = "is not supported yet: write the rules out, or bind the roles one by one"
    return (*found, Place(resource.key, "aggregationRule").error(NOT_SUPPORTED, why))


CLUSTER_ROLE: Final = Kind(
    group=GROUP,
    name="ClusterRole",
    plural="clusterroles",
    versions=VERSIONS,
    schema=ClusterRoleBody,
    namespaced=False,
    has_status=False,
    strategic_merge=True,
    columns=(CREATED_AT,),
    findings=_findings,
)
