"""Whatever a client and changes do, in whatever order: it ends with what the snapshot says, told once, in order."""

from collections import deque

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from outrig.snapshot import CLUSTER, ENDPOINTS, EXTENSION, LISTENER, ROUTES, SECRET, SEND_ORDER, Encoded, TypeUrl
from outrig.xds.conversation import Conversation
from outrig.xds.subscription import Request, Response

NAMES = st.sampled_from(["a", "b", "c"])
TYPES = st.sampled_from(SEND_ORDER)
NAMED = st.sampled_from([SECRET, ENDPOINTS, EXTENSION, ROUTES])
WILDCARDS = (CLUSTER, LISTENER)
BAD = "bad"
VERSIONS = st.sampled_from(["1", "2", "3", BAD])


class Client:
    """Behaves as an Envoy does: keeps what it accepted, refuses what is bad, by name or the response as a whole."""

    def __init__(self) -> None:
        self.held: dict[TypeUrl, dict[str, str]] = {type_url: {} for type_url in SEND_ORDER}
        self.names: dict[TypeUrl, set[str]] = {type_url: set() for type_url in SEND_ORDER}
        self.asked: set[TypeUrl] = set()
        self.inbox: deque[Response] = deque()

    def wants(self, type_url: TypeUrl, name: str) -> bool:
        return name in self.names[type_url] or (type_url in WILDCARDS and type_url in self.asked)

    def answer(self) -> Request:
        """Take the oldest response; the request that answers it."""
        response = self.inbox.popleft()
        bad = [resource.name for resource in response.resources if resource.version == BAD]
        by_name = bad and response.type_url in WILDCARDS
        for resource in response.resources:
            if (by_name and resource.name not in bad) or not bad:
                self._take(response.type_url, resource)
        for name in response.removed if by_name or not bad else ():
            self.held[response.type_url].pop(name, None)
        error = None
        if by_name:
            error = "Error adding/updating cluster(s) " + "\n".join(f"{name}: not good" for name in bad)
        elif bad:
            error = "a value violates a rule"
        return Request(response.type_url, nonce=response.nonce, error=error)

    def _take(self, type_url: TypeUrl, resource: Encoded) -> None:
        if self.wants(type_url, resource.name):
            self.held[type_url][resource.name] = resource.version


class Talking(RuleBasedStateMachine):
    """One client, one server, one snapshot that keeps changing."""

    @initialize()
    def start(self) -> None:
        self.client = Client()
        self.snapshot: dict[TypeUrl, dict[str, Encoded]] = {type_url: {} for type_url in SEND_ORDER}
        self.stamp = 0
        self.connect()

    def connect(self) -> None:
        self.conversation = Conversation()
        self.last_nonce = 0
        self.unanswered: set[TypeUrl] = set()
        self.excused: set[tuple[TypeUrl, str]] = set()  # what may be sent although the client holds that version
        self.client.inbox.clear()
        self.client.asked.clear()

    @rule(type_url=TYPES, name=NAMES, version=VERSIONS)
    def put(self, type_url: TypeUrl, name: str, version: str) -> None:
        self.snapshot[type_url][name] = Encoded(name, version, b"")
        self.changed(type_url, name)

    @rule(type_url=TYPES, name=NAMES)
    def remove(self, type_url: TypeUrl, name: str) -> None:
        self.snapshot[type_url].pop(name, None)
        self.changed(type_url, name)

    def changed(self, type_url: TypeUrl, name: str) -> None:
        self.stamp += 1
        self.conversation.mark({type_url: {name}})
        self.flush()

    @rule(type_url=NAMED, name=NAMES)
    def subscribe(self, type_url: TypeUrl, name: str) -> None:
        self.client.names[type_url].add(name)
        if type_url not in self.client.asked:
            self.ask(type_url)
            return
        self.excused.add((type_url, name))
        self.hear(Request(type_url, subscribe=(name,)))

    @rule(type_url=NAMED, name=NAMES)
    def unsubscribe(self, type_url: TypeUrl, name: str) -> None:
        self.client.names[type_url].discard(name)
        self.client.held[type_url].pop(name, None)
        if type_url in self.client.asked:
            self.hear(Request(type_url, unsubscribe=(name,)))

    @rule(type_url=TYPES)
    def ask(self, type_url: TypeUrl) -> None:
        """The first request of a type on a stream, as an Envoy makes it: all names, and the versions it holds."""
        names, held = self.client.names[type_url], dict(self.client.held[type_url])
        if type_url in self.client.asked or not (names or type_url in WILDCARDS):
            return
        self.client.asked.add(type_url)
        self.excused |= {(type_url, name) for name in names - held.keys()}
        self.hear(Request(type_url, subscribe=tuple(sorted(names)), versions=held))

    @precondition(lambda self: self.client.inbox)
    @rule()
    def answer(self) -> None:
        response = self.client.inbox[0]
        self.unanswered.discard(response.type_url)
        request = self.client.answer()
        if request.error is not None:  # what was refused as a whole is sent again, one by one
            self.excused |= {(response.type_url, resource.name) for resource in response.resources}
        self.hear(request)

    @rule()
    def reconnect(self) -> None:
        self.connect()

    @rule()
    def stale_answer(self) -> None:
        self.hear(Request(CLUSTER, nonce="0", error="of an earlier stream"))

    def hear(self, request: Request) -> None:
        if request.type_url not in self.client.asked:
            return
        self.conversation.receive(request)
        self.flush()

    def flush(self) -> None:
        while (response := self.conversation.next(self.snapshot, self.stamp)) is not None:
            self.check(response)
            self.unanswered.add(response.type_url)
            self.client.inbox.append(response)

    def check(self, response: Response) -> None:
        type_url = response.type_url
        assert int(response.nonce) > self.last_nonce
        self.last_nonce = int(response.nonce)
        assert type_url in self.client.asked
        assert type_url not in self.unanswered, "two responses of a type in flight"
        if type_url == LISTENER or (type_url == ROUTES and response.resources):
            assert CLUSTER not in self.unanswered, "clusters are not accepted yet"
        for resource in response.resources:
            assert resource is self.snapshot[type_url][resource.name]
            if self.client.held[type_url].get(resource.name) == resource.version:
                assert (type_url, resource.name) in self.excused, "sent twice"
            self.excused.discard((type_url, resource.name))
            if type_url == CLUSTER:
                self.excused.add((ENDPOINTS, resource.name))
        for name in response.removed:
            assert name not in self.snapshot[type_url]
            if type_url == CLUSTER:
                self.check_unused()

    def check_unused(self) -> None:
        for user in (LISTENER, ROUTES):
            wanted = {name: resource.version for name, resource in self.snapshot[user].items()}
            assert self.client.held[user] == wanted, "a cluster went before what used it"

    @invariant()
    def a_client_that_answered_everything_agrees(self) -> None:
        if not self.client.inbox and self.client.asked == set(SEND_ORDER):
            self.check_agreement()

    def teardown(self) -> None:
        """With no more changes the client asks for what it lacks, answers everything, and agrees."""
        for type_url in SEND_ORDER:
            self.ask(type_url)
            for name in self.snapshot[type_url] if type_url not in WILDCARDS else ():
                self.subscribe(type_url, name)
        while self.client.inbox:
            self.answer()
        self.check_agreement()

    def check_agreement(self) -> None:
        kept = any(
            resource.version == BAD for user in (LISTENER, ROUTES, CLUSTER) for resource in self.snapshot[user].values()
        )
        unasked = any(not self.client.wants(user, name) for user in (LISTENER, ROUTES) for name in self.snapshot[user])
        for type_url in SEND_ORDER:
            wanted = {n: r.version for n, r in self.snapshot[type_url].items() if self.client.wants(type_url, n)}
            held = self.client.held[type_url]
            for name, version in wanted.items():
                assert version in (BAD, held.get(name)), f"{type_url} {name} was not delivered"
            if not (kept or unasked):
                assert held.keys() <= wanted.keys(), f"{type_url} was not taken back"
        if not (kept or unasked):
            assert self.conversation.accepted == self.stamp


Talking.TestCase.settings = settings(
    max_examples=200, stateful_step_count=60, deadline=None, suppress_health_check=list(HealthCheck)
)
TestConversation = pytest.mark.slow(Talking.TestCase)
