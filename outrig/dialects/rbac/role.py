"""Role: what may be done in one namespace."""

from typing import Final

from pydantic import Field

from outrig.dialects.columns import CREATED_AT
from outrig.dialects.findings import Place
from outrig.dialects.kind import Kind
from outrig.dialects.rbac.binding import GROUP, VERSIONS
from outrig.dialects.rbac.policy_rule import PolicyRule, rule_findings
from outrig.dialects.schema import Form, parse
from outrig.errors import Finding
from outrig.resources import Resource


class RoleBody(Form):
    """What whoever has this role may do in its namespace."""

    rules: list[PolicyRule] = Field(default=[], description="What may be done; rules only ever add up.")


def _findings(resource: Resource) -> tuple[Finding, ...]:
    rules = parse(RoleBody, resource).rules
    return tuple(rule_findings(rules, Place(resource.key, "rules"), namespaced=True))


ROLE: Final = Kind(
    group=GROUP,
    name="Role",
    plural="roles",
    versions=VERSIONS,
    schema=RoleBody,
    has_status=False,
    strategic_merge=True,
    created_by_update=True,
    columns=(CREATED_AT,),
    findings=_findings,
)
