"""Which agents are connected here, and what that means for their workloads.

In: agent streams and what they report; registrations and entries that come and go. Out: the conditions
`AgentConnected` and `Ready` of registration and entry, messages to the agent. The stream being open is what makes an
agent connected; when it ends, the reaper's graces begin. An agent whose registration or entry was deleted is told to
join again, which makes both anew; so is one whose Dataplane has other tags than its certificate was issued from.

The registration names the replica that has the stream, and the last to write that has it: an older stream elsewhere
ends when its replica reads so.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final, Protocol

import structlog

from outrig.control.connections import Connection
from outrig.control.following import Burst, follow
from outrig.control.presence import arrived
from outrig.control.proxies import DATAPLANE, ENTRY, REGISTRATIONS, is_dataplane, kind_of, proxy_of, registration_key
from outrig.control.reaper import Reaper
from outrig.control.status import Clock, Stored, change_workload, utc_now
from outrig.dialects.kuma.certified import is_outdated
from outrig.dialects.kuma.dataplane import UNREADY_PORTS
from outrig.dialects.onboarding.connection import agent_at
from outrig.dialects.readiness import ReadyReason, with_readiness
from outrig.kit.aio import jittered_backoff
from outrig.resources import Key, Resource
from outrig.snapshot import ProxyId
from outrig.store.protocol import Change, ChangeType, Conflict, Query, Store, Unavailable
from outrig.wire.codec import WireError
from outrig.wire.stream import Ban, Bye, Renew, Report, State, Welcome, Withdrawn
from outrig.xds.session import Session

FOLLOWED: Final = Query(kinds=(*REGISTRATIONS, ENTRY))
_LONGEST_REASON: Final = 256  # characters of what an agent says about its state
_NEWER: Final = "there is a newer stream of this agent"

_READINESS: Final = {
    State.STARTING: ReadyReason.STARTING,
    State.READY: ReadyReason.READY,
    State.UNHEALTHY: ReadyReason.UNHEALTHY,
    State.DRAINING: ReadyReason.DRAINING,
}

_log = structlog.get_logger(__name__)


class Peers(Protocol):
    """All proxies, as far as leaving needs them."""

    async def wait_withdrawn(self, revision: int, *, bound: float) -> bool:
        """Until all proxies have accepted what changed at that revision; False if `bound` seconds passed first."""
        ...


@dataclass(frozen=True, slots=True)
class Place:
    """`instance`: this replica's name. `drain_bound`: seconds a leaving workload waits at most."""

    instance: str
    drain_bound: float = 10.0
    clock: Clock = utc_now


class Registry:
    """The agents that are connected here. `end_proxy` ends the xDS streams of a proxy, for a reason it is told."""

    def __init__(
        self, store: Store, peers: Peers, *, reaper: Reaper, place: Place, end_proxy: Callable[[ProxyId, str], None]
    ) -> None:
        self._store, self._peers, self._reaper = store, peers, reaper
        self._place, self._end_proxy = place, end_proxy
        self._connections: dict[Key, Connection] = {}
        self._disowned: asyncio.Queue[Connection] = asyncio.Queue()
        self._ready = asyncio.Event()

    @property
    def connected(self) -> int:
        """How many agents are connected here."""
        return len(self._connections)

    def has(self, registration: Key) -> bool:
        """Whether its agent is connected here."""
        return registration in self._connections

    def ban(self, registration: Key, message: Ban) -> bool:
        """Tell an agent that it is shut out; False if it is not connected here. Its proxy's streams end too."""
        connection = self._connections.get(registration)
        if connection is None:
            return False
        connection.send(message)
        self._end_proxy(connection.session.proxy, message.reason)
        return True

    @property
    def here(self) -> tuple[Key, ...]:
        """The registrations whose agents are connected here."""
        return tuple(self._connections)

    def renew(self, registration: Key, reason: str) -> None:
        """Have an agent renew its certificates now, if it is connected here."""
        if connection := self._connections.get(registration):
            connection.send(Renew(reason))

    async def run(self, *others: Callable[[Burst], None]) -> None:
        """Until cancelled: agents that lost their registration, or its entry, must rejoin. `others` hear the same."""
        async with asyncio.TaskGroup() as loops:
            loops.create_task(self._follow(others))
            loops.create_task(self._reclaim())

    async def _follow(self, others: tuple[Callable[[Burst], None], ...]) -> None:
        async for burst in follow(self._store, FOLLOWED):
            for change in burst.changes:
                self._heard(change, reread=burst.reread)
            for other in others:
                other(burst)
            self._ready.set()

    def _heard(self, change: Change, *, reread: bool) -> None:
        resource = change.resource
        if kind_of(resource.key) == ENTRY:
            if change.type is ChangeType.DELETED:
                self._entry_deleted(resource)
        elif change.type is ChangeType.DELETED:
            self._deleted(resource)
        else:
            self._changed(resource, reread=reread)

    @asynccontextmanager
    async def attended(self, session: Session) -> AsyncIterator[Connection]:
        """An agent's stream is open while the block runs. A newer stream of the same agent ends an older one.

        Before the registrations are known it waits: else the deletion of one could go unseen. Raises Unavailable.
        """
        await self._ready.wait()
        key, connection = session.registration, Connection(self, session)
        stored = await self._store.get(key)
        if stored is None or stored.uid != session.uid:  # it must not displace who stands for the registration now
            connection.rejoin(f"{key} is gone")
            yield connection
            return
        if before := self._connections.get(key):
            before.send(Bye(_NEWER))
        self._connections[key] = connection
        self._reaper.back(key)
        try:
            await self._welcome(connection)
            yield connection
        finally:
            if self._connections.get(key) is connection:
                del self._connections[key]
                self._gone(connection)

    async def record(self, connection: Connection, report: Report) -> None:
        """See `Connection.report`."""
        reason, message = _reason(report), _one_line(report.reason)
        session, now = connection.session, self._place.clock()

        def alter(resource: Resource) -> Resource:
            said = with_readiness(resource, reason, now=now, message=message)
            return _with_unready(said, report.unready_ports) if is_dataplane(resource.key) else said

        def speaks(registration: Resource) -> bool:
            """A newer stream, wherever it is, speaks for this workload instead."""
            here = self._connections.get(session.registration) is connection
            return here and agent_at(registration) == self._place.instance

        connection.last = report
        stored = await change_workload(self._store, session.registration, alter, uid=session.uid, only=speaks)
        if stored is None or stored.entry is None:
            connection.rejoin(f"{session.registration}, or its WorkloadEntry, is gone")
        elif reason is ReadyReason.DRAINING and speaks(stored.registration):
            await self._withdraw(connection, stored.entry.revision)

    async def _withdraw(self, connection: Connection, revision: int) -> None:
        complete = await self._peers.wait_withdrawn(revision, bound=self._place.drain_bound)
        _log.info("workload withdrawn", registration=str(connection.session.registration), complete=complete)
        connection.withdrawn = True
        connection.send(Withdrawn(complete))

    async def _welcome(self, connection: Connection) -> None:
        if stored := await self._claim(connection):
            connection.written = stored.registration.revision
            connection.send(Welcome(self._place.instance))
            _recertify(connection, stored.registration)
        else:
            connection.rejoin(f"{connection.session.registration} is gone")

    async def _claim(self, connection: Connection) -> Stored | None:
        """Write down that the agent is connected here."""
        session, place = connection.session, self._place

        def alter(resource: Resource) -> Resource:
            return arrived(resource, control_plane=place.instance, now=place.clock())

        return await change_workload(self._store, session.registration, alter, uid=session.uid)

    async def _reclaim(self) -> None:
        """What is stored of agents that are connected here, and says otherwise, is put right."""
        delays = jittered_backoff(first=0.1, ceiling=5.0)
        while True:
            connection = await self._disowned.get()
            if self._connections.get(connection.session.registration) is not connection:
                continue
            try:
                if stored := await self._claim(connection):
                    connection.written = stored.registration.revision
                    if connection.last is not None:
                        await self.record(connection, connection.last)
            except (Unavailable, Conflict) as error:
                where = str(connection.session.registration)
                _log.warning("not yet written that an agent is connected", registration=where, reason=str(error))
                self._disowned.put_nowait(connection)
                await asyncio.sleep(next(delays))

    def _gone(self, connection: Connection) -> None:
        session = connection.session
        if connection.returning:
            self._reaper.expect(session.registration, session.uid)
        elif connection.withdrawn:
            self._reaper.left(session.registration, session.uid)
        else:
            self._reaper.lost(session.registration, session.uid)

    def _changed(self, registration: Resource, *, reread: bool) -> None:
        """Revisions order what is stored and what was written here, unless everything was read again: then the store
        may have been put back, and whoever has a stream says so once more."""
        connection = self._connections.get(registration.key)
        if connection is None or connection.session.uid != registration.uid or not connection.written:
            return
        if reread or registration.revision > connection.written:
            _recertify(connection, registration)
        where = agent_at(registration)
        if where == self._place.instance and not reread:
            return
        if reread or (not where and registration.revision > connection.written):
            self._disowned.put_nowait(connection)
        elif registration.revision > connection.written:
            del self._connections[registration.key]
            connection.send(Bye(_NEWER))

    def _deleted(self, registration: Resource) -> None:
        key = registration.key
        self._reaper.forget(key, registration.uid)
        self._end_proxy(proxy_of(key), f"{key} is gone")
        connection = self._connections.get(key)
        if connection is not None and connection.session.uid == registration.uid:
            connection.rejoin(f"{key} is gone")

    def _entry_deleted(self, entry: Resource) -> None:
        """Nobody but its agent can make it again: the join does."""
        connection = self._connections.get(registration_key(entry.key.namespace, entry.key.name))
        if connection is None or connection.withdrawn:
            return
        if connection.session.uid in {owner.uid for owner in entry.owners}:
            connection.rejoin(f"{entry.key} is gone")


def _recertify(connection: Connection, registration: Resource) -> None:
    """A Dataplane whose tags have changed gets its new identities at once, and loses the old ones."""
    if registration.key.kind == DATAPLANE[1] and is_outdated(registration):
        connection.rejoin(f"the tags of {registration.key} are no longer those of its certificate")


def _reason(report: Report) -> ReadyReason:
    try:
        return _READINESS[State(report.state)]
    except ValueError:
        raise WireError(f"state: {report.state!r} is not one of {', '.join(State)}") from None


def _with_unready(dataplane: Resource, ports: tuple[int, ...]) -> Resource:
    """An empty list is news too: until there is one, nothing is known of the probes."""
    unready = sorted(ports)
    if dataplane.status.get(UNREADY_PORTS) == unready:
        return dataplane
    return replace(dataplane, status={**dataplane.status, UNREADY_PORTS: unready})


def _one_line(text: str) -> str:
    """An agent's own words, fit for a status that people print on a terminal."""
    line = " ".join(text.split())[:_LONGEST_REASON]
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in line)
