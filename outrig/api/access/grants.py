"""Who has which rules: roles and bindings, by subject, as the store's changes tell them.

In: changes of roles and bindings; who is asking. Out: the rules that somebody has, each with what gave it; a
`Decision`. The built-in ones are always there, and roles that gather the rules of others have those of now. What a
binding names and is not there gives nothing; nor does a resource that cannot be read.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import structlog
from pydantic import ValidationError

from outrig.api.access.builtin import BUILT_IN
from outrig.api.access.rules import Attributes, Rule
from outrig.api.callers import Caller
from outrig.dialects import rbac
from outrig.dialects.rbac.aggregation import Gathering, gathers
from outrig.dialects.rbac.binding import BindingBody, Subject
from outrig.dialects.rbac.cluster_role import ClusterRoleBody
from outrig.dialects.rbac.policy_rule import PolicyRule
from outrig.dialects.schema import parse
from outrig.resources import Key, Resource
from outrig.store.protocol import Change, ChangeType

_log = structlog.get_logger(__name__)
_ROLES: Final = (rbac.ROLE.name, rbac.CLUSTER_ROLE.name)
ACCOUNT: Final = "system:serviceaccount"


@dataclass(frozen=True, slots=True)
class Who:
    """A subject of bindings. A service account is the user `system:serviceaccount:<namespace>:<name>`."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class Binding:
    """A binding as it counts: who, which role, in which namespace ("": everywhere)."""

    key: Key
    role: Key
    subjects: tuple[tuple[Who, Subject], ...]


@dataclass(frozen=True, slots=True)
class Granted:
    """A rule that somebody has, and why."""

    rule: Rule
    binding: Key
    role: Key
    to: Subject

    def __str__(self) -> str:
        """As Kubernetes words the reason."""
        by = f"{self.binding.kind} {_shown(self.binding)}"
        name = f"{self.to.name}/{self.to.namespace}" if self.to.namespace else self.to.name
        return f'RBAC: allowed by {by} of {self.role.kind} "{self.role.name}" to {self.to.kind} "{name}"'


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether somebody may, and by what; no reason: nothing allows it."""

    allowed: bool
    reason: str = ""


class Grants:
    """The roles and bindings that count now. Reading costs what the caller is bound to, not what there is."""

    def __init__(self) -> None:
        self._roles: dict[Key, tuple[Rule, ...]] = {}
        self._cluster_roles: dict[Key, Resource] = {}
        self._bindings: dict[Key, Binding] = {}
        self._of: dict[Who, dict[Key, Subject]] = {}
        for resource in BUILT_IN.values():
            self._put(resource)
        self._gather()

    def heard(self, changes: Iterable[Change]) -> None:
        """These changes happened; they count from now on."""
        ours = [change for change in changes if change.resource.key.group == rbac.GROUP]
        for change in ours:
            key = change.resource.key
            if key in BUILT_IN:
                continue
            self._drop(key)
            if change.type is not ChangeType.DELETED:
                self._put(change.resource)
        if ours:
            self._gather()

    def held_by(self, caller: Caller, namespace: str) -> Iterator[Granted]:
        """The rules that somebody has in a namespace; in none: those that count everywhere."""
        for who in (Who("User", caller.name), *(Who("Group", group) for group in caller.groups)):
            for key, subject in self._of.get(who, {}).items():
                if key.namespace in ("", namespace):
                    role = self._bindings[key].role
                    yield from (Granted(rule, key, role, subject) for rule in self._roles.get(role, ()))

    def decide(self, caller: Caller, asked: Attributes) -> Decision:
        """Whether somebody may do that."""
        held = self.held_by(caller, "" if asked.path else asked.namespace)
        found = next((granted for granted in held if granted.rule.allows(asked)), None)
        return Decision(True, str(found)) if found else Decision(False)

    def _put(self, resource: Resource) -> None:
        key = resource.key
        try:
            if key.kind in _ROLES:
                self._roles[key] = rules_in(resource)
                if not key.namespace:
                    self._cluster_roles[key] = resource
            else:
                self._bind(binding_in(resource))
        except ValidationError:  # written under rules of another time
            _log.warning("a role or binding cannot be read, and gives nothing", resource=str(key))

    def _gather(self) -> None:
        roles = self._cluster_roles.values()
        gathering = Gathering(roles)
        for role in filter(gathers, roles):
            found = (rule for source in gathering.sources(role) for rule in self._roles[source.key])
            self._roles[role.key] = tuple(dict.fromkeys(found))

    def _bind(self, binding: Binding) -> None:
        self._bindings[binding.key] = binding
        for who, subject in binding.subjects:
            self._of.setdefault(who, {})[binding.key] = subject

    def _drop(self, key: Key) -> None:
        self._roles.pop(key, None)
        self._cluster_roles.pop(key, None)
        binding = self._bindings.pop(key, None)
        for who, _ in binding.subjects if binding else ():
            bound = self._of.get(who, {})
            bound.pop(key, None)
            if not bound:
                self._of.pop(who, None)


def rules_in(role: Resource) -> tuple[Rule, ...]:
    """The rules of a role. Raises ValidationError."""
    return tuple(map(_rule, parse(ClusterRoleBody, role).rules))


def binding_in(resource: Resource) -> Binding:
    """What a binding says. Raises ValidationError."""
    body, namespace = parse(BindingBody, resource), resource.key.namespace
    where = namespace if body.role_ref.kind == rbac.ROLE.name else ""
    role = Key(rbac.GROUP, body.role_ref.kind, "", where, body.role_ref.name)
    return Binding(resource.key, role, tuple((_who(subject, namespace), subject) for subject in body.subjects))


def _who(subject: Subject, namespace: str) -> Who:
    """Whom a subject of a binding in that namespace means."""
    if subject.kind == "ServiceAccount":
        return Who("User", f"{ACCOUNT}:{subject.namespace or namespace}:{subject.name}")
    return Who(subject.kind, subject.name)


def _rule(written: PolicyRule) -> Rule:
    parts = (written.verbs, written.api_groups, written.resources, written.resource_names, written.non_resource_urls)
    return Rule(*map(tuple, parts))


def _shown(binding: Key) -> str:
    return f'"{binding.name}/{binding.namespace}"' if binding.namespace else f'"{binding.name}"'
