"""What a ClusterRole gathers: the rules of all ClusterRoles that its selectors choose, and of what those gather.

In: a ClusterRole, all that there are. Out: those whose rules it has, or the role with their rules. Roles that gather
each other have the rules of all of them.
https://kubernetes.io/docs/reference/access-authn-authz/rbac/#aggregated-clusterroles
"""

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from pydantic import ValidationError

from outrig.dialects.label_selector import LabelSelector
from outrig.dialects.rbac.cluster_role import ClusterRoleBody
from outrig.dialects.schema import parse
from outrig.resources import Key, Resource


def gathers(role: Resource) -> bool:
    """Whether the rules of the role are those of others."""
    return bool(role.body.get("aggregationRule"))


def sources(role: Resource, roles: Collection[Resource]) -> list[Resource]:
    """The roles with rules of their own that it gathers, in Kubernetes' order: by selector, then by name."""
    return list(_sources(role, sorted(roles, key=lambda one: one.key.name), {role.key}))


def with_gathered(role: Resource, roles: Collection[Resource]) -> Resource:
    """The role with the rules that it gathers, each once; the very same object if it gathers nothing."""
    if not gathers(role):
        return role
    found = (rule for source in sources(role, roles) for rule in source.body.get("rules") or ())
    rules = {json.dumps(rule, sort_keys=True): rule for rule in found}
    return replace(role, body={**role.body, "rules": list(rules.values())})


def _sources(role: Resource, roles: Sequence[Resource], seen: set[Key]) -> Iterator[Resource]:
    for selector in _selectors(role):
        for other in roles:
            if other.key in seen or not selector.chooses(other.labels):
                continue
            seen.add(other.key)
            if gathers(other):
                yield from _sources(other, roles, seen)
            elif _read(other):
                yield other


def _selectors(role: Resource) -> Sequence[LabelSelector]:
    body = _read(role)
    return body.aggregation_rule.cluster_role_selectors if body and body.aggregation_rule else ()


def _read(role: Resource) -> ClusterRoleBody | None:
    """None for one that was written under rules of another time: it gives nothing, and gathers nothing."""
    try:
        return parse(ClusterRoleBody, role)
    except ValidationError:
        return None
