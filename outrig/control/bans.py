"""Shuts out who may not be here any more: whom a Namespace bans, whose token was revoked.

In: what decides it as it changes, and all of it at the start. Out: the agents of those workloads are told, and their
registrations deleted, entries with them, so that nobody calls them any more; a Dataplane that somebody wrote is made
anew, so that certificates of the old one stand for nothing. That they do not come back is the join's part, which reads
the same.

Each replica tells the agents it has, and deletes what is connected to no other one. What another replica should have
deleted and has not, after a while, goes too.
"""

import asyncio
from dataclasses import replace
from typing import Final, Protocol

import structlog

from outrig.control.following import Burst, follow
from outrig.control.proxies import DATAPLANES, REGISTRATION, is_dataplane, stays
from outrig.control.replicas import ALONE, Others
from outrig.dialects.bans import banned_in
from outrig.dialects.core.namespace import NAMESPACE
from outrig.dialects.kuma.joined import holder_of, without_holder
from outrig.dialects.onboarding.connection import agent_at
from outrig.dialects.onboarding.names import caller_of, names_of
from outrig.kit.aio import jittered_backoff
from outrig.resources import Key, Resource
from outrig.store.cascade import delete_with_dependents
from outrig.store.protocol import ChangeType, Conflict, NotFound, Query, Store, Unavailable
from outrig.wire.stream import Ban

LOOKED_AGAIN: Final = 2.0  # seconds after which another replica should have done its part

_log = structlog.get_logger(__name__)


class Agents(Protocol):
    """The registry of connected agents."""

    def ban(self, registration: Key, message: Ban) -> bool:
        """Tell an agent that it is shut out; False if it is not connected here."""
        ...


class Rule(Protocol):
    """Something that can shut workloads out."""

    @property
    def watched(self) -> Query:
        """What decides it."""
        ...

    @property
    def judged(self) -> Query:
        """The registrations it may concern."""
        ...

    def heard(self, burst: Burst) -> bool:
        """What decides it has changed; whether somebody may be shut out by that."""
        ...

    async def objection(self, registration: Resource) -> str:
        """Why that workload may not be here; empty if it may. Raises Unavailable."""
        ...


class NamespaceBans:
    """The list of names in an annotation of a Namespace; Dataplanes of a mesh are in `kuma-<mesh>`."""

    watched = Query(kinds=((NAMESPACE.group, NAMESPACE.name),))
    judged = Query(kinds=(REGISTRATION, *DATAPLANES.values()))

    def __init__(self) -> None:
        self._banned: dict[str, frozenset[str]] = {}

    def heard(self, burst: Burst) -> bool:
        """See `Rule`."""
        told = False
        for change in burst.changes:
            gone = change.type is ChangeType.DELETED
            names = frozenset[str]() if gone else banned_in(change.resource)
            self._banned[change.resource.key.name] = names
            told = told or bool(names)
        return told

    async def objection(self, registration: Resource) -> str:
        """See `Rule`."""
        key = registration.key
        namespace = f"kuma-{key.mesh}" if is_dataplane(key) else key.namespace
        banned = self._banned.get(namespace, frozenset()) & _names(registration)
        return f"{min(banned)} is banned from namespace {namespace}" if banned else ""


class Warrants(Protocol):
    """Knows the tokens that data planes joined with."""

    async def objection(self, dataplane: Resource) -> str:
        """Why the token it joined with does not stand any more; empty if it does, or there was none."""
        ...


class Revocations:
    """Lists of revoked tokens, and signing keys that are there no more."""

    watched = Query(kinds=(("kuma.io", "Secret"), ("kuma.io", "GlobalSecret")))
    judged = Query(kinds=tuple(DATAPLANES.values()))

    def __init__(self, warrants: Warrants) -> None:
        self._warrants = warrants

    def heard(self, burst: Burst) -> bool:
        """See `Rule`."""
        return any("-token-" in change.resource.key.name for change in burst.changes)

    async def objection(self, registration: Resource) -> str:
        """See `Rule`."""
        return await self._warrants.objection(registration)


class Bans:
    """Carries out what rules say. `run` it."""

    def __init__(self, store: Store, agents: Agents, *rules: Rule, others: Others = ALONE) -> None:
        self._store, self._agents, self._rules, self._others = store, agents, rules, others

    async def run(self) -> None:
        """Until cancelled; while the store is away, later."""
        async with asyncio.TaskGroup() as loops:
            for rule in self._rules:
                loops.create_task(self._follow(rule))

    async def _follow(self, rule: Rule) -> None:
        async for burst in follow(self._store, rule.watched):
            if rule.heard(burst) and await self._sweep(rule, patient=True):
                await asyncio.sleep(LOOKED_AGAIN)
                await self._sweep(rule, patient=False)

    async def _sweep(self, rule: Rule, *, patient: bool) -> bool:
        """Look at all registrations; whether some were left to other replicas, which only the `patient` do."""
        delays = jittered_backoff(first=0.1, ceiling=5.0)
        while True:
            try:
                found = await self._store.list(rule.judged)
                left = [await self._judge(rule, one, patient=patient) for one in found.items]
            except (Unavailable, Conflict) as error:
                _log.warning("nobody shut out yet", reason=str(error))
                await asyncio.sleep(next(delays))
            else:
                return any(left)

    async def _judge(self, rule: Rule, registration: Resource, *, patient: bool) -> bool:
        reason = await rule.objection(registration)
        if not reason:
            return False
        told = self._agents.ban(registration.key, Ban(reason))
        if patient and not told and self._others.is_other(agent_at(registration)):
            return True
        _log.warning("registration ended", registration=str(registration.key), reason=reason)
        try:
            await self._end(registration)
        except NotFound:
            return False  # gone meanwhile, by itself
        return False

    async def _end(self, registration: Resource) -> None:
        key, uid = registration.key, registration.uid
        async with self._store.transaction() as tx:
            if not stays(registration):
                await delete_with_dependents(tx, key, uid=uid)
                return
            last = await tx.delete(key, uid=uid)
            annotations = without_holder(last.annotations)
            await tx.create(replace(last, uid="", revision=0, status={}, annotations=annotations))


def _names(registration: Resource) -> frozenset[str]:
    """By which it can be banned."""
    if is_dataplane(registration.key):
        holder = holder_of(registration)
        return holder.names if holder else frozenset()
    caller = caller_of(registration)
    return names_of(caller) if caller else frozenset()
