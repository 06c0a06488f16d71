"""Which agents are connected, and what that means for their workloads.

In: agent streams and what they report; registrations and entries that come and go. Out: the conditions
`AgentConnected` and `Ready` of registration and entry, messages to the agent. The stream being open is what makes an
agent connected; when it ends, the reaper's graces begin. An agent whose registration or entry was deleted is told to
join again, which makes both anew.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from outrig.control.following import follow
from outrig.control.reaper import Reaper
from outrig.control.sessions import registration_key
from outrig.control.status import Clock, change_workload, utc_now
from outrig.dialects.istio.readiness import ReadyReason, with_readiness
from outrig.dialects.istio.workload_entry import WORKLOAD_ENTRY
from outrig.dialects.onboarding.connection import with_agent
from outrig.dialects.onboarding.workload_auto_registration import WORKLOAD_AUTO_REGISTRATION
from outrig.resources import Key, Resource
from outrig.snapshot import ProxyId
from outrig.store.protocol import Change, ChangeType, Query, Store
from outrig.wire.codec import WireError
from outrig.wire.stream import Ban, Bye, Message, Rejoin, Report, State, Welcome, Withdrawn
from outrig.xds.session import Session

_FOLLOWED: Final = Query(
    kinds=tuple((kind.group, kind.name) for kind in (WORKLOAD_AUTO_REGISTRATION, WORKLOAD_ENTRY)),
)
_LONGEST_REASON: Final = 256  # characters of what an agent says about its state

_READINESS: Final = {
    State.STARTING: ReadyReason.STARTING,
    State.READY: ReadyReason.READY,
    State.UNHEALTHY: ReadyReason.UNHEALTHY,
    State.DRAINING: ReadyReason.DRAINING,
}

_log = structlog.get_logger(__name__)


class Peers(Protocol):
    """The hub, as far as leaving needs it."""

    async def wait_withdrawn(self, revision: int, *, bound: float) -> bool:
        """Until all proxies have accepted what changed at that revision; False if `bound` seconds passed first."""
        ...


@dataclass(frozen=True, slots=True)
class Place:
    """`instance`: this control plane's name, for people. `drain_bound`: seconds a leaving workload waits at most."""

    instance: str
    drain_bound: float = 10.0
    clock: Clock = utc_now


class Connection:
    """One agent's stream. `withdrawn`: it has left its peers. `returning`: it ends for a reason of ours."""

    def __init__(self, registry: "Registry", session: Session) -> None:
        self.session = session
        self.withdrawn = False
        self.returning = False
        self._rejoining = False
        self._registry = registry
        self._outbox: asyncio.Queue[Message] = asyncio.Queue()

    def send(self, message: Message) -> None:
        """Have a message sent."""
        self._outbox.put_nowait(message)

    def rejoin(self, reason: str) -> None:
        """Have the agent join again. Said once: it then comes back on another stream."""
        if not self._rejoining:
            self._rejoining = True
            self.send(Rejoin(reason))

    async def next_message(self) -> Message:
        """The next message to send, in order."""
        return await self._outbox.get()

    async def report(self, report: Report) -> None:
        """The agent says how its workload is. Raises WireError for a state there is not, Unavailable."""
        await self._registry.record(self, report)

    def goodbye(self, reason: str) -> None:
        """This control plane stops: the agent will be back, so its going means nothing."""
        self.returning = True
        self.send(Bye(reason))


class Registry:
    """The agents that are connected. `end_proxy` ends the xDS streams of a proxy, for a reason it is told."""

    def __init__(
        self, store: Store, peers: Peers, *, reaper: Reaper, place: Place, end_proxy: Callable[[ProxyId, str], None]
    ) -> None:
        self._store, self._peers, self._reaper = store, peers, reaper
        self._place, self._end_proxy = place, end_proxy
        self._connections: dict[Key, Connection] = {}
        self._ready = asyncio.Event()

    @property
    def connected(self) -> int:
        """How many agents are connected."""
        return len(self._connections)

    def ban(self, registration: Key, message: Ban) -> bool:
        """Tell an agent that it is shut out; False if it is not connected here. Its proxy's streams end too."""
        connection = self._connections.get(registration)
        if connection is None:
            return False
        connection.send(message)
        self._end_proxy(connection.session.proxy, message.reason)
        return True

    async def run(self) -> None:
        """Until cancelled: registrations that come must connect; agents that lost theirs, or its entry, must rejoin."""
        async for burst in follow(self._store, _FOLLOWED):
            for each in burst.changes:
                self._follow(each)
            self._ready.set()

    def _follow(self, change: Change) -> None:
        resource = change.resource
        if resource.key.kind == WORKLOAD_ENTRY.name:
            if change.type is ChangeType.DELETED:
                self._entry_deleted(resource)
        elif change.type is ChangeType.ADDED:
            self._added(resource)
        elif change.type is ChangeType.DELETED:
            self._deleted(resource)

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
            before.send(Bye("there is a newer stream of this agent"))
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
            if self._connections.get(session.registration) is not connection:
                return resource  # a newer stream speaks for this workload
            return with_readiness(resource, reason, now=now, message=message)

        stored = await change_workload(self._store, session.registration, alter)
        if stored is None or stored.entry is None:
            connection.rejoin(f"{session.registration}, or its WorkloadEntry, is gone")
        elif reason is ReadyReason.DRAINING:
            await self._withdraw(connection, stored.entry.revision)

    async def _withdraw(self, connection: Connection, revision: int) -> None:
        complete = await self._peers.wait_withdrawn(revision, bound=self._place.drain_bound)
        _log.info("workload withdrawn", registration=str(connection.session.registration), complete=complete)
        connection.withdrawn = True
        connection.send(Withdrawn(complete))

    async def _welcome(self, connection: Connection) -> None:
        session, place = connection.session, self._place

        def alter(resource: Resource) -> Resource:
            return with_agent(resource, control_plane=place.instance, now=place.clock())

        stored = await change_workload(self._store, session.registration, alter, uid=session.uid)
        if stored:
            connection.send(Welcome(place.instance))
        else:
            connection.rejoin(f"{session.registration} is gone")

    def _gone(self, connection: Connection) -> None:
        session = connection.session
        if connection.returning:
            self._reaper.expect(session.registration, session.uid)
        elif connection.withdrawn:
            self._reaper.left(session.registration, session.uid)
        else:
            self._reaper.lost(session.registration, session.uid)

    def _added(self, registration: Resource) -> None:
        connection = self._connections.get(registration.key)
        if connection is None or connection.session.uid != registration.uid:
            self._reaper.expect(registration.key, registration.uid)

    def _deleted(self, registration: Resource) -> None:
        key = registration.key
        self._reaper.forget(key, registration.uid)
        self._end_proxy(ProxyId(f"{key.namespace}/{key.name}"), f"{key} is gone")
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


def _reason(report: Report) -> ReadyReason:
    try:
        return _READINESS[State(report.state)]
    except ValueError:
        raise WireError(f"state: {report.state!r} is not one of {', '.join(State)}") from None


def _one_line(text: str) -> str:
    """An agent's own words, fit for a status that people print on a terminal."""
    line = " ".join(text.split())[:_LONGEST_REASON]
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in line)
