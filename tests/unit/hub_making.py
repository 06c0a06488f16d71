"""A hub over a small world, and proxies that read from it without a network."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager

from outrig.control.following import follow
from outrig.control.hub import Hub
from outrig.resources import Key, Resource
from outrig.snapshot import CLUSTER, ENDPOINTS, LISTENER, ROUTES, Encoded, ProxyId, Snapshot, TypeUrl
from outrig.store.memory import MemoryStore
from outrig.store.protocol import Change, Query
from outrig.xds.conversation import Conversation
from outrig.xds.mailbox import Mailbox, Progress
from outrig.xds.subscription import Request, Response
from tests.unit.control_making import BOUND, running

EVERYBODY = ProxyId("*")


class Services:
    """A world in which each resource with a label `callers` is a service, which those proxies call; `*`: all do.

    A proxy gets a cluster and a load assignment for each service it calls. `applied` counts the bursts.
    """

    def __init__(self) -> None:
        self.applied = 0
        self._callers: dict[str, ProxyId] = {}
        self._encoded: dict[str, tuple[Encoded, Encoded]] = {}

    def apply(self, changes: Sequence[Change]) -> Mapping[ProxyId, Mapping[TypeUrl, set[str]]]:
        self.applied += 1
        dirty: dict[ProxyId, dict[TypeUrl, set[str]]] = defaultdict(lambda: {ENDPOINTS: set()})
        for each in changes:
            if "callers" not in each.resource.labels:
                continue
            name, version = each.resource.key.name, str(each.resource.body.get("version", each.resource.revision))
            cluster, endpoints = Encoded(name, "1", b"c"), Encoded(name, version, f"{name} {version}".encode())
            self._encoded[name] = (cluster, endpoints)
            self._callers[name] = ProxyId(each.resource.labels["callers"])
            dirty[self._callers[name]][ENDPOINTS].add(name)
        everybody = dirty.pop(EVERYBODY, None)
        return dirty if everybody is None else _Everybody(everybody)

    def snapshot(self, proxy: ProxyId) -> Snapshot | None:
        mine = [name for name, callers in self._callers.items() if callers in (proxy, EVERYBODY)]
        clusters = {name: self._encoded[name][0] for name in mine}
        return {CLUSTER: clusters, ENDPOINTS: {name: self._encoded[name][1] for name in mine}}


class _Everybody(dict[ProxyId, Mapping[TypeUrl, set[str]]]):
    """All thousand proxies are affected alike."""

    def __init__(self, names: Mapping[TypeUrl, set[str]]) -> None:
        super().__init__({ProxyId(f"shop/{number}"): names for number in range(1000)})


class Reader:
    """A connected proxy without the network: what the server does with a mailbox, and a client that accepts it."""

    def __init__(self, hub: Hub, proxy: ProxyId, mailbox: Mailbox) -> None:
        self._hub, self._proxy, self.mailbox = hub, proxy, mailbox
        self._conversation = Conversation()
        mailbox.tallies = self._conversation.tallies
        self.received: list[Response] = []

    def connect(self, *names: str) -> None:
        self._conversation.receive(Request(CLUSTER))
        self.read()
        self._conversation.receive(Request(ENDPOINTS, subscribe=names))
        self.read()
        for type_url in (LISTENER, ROUTES):
            self._conversation.receive(Request(type_url))
        self.read()
        self.received.clear()

    def read(self) -> None:
        """Take whatever there is, and accept it."""
        while responses := self.take():
            for response in responses:
                self.accept(response)

    def take(self) -> list[Response]:
        responses = []
        self._conversation.mark(self.mailbox.take())
        while (response := self._conversation.next(self._snapshot(), self._hub.stamp)) is not None:
            responses.append(response)
        self.received += responses
        self._report()
        return responses

    def accept(self, response: Response) -> None:
        self._conversation.receive(Request(response.type_url, nonce=response.nonce))
        self._conversation.next(self._snapshot(), self._hub.stamp)
        self._report()

    def refuse(self, response: Response) -> None:
        """Twice where it must: a response that was refused whole comes again, a resource at a time."""
        self._conversation.receive(Request(response.type_url, nonce=response.nonce, error="no"))
        for again in self.take():
            self._conversation.receive(Request(again.type_url, nonce=again.nonce, error="no"))
            self.take()

    async def keep_reading(self) -> None:
        """Take and accept whatever comes, until cancelled."""
        while True:
            self.read()
            await self.mailbox.wait_awake()

    async def wait_marked(self) -> None:
        async with asyncio.timeout(BOUND):
            await self.mailbox.wait_awake()

    @property
    def is_marked(self) -> bool:
        return any(self.mailbox.take().values())

    def _snapshot(self) -> Snapshot:
        snapshot = self._hub.snapshot(self._proxy)
        assert snapshot is not None
        return snapshot

    def _report(self) -> None:
        talk = self._conversation
        self.mailbox.report(Progress(talk.accepted, talk.rejections, talk.is_quiet(self._snapshot())))


def service(name: str, version: int, callers: str) -> Resource:
    return Resource(Key("test", "Service", "", "", name), body={"version": version}, labels={"callers": callers})


async def put(store: MemoryStore, *resources: Resource) -> int:
    """Create or update them in one transaction; the last one's revision."""
    async with store.transaction() as tx:
        for resource in resources:
            stored = await (tx.create(resource) if await tx.get(resource.key) is None else tx.update(resource))
    return stored.revision


@asynccontextmanager
async def hub_over(store: MemoryStore, away: float = 0.0) -> AsyncIterator[tuple[Hub, Services]]:
    world = Services()
    hub = Hub(world, follow(store, Query()), away=away)
    async with running(hub.run()):
        await hub.wait_ready()
        yield hub, world


@contextmanager
def reader(hub: Hub, proxy: str, *names: str) -> Iterator[Reader]:
    with hub.subscribed(ProxyId(proxy)) as mailbox:
        made = Reader(hub, ProxyId(proxy), mailbox)
        made.connect(*names)
        yield made
