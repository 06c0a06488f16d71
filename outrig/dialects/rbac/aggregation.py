"""What a ClusterRole gathers: the rules of all ClusterRoles that its selectors choose, and of what those gather.

In: a ClusterRole, all that there are. Out: those whose rules it has, or the role with their rules. Roles that gather
each other have the rules of all of them.
https://kubernetes.io/docs/reference/access-authn-authz/rbac/#aggregated-clusterroles
"""

import json
from collections.abc import Collection
from dataclasses import replace

from pydantic import ValidationError

from outrig.dialects.rbac.cluster_role import ClusterRoleBody
from outrig.dialects.schema import parse
from outrig.resources import Key, Resource


def gathers(role: Resource) -> bool:
    """Whether the rules of the role are those of others."""
    return bool(role.body.get("aggregationRule"))


class Gathering:
    """All ClusterRoles that there are, and which of them each one chooses: that is found out once, whoever asks."""

    def __init__(self, roles: Collection[Resource]) -> None:
        self._roles = sorted(roles, key=lambda one: one.key.name)
        self._read: dict[Key, ClusterRoleBody | None] = {}
        self._chosen: dict[Key, list[Resource]] = {}

    def sources(self, role: Resource) -> list[Resource]:
        """The roles with rules of their own that it gathers, in Kubernetes' order: by selector, then by name."""
        seen, found = {role.key}, []
        waiting = [*reversed(self._choice(role))]
        while waiting:
            other = waiting.pop()
            if other.key in seen:
                continue
            seen.add(other.key)
            if gathers(other):
                waiting += reversed(self._choice(other))
            elif self._body(other):
                found.append(other)
        return found

    def _choice(self, role: Resource) -> list[Resource]:
        if role.key not in self._chosen:
            body = self._body(role)
            selectors = body.aggregation_rule.cluster_role_selectors if body and body.aggregation_rule else ()
            chosen = (other for selector in selectors for other in self._roles if selector.chooses(other.labels))
            self._chosen[role.key] = list({other.key: other for other in chosen}.values())
        return self._chosen[role.key]

    def _body(self, role: Resource) -> ClusterRoleBody | None:
        """None for one that was written under rules of another time: it gives nothing, and gathers nothing."""
        if role.key not in self._read:
            try:
                self._read[role.key] = parse(ClusterRoleBody, role)
            except ValidationError:
                self._read[role.key] = None
        return self._read[role.key]


def with_gathered(role: Resource, roles: Collection[Resource]) -> Resource:
    """The role with the rules that it gathers, each once; the very same object if it gathers nothing."""
    if not gathers(role):
        return role
    found = (rule for source in Gathering(roles).sources(role) for rule in source.body.get("rules") or ())
    rules = {json.dumps(rule, sort_keys=True): rule for rule in found}
    return replace(role, body={**role.body, "rules": list(rules.values())})
