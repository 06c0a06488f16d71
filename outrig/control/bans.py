"""Shuts out who is banned: by the list of names in an annotation of the Namespace.

In: Namespaces as they change, and all of them at the start. Out: the agents of banned workloads are told, and their
registrations deleted, entries with them, so that nobody calls them any more. That they do not come back is the join's
part, which reads the same list.
"""

import asyncio
from typing import Final, Protocol

import structlog

from outrig.control.following import follow
from outrig.dialects.bans import banned_in
from outrig.dialects.core.namespace import NAMESPACE
from outrig.dialects.onboarding.names import caller_of, names_of
from outrig.dialects.onboarding.workload_auto_registration import WORKLOAD_AUTO_REGISTRATION
from outrig.kit.aio import jittered_backoff
from outrig.resources import Key, Resource
from outrig.store.cascade import delete_with_dependents
from outrig.store.protocol import ChangeType, Conflict, NotFound, Query, Store, Unavailable
from outrig.wire.stream import Ban

_NAMESPACES: Final = Query(kinds=((NAMESPACE.group, NAMESPACE.name),))
_REGISTRATION: Final = (WORKLOAD_AUTO_REGISTRATION.group, WORKLOAD_AUTO_REGISTRATION.name)

_log = structlog.get_logger(__name__)


class Agents(Protocol):
    """The registry of connected agents."""

    def ban(self, registration: Key, message: Ban) -> bool:
        """Tell an agent that it is shut out; False if it is not connected here."""
        ...


class Bans:
    """Carries out bans. `run` it."""

    def __init__(self, store: Store, agents: Agents) -> None:
        self._store, self._agents = store, agents

    async def run(self) -> None:
        """Until cancelled; while the store is away, later."""
        async for burst in follow(self._store, _NAMESPACES):
            for change in burst.changes:
                if change.type is not ChangeType.DELETED and (names := banned_in(change.resource)):
                    await self._shut_out(change.resource.key.name, names)

    async def _shut_out(self, namespace: str, names: frozenset[str]) -> None:
        delays = jittered_backoff(first=0.1, ceiling=5.0)
        while True:
            try:
                found = await self._store.list(Query(kinds=(_REGISTRATION,), namespace=namespace))
                for registration in found.items:
                    await self._judge(registration, names)
            except (Unavailable, Conflict) as error:
                _log.warning("bans not carried out yet", namespace=namespace, reason=str(error))
                await asyncio.sleep(next(delays))
            else:
                return

    async def _judge(self, registration: Resource, names: frozenset[str]) -> None:
        caller = caller_of(registration)
        banned = names & names_of(caller) if caller else frozenset()
        if not banned:
            return
        reason = f"{min(banned)} is banned from namespace {registration.key.namespace}"
        _log.warning("registration ended by a ban", registration=str(registration.key), reason=reason)
        self._agents.ban(registration.key, Ban(reason))
        try:
            async with self._store.transaction() as tx:
                await delete_with_dependents(tx, registration.key, uid=registration.uid)
        except NotFound:
            return  # gone meanwhile, by itself
