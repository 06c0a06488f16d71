"""Writing roles and bindings: nobody gives what he does not have.

In: the store, what all requests pass, the caller. Out: a store that refuses (403) such writes, and whose
transactions end when what they wrote counts. Kubernetes' rules: the verb `escalate` on a role allows any rules in it,
`bind` on a role allows binding it. Every change is judged as if it were all new, also one of labels, which may have
others gather a role's rules; a role that gathers may come to hold anything, so only who may do everything writes one.
https://kubernetes.io/docs/reference/access-authn-authz/rbac/#privilege-escalation-prevention-and-bootstrapping
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, cast

from outrig.api.access.builtin import BUILT_IN, CLUSTER_ADMIN
from outrig.api.access.gate import Gate
from outrig.api.access.grants import binding_in, rules_in
from outrig.api.access.rules import Attributes, Rule, TooManyRulesError, quoted, uncovered
from outrig.api.access.wording import forbidden
from outrig.api.callers import Caller
from outrig.api.kube.statuses import Subject, not_found
from outrig.dialects import rbac
from outrig.dialects.rbac.aggregation import gathers, with_gathered
from outrig.resources import Json, Key, Resource
from outrig.store.protocol import Query, Store, Transaction

_PLURALS: Final = {kind.name: kind.plural for kind in rbac.KINDS}
_EVERYTHING: Final = Key(rbac.GROUP, rbac.CLUSTER_ROLE.name, "", "", CLUSTER_ADMIN)
_BINDINGS: Final = (rbac.ROLE_BINDING.name, rbac.CLUSTER_ROLE_BINDING.name)


def _said(resource: Resource) -> tuple[Json, Mapping[str, str], Mapping[str, str]]:
    """All that makes a change of it one that is judged. As in Kubernetes, only what deleting it needs is not: its
    finalizers and owners.
    """
    return resource.body, resource.labels, resource.annotations


class Granting:
    """A store as somebody writes roles and bindings in it. Everything else is the store's."""

    def __init__(self, store: Store, gate: Gate, caller: Caller) -> None:
        self._store, self._gate, self._caller = store, gate, caller

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """As the store's; leaving it returns when the change counts here. Raises ApiError within."""
        async with self._store.transaction() as tx:
            checked = _Checked(tx, self._gate, self._caller)
            yield cast("Transaction", checked)
        await self._gate.reached(checked.revision)


class _Checked:
    """A transaction that looks at what is written. `revision`: the last one that it made."""

    def __init__(self, tx: Transaction, gate: Gate, caller: Caller) -> None:
        self._tx, self._gate, self._caller = tx, gate, caller
        self.revision = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tx, name)

    async def create(self, resource: Resource) -> Resource:
        await self._check(resource, None)
        return self._made(await self._tx.create(resource))

    async def update(self, resource: Resource) -> Resource:
        before = await self._tx.get(resource.key)
        if before is not None and _said(before) != _said(resource):
            await self._check(resource, before)
        return self._made(await self._tx.update(resource))

    async def delete(self, key: Key, *, uid: str = "", revision: int = 0) -> Resource:
        return self._made(await self._tx.delete(key, uid=uid, revision=revision))

    def _made(self, resource: Resource) -> Resource:
        self.revision = max(self.revision, resource.revision)
        return resource

    async def _check(self, resource: Resource, before: Resource | None) -> None:
        if resource.key.kind in _BINDINGS:
            await self._check_binding(resource)
        elif not self._may("escalate", resource.key, resource.key.namespace):
            self._check_held(rules_in(resource), resource.key)
            if gathers(resource) or (before and gathers(before)):
                self._check_gathering(resource.key)

    def _check_gathering(self, key: Key) -> None:
        held = (granted.rule for granted in self._gate.grants.held_by(self._caller, key.namespace))
        if uncovered(held, rules_in(BUILT_IN[_EVERYTHING])):
            asked = Attributes("create", rbac.GROUP, _PLURALS[key.kind], name=key.name)
            raise forbidden(asked, "must have cluster-admin privileges to use the aggregationRule")

    async def _check_binding(self, resource: Resource) -> None:
        role, namespace = binding_in(resource).role, resource.key.namespace
        if self._may("bind", role, namespace):
            return
        found = BUILT_IN.get(role) or await self._tx.get(role)
        if found is None:
            raise not_found(Subject(rbac.GROUP, _PLURALS[role.kind], role.kind, role.name))
        whole = with_gathered(found, await self._cluster_roles()) if gathers(found) else found
        self._check_held(rules_in(whole), resource.key)

    async def _cluster_roles(self) -> list[Resource]:
        kind = (rbac.GROUP, rbac.CLUSTER_ROLE.name)
        built_in = [role for role in BUILT_IN.values() if role.key.kind == rbac.CLUSTER_ROLE.name]
        return [*built_in, *await self._tx.list(Query(kinds=(kind,)))]

    def _check_held(self, wanted: tuple[Rule, ...], key: Key) -> None:
        held = (granted.rule for granted in self._gate.grants.held_by(self._caller, key.namespace))
        asked = Attributes("create", rbac.GROUP, _PLURALS[key.kind], name=key.name)
        try:
            missing = uncovered(held, wanted)
        except TooManyRulesError:
            raise forbidden(asked, "it has too many rules to be compared with yours: make several roles") from None
        if missing:
            listed = "\n".join(sorted(map(str, missing)))
            why = f'user "{self._caller.name}" (groups={quoted(self._caller.groups)}) is attempting to grant RBAC'
            raise forbidden(asked, f"{why} permissions not currently held:\n{listed}")

    def _may(self, verb: str, role: Key, namespace: str) -> bool:
        asked = Attributes(verb, rbac.GROUP, _PLURALS[role.kind], namespace=namespace, name=role.name)
        return self._gate.allows(self._caller, asked).allowed
