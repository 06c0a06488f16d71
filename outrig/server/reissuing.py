"""When a mesh gets another authority: its members get certificates of the new one, and the old one is dropped in time.
And when it should get another, since its own is about to end: its owner is told.

In: authorities as they change. Out: agents connected here are told to renew (they spread over time by themselves), once
all proxies have accepted the new authority; authorities of which nothing can be in use any more are no longer accepted;
an Event of the Mesh, and a line of the log.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, Protocol

import structlog

from outrig.admission.ending import ending
from outrig.ca.meshes import AUTHORITY, mesh_of_authority, read_mesh_authority, without_retired
from outrig.control.following import Burst, follow
from outrig.control.tidings import tell
from outrig.dialects.core import NAMESPACE
from outrig.dialects.core.event import event_key, event_time, warning_event
from outrig.dialects.core.namespace import DEFAULT_MESH, mesh_of
from outrig.dialects.kuma.tags import namespace_of
from outrig.errors import Finding
from outrig.resources import Key, Resource
from outrig.store.protocol import ChangeType, Conflict, Query, Store, Unavailable

BOUND: Final = 30.0
"""Seconds after which a proxy that does not say that it accepts a new authority is waited for no longer."""
PERIOD: Final = 60.0
"""Seconds between two looks at what can be dropped."""
AGAIN: Final = timedelta(minutes=50)
"""Between two warnings of the same: Events are forgotten after an hour."""
_AUTHORITIES: Final = Query(kinds=(AUTHORITY,))

_log = structlog.get_logger(__name__)


class Agents(Protocol):
    """The registry of connected agents."""

    @property
    def here(self) -> tuple[Key, ...]:
        """The registrations whose agents are connected here."""
        ...

    def renew(self, registration: Key, reason: str) -> None:
        """Have an agent renew its certificates now, if it is connected here."""
        ...


class Peers(Protocol):
    """The proxies of all replicas."""

    async def wait_trusted(self, revision: int, *, bound: float) -> bool:
        """Until all have accepted the authority that was written at that revision; False if `bound` seconds passed."""
        ...


class Reissuing:
    """`run` and `sweep` it. `bound`: seconds between a new authority and its first certificates for who is there, at
    most."""

    def __init__(
        self, store: Store, agents: Agents, peers: Peers, clock: Callable[[], datetime], *, bound: float = BOUND
    ) -> None:
        self._store, self._agents, self._peers, self._clock, self._bound = store, agents, peers, clock, bound
        self._signing: dict[str, str] = {}

    async def run(self) -> None:
        """Until cancelled; while the store is away, later."""
        async for burst in follow(self._store, _AUTHORITIES):
            for mesh, revision in self._changed(burst).items():
                if not await self._peers.wait_trusted(revision, bound=self._bound):
                    _log.warning("not every proxy has said that it accepts the new authority", mesh=mesh)
                await self._renew(mesh)

    async def sweep(self) -> None:
        """Until cancelled: drop what is accepted no more, and tell of what is about to end."""
        while True:
            await asyncio.sleep(PERIOD)
            try:
                await sweep_once(self._store, self._clock())
                await warn_once(self._store, self._clock())
            except (Unavailable, Conflict) as error:
                _log.warning("old authorities not dropped yet", reason=str(error))

    def _changed(self, burst: Burst) -> dict[str, int]:
        """The meshes that sign with another certificate than before, and since which revision."""
        found = {}
        for change in burst.changes:
            mesh = mesh_of_authority(change.resource.key)
            if not mesh or change.type is ChangeType.DELETED:
                continue
            certificate = str(change.resource.body.get("certificate"))
            if self._signing.get(mesh, certificate) != certificate:
                found[mesh] = change.revision
            self._signing[mesh] = certificate
        return found

    async def _renew(self, mesh: str) -> None:
        listed = await self._namespaces()
        _log.info("a mesh has another authority: its members renew", mesh=mesh)
        for registration in self._agents.here:
            if (registration.mesh or listed.get(registration.namespace, DEFAULT_MESH)) == mesh:
                self._agents.renew(registration, f"mesh {mesh} has another certificate authority")

    async def _namespaces(self) -> dict[str, str]:
        """The mesh of each namespace; empty, so all of the default one, while that cannot be read."""
        try:
            found = await self._store.list(Query(kinds=((NAMESPACE.group, NAMESPACE.name),)))
        except Unavailable as error:
            _log.warning("members of meshes not known now", reason=str(error))
            return {}
        return {namespace.key.name: mesh_of(namespace) for namespace in found.items}


async def sweep_once(store: Store, now: datetime) -> None:
    """Drop now what is accepted no more. Raises Unavailable, Conflict."""
    for stored in (await store.list(_AUTHORITIES)).items:
        body = without_retired(stored.body, now)
        if body is not stored.body:
            async with store.transaction() as tx:
                await tx.update(replace(stored, body=body))
            _log.info("an old authority is accepted no more", authority=stored.key.name)


async def warn_once(store: Store, now: datetime) -> None:
    """Tell of each authority that is about to end, unless that was done lately. Raises Unavailable, Conflict."""
    for stored in (await store.list(_AUTHORITIES)).items:
        found = _ending(stored, now) if mesh_of_authority(stored.key) else None
        if found is None:
            continue
        mesh = found.origin
        about = Key(mesh.group, mesh.kind, "", namespace_of(mesh.name), mesh.name)
        key, said = event_key(about, found.code), f"{found.code} {found.problem} ({found.hint})"
        async with store.transaction() as tx:
            known, written = await tx.get(key), await tx.get(mesh)
            if known and str(known.body.get("lastTimestamp") or "") > event_time(now - AGAIN):
                continue
            uid = written.uid if written else ""
            await tell(tx, key, warning_event(about, uid=uid, reason="AuthorityEnding", message=said, now=now))
        _log.warning("the authority of a mesh is about to end", mesh=mesh.name, reason=said)


def _ending(stored: Resource, now: datetime) -> Finding | None:
    try:
        return ending(read_mesh_authority(stored), now)
    except ValueError as error:
        _log.error("an authority is damaged", authority=stored.key.name, reason=str(error))
        return None
