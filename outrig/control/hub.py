"""From changes in the store to marks in the mailboxes of the proxies they concern, and to no one else.

In: bursts of changes (`following`). Out: marked mailboxes, snapshots, and how far each proxy has come.
A lone change goes out at once. What a change did not reach is neither looked at nor encoded nor sent.
If `run` fails, the task group above fails with it: there is no half-alive hub.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from outrig.control.following import Burst
from outrig.control.proxies import ENTRIES, kind_of, proxy_of
from outrig.snapshot import ENDPOINTS, ProxyId, Snapshot, TypeUrl
from outrig.store.protocol import Change, ChangeType
from outrig.xds.mailbox import AWAITED, Mailbox
from outrig.xds.subscription import Rejection, Tally

Dirty = Mapping[ProxyId, Mapping[TypeUrl, set[str]]]
Verdict = Callable[[ProxyId, tuple[Rejection, ...]], None]
Dirtied = Callable[[Iterable[ProxyId]], None]
Presence = Callable[[ProxyId, bool], None]


class World(Protocol):
    """The mesh, its index and its encodings."""

    def apply(self, changes: Sequence[Change]) -> Dirty:
        """Take the changes in; gives the names of what may have become different, by proxy and type."""
        ...

    def snapshot(self, proxy: ProxyId) -> Snapshot | None:
        """What the proxy should have now; None if there is no such proxy."""
        ...


class _Acceptance:
    """Somebody waits until every proxy that state `stamp` or a later one concerned has accepted it."""

    def __init__(self, stamp: int) -> None:
        self.stamp = stamp
        self.begun = False
        self.done = asyncio.Event()
        self._behind: set[ProxyId] = set()

    def begin(self, behind: Iterable[ProxyId]) -> None:
        """State `stamp` is there, and these have not accepted it yet."""
        self.begun = True
        self._behind = set(behind)
        self._check()

    def reached(self, proxy: ProxyId) -> None:
        """That proxy need not be waited for."""
        self._behind.discard(proxy)
        self._check()

    def _check(self) -> None:
        if self.begun and not self._behind:
            self.done.set()


@dataclass(slots=True)
class _Absence:
    """A proxy without a stream, which serves on with what it has. `since`: loop time. `awaited`: as in a mailbox."""

    since: float
    awaited: int


class Hub:
    """Feeds the xDS server. `on_verdict` hears what a proxy refuses, () once it refuses nothing, at each change and
    once on each stream; `on_dirty`, which proxies a change has just reached; `on_presence`, which come and go.

    `stamp` numbers the states that `snapshot` shows: the store's revision, lifted where the store was restored to
    an earlier one, so that it never falls. A proxy whose stream ended, or that this hub has not met yet, still uses
    what it was sent: for `away` seconds it is expected back, then taken for dead. Another replica may answer for it
    meanwhile: once the proxy has accepted there what that one has, which is said by its verdict.
    """

    def __init__(
        self,
        world: World,
        bursts: AsyncIterator[Burst],
        *,
        on_verdict: Verdict = lambda _proxy, _rejections: None,
        on_dirty: Dirtied = lambda _proxies: None,
        on_presence: Presence = lambda _proxy, _here: None,
        away: float = 30.0,
    ) -> None:
        self._world, self._bursts = world, bursts
        self._on_verdict, self._on_dirty, self._on_presence = on_verdict, on_dirty, on_presence
        self._away = away
        self._readers: dict[ProxyId, set[Mailbox]] = defaultdict(set)
        self._absent: dict[ProxyId, _Absence] = {}
        self._elsewhere: set[ProxyId] = set()
        self._introduced: set[Mailbox] = set()
        self._last: dict[ProxyId, Mailbox] = {}
        self._verdicts: dict[ProxyId, tuple[Rejection, ...]] = {}
        self._acceptances: set[_Acceptance] = set()
        self._revision = 0
        self._lift = 0
        self._ready = asyncio.Event()

    @property
    def stamp(self) -> int:
        """The number of the state that snapshots show."""
        return self._revision + self._lift

    async def run(self) -> None:
        """Take in bursts until cancelled. The first one is the whole state."""
        async for burst in self._bursts:
            self._take(burst)
            if not self._ready.is_set():
                self._ready.set()
                self._wake_all()

    async def wait_ready(self) -> None:
        """Until snapshots show the store's state."""
        await self._ready.wait()

    def snapshot(self, proxy: ProxyId) -> Snapshot | None:
        """What the proxy should have; None before everything is loaded, and for unknown proxies."""
        return self._world.snapshot(proxy) if self._ready.is_set() else None

    @contextmanager
    def subscribed(self, proxy: ProxyId) -> Iterator[Mailbox]:
        """A mailbox that is marked with what changes for the proxy. A reconnect may overlap its old stream."""
        mailbox = Mailbox(self.stamp, lambda mailbox: self._progressed(proxy, mailbox))
        self._readers[proxy].add(mailbox)
        self._last[proxy] = mailbox
        self._absent.pop(proxy, None)
        self._on_presence(proxy, True)
        try:
            yield mailbox
        finally:
            self._introduced.discard(mailbox)
            self._readers[proxy].discard(mailbox)
            if not self._readers[proxy]:
                del self._readers[proxy]
                if self._world.snapshot(proxy) is not None:
                    self._left(proxy, mailbox.awaited)

    def elsewhere(self, proxy: ProxyId) -> None:
        """Another replica answers for this proxy from now on; a stream of it that is open here may be a dead one's."""
        self._elsewhere.add(proxy)
        if self._absent.pop(proxy, None):
            self._on_presence(proxy, True)
        self._excuse(proxy)

    def nowhere(self, proxy: ProxyId) -> None:
        """The replica that answered for this proxy is gone; it is expected here, unless here it is."""
        if proxy in self._elsewhere:
            self._elsewhere.discard(proxy)
            if proxy not in self._readers and self._world.snapshot(proxy) is not None:
                self._left(proxy, self.stamp)

    def tallies(self) -> Iterator[tuple[ProxyId, Mapping[TypeUrl, Tally]]]:
        """What became of the responses on each proxy's newest stream here, or on its last one."""
        return ((proxy, mailbox.tallies) for proxy, mailbox in self._last.items())

    def nacks(self, proxy: ProxyId) -> tuple[Rejection, ...]:
        """What the proxy refuses, as far as its streams have told; kept when it disconnects."""
        return self._verdicts.get(proxy, ())

    async def wait_withdrawn(self, revision: int, *, bound: float) -> bool:
        """Until every proxy whose load assignments or secrets changed at that revision, or since, has accepted them.

        `revision` is that of the write that took an endpoint away, or changed an authority. False if `bound` seconds
        passed first: a proxy was too slow or away, or it refuses a load assignment and so uses an older one.
        """
        acceptance = _Acceptance(revision + self._lift)
        self._acceptances.add(acceptance)
        self._begin_acceptances()
        try:
            async with asyncio.timeout(bound):
                await acceptance.done.wait()
        except TimeoutError:
            return False
        else:
            return True
        finally:
            self._acceptances.discard(acceptance)

    def _take(self, burst: Burst) -> None:
        self._lift = max(self._lift, self.stamp - burst.revision)
        self._revision = burst.revision
        for change in burst.changes:
            if kind_of(change.resource.key) in ENTRIES:
                self._look_at(proxy_of(change.resource.key), change.type, reread=burst.reread)
        dirty = self._world.apply(burst.changes) if burst.changes else {}
        if not self._ready.is_set():
            for proxy in dirty.keys() - self._readers.keys():
                self._left(proxy, self.stamp)
        self._mark(dirty)
        self._begin_acceptances()

    def _mark(self, dirty: Dirty) -> None:
        for proxy, names in dirty.items():
            for mailbox in self._readers.get(proxy, ()):
                mailbox.mark(names, self.stamp)
            if proxy in self._absent and any(type_url in names for type_url in AWAITED):
                self._absent[proxy].awaited = self.stamp
        self._on_dirty(dirty)

    def _left(self, proxy: ProxyId, awaited: int) -> None:
        if proxy in self._elsewhere:
            return
        self._absent[proxy] = _Absence(asyncio.get_running_loop().time(), awaited)
        self._on_presence(proxy, False)

    def _wake_all(self) -> None:
        for mailboxes in self._readers.values():
            for mailbox in mailboxes:
                mailbox.wake()

    def _look_at(self, proxy: ProxyId, change: ChangeType, *, reread: bool) -> None:
        """What is stored of a workload is gone, or may be older than what is known here."""
        if change is ChangeType.DELETED:
            for known in (self._verdicts, self._last):
                known.pop(proxy, None)
            self._elsewhere.discard(proxy)
            if self._absent.pop(proxy, None):
                self._excuse(proxy)
        elif reread and proxy in self._readers and proxy in self._verdicts:
            self._on_verdict(proxy, self._verdicts[proxy])

    def _excuse(self, proxy: ProxyId) -> None:
        for acceptance in self._acceptances:
            acceptance.reached(proxy)

    def _begin_acceptances(self) -> None:
        for acceptance in self._acceptances:
            if not acceptance.begun and acceptance.stamp <= self.stamp:
                acceptance.begin(self._behind(acceptance.stamp))

    def _behind(self, stamp: int) -> Iterator[ProxyId]:
        for proxy, mailboxes in self._readers.items():
            concerned = any(box.awaited >= stamp for box in mailboxes) and proxy not in self._elsewhere
            if concerned and not any(_has_accepted(box, stamp) for box in mailboxes):
                yield proxy
        now = asyncio.get_running_loop().time()
        for proxy, absence in self._absent.items():
            if absence.awaited >= stamp and now - absence.since < self._away:
                yield proxy

    def _progressed(self, proxy: ProxyId, mailbox: Mailbox) -> None:
        for acceptance in tuple(self._acceptances):
            if _has_accepted(mailbox, acceptance.stamp):
                acceptance.reached(proxy)
        rejections = mailbox.progress.rejections
        if mailbox.progress.settled and mailbox not in self._introduced:
            self._introduced.add(mailbox)
            self._elsewhere.discard(proxy)  # from now on this replica answers for it
            self._verdicts.pop(proxy, None)
        if rejections or mailbox.progress.settled:
            self._judge(proxy, rejections)

    def _judge(self, proxy: ProxyId, rejections: tuple[Rejection, ...]) -> None:
        """Before a stream has settled, having refused nothing yet says nothing."""
        if proxy in self._verdicts and self._verdicts[proxy] == rejections:
            return
        self._verdicts[proxy] = rejections
        self._on_verdict(proxy, rejections)


def _has_accepted(mailbox: Mailbox, stamp: int) -> bool:
    progress = mailbox.progress
    return progress.accepted >= stamp and not any(each.type_url == ENDPOINTS for each in progress.rejections)
