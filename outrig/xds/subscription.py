"""One resource type of one delta xDS stream: what the client wants, holds, refused, and is still to be told.

In: the client's requests, the names that changed, the resources there are. Out: `Due`, what the client lacks now.
One response of a type is in flight at a time; until it is answered newer changes only mark names, so that a slow
client gets the newest state later and never a queue. No I/O, no clock; which type goes first is `conversation`'s.

Protocol: https://www.envoyproxy.io/docs/envoy/v1.40.0/api-docs/xds_protocol, "Incremental xDS".
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from outrig.snapshot import CLUSTER, LISTENER, Encoded, TypeUrl

WILDCARD = "*"
_WILDCARD_BY_SILENCE = (CLUSTER, LISTENER)  # an empty first subscription to these means all of them


@dataclass(frozen=True, slots=True)
class Request:
    """A DeltaDiscoveryRequest. `versions`: what the client holds already. `error`: why it refused `nonce`."""

    type_url: TypeUrl
    subscribe: tuple[str, ...] = ()
    unsubscribe: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    nonce: str = ""
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Response:
    """A DeltaDiscoveryResponse. `removed` also answers names that were asked for and do not exist."""

    type_url: TypeUrl
    nonce: str
    resources: tuple[Encoded, ...] = ()
    removed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rejection:
    """A resource the client refused; it keeps the last good one. `reason` is the client's own text."""

    type_url: TypeUrl
    name: str
    version: str
    reason: str


@dataclass(frozen=True, slots=True)
class Due:
    """What a client is to be told: new and changed resources, names asked for in vain, names that have gone.

    `greeting`: the first answer to a wildcard is owed even if it is empty, for the client waits for it.
    """

    changed: tuple[Encoded, ...] = ()
    unknown: tuple[str, ...] = ()
    vanished: tuple[str, ...] = ()
    greeting: bool = False

    def only(self, name: str) -> "Due":
        """The part that concerns one name."""
        return Due(
            tuple(resource for resource in self.changed if resource.name == name),
            tuple(unknown for unknown in self.unknown if unknown == name),
            tuple(vanished for vanished in self.vanished if vanished == name),
        )

    def __bool__(self) -> bool:
        return bool(self.changed or self.unknown or self.vanished or self.greeting)


_NOTHING = Due()


@dataclass(slots=True)
class Tally:
    """What became of the responses of one type."""

    sent: int = 0
    acknowledged: int = 0
    rejected: int = 0


@dataclass(frozen=True, slots=True)
class _Flight:
    """A response not answered yet: name to version, None for a removal. `stamp`: the state it completes, if it does."""

    nonce: str
    sent: Mapping[str, str | None]
    stamp: int | None


class Subscription:
    """The client's side of one type, as far as the server can know it."""

    def __init__(self, type_url: TypeUrl) -> None:
        self.type_url = type_url
        self.asked = False
        self.accepted = -1
        self.tally = Tally()
        self._wildcard = False
        self._names: set[str] = set()
        self._held: dict[str, str] = {}
        self._rejected: dict[str, Rejection] = {}
        self._flight: _Flight | None = None
        self._marked: set[str] = set()
        self._owed: set[str] = set()
        self._suspects: list[str] = []
        self._everything = False
        self._greeting = False

    @property
    def in_flight(self) -> bool:
        """Whether a response waits for its answer."""
        return self._flight is not None

    @property
    def rejections(self) -> tuple[Rejection, ...]:
        """What the client refused and has not been sent otherwise since."""
        return tuple(self._rejected.values())

    @property
    def size(self) -> int:
        """How many names the client made the server remember."""
        return len(self._names) + len(self._held)

    def wants(self, name: str) -> bool:
        """Whether the client subscribes to that name."""
        return self._wildcard or name in self._names

    def receive(self, request: Request) -> None:
        """Take a request: an answer to the response in flight, changed subscriptions, or both."""
        if request.nonce:
            self._answer(request.nonce, request.error)
        if not self.asked:
            self._open(request)
        for name in request.unsubscribe:
            self._unsubscribe(name)
        for name in request.subscribe:
            self._subscribe(name, owed=name not in request.versions)

    def mark(self, names: Iterable[str]) -> None:
        """These names may have changed. Costs nothing where the client has not subscribed to them."""
        self._marked.update(name for name in names if self.wants(name))

    def owe(self, names: Iterable[str]) -> None:
        """These names must be sent again, changed or not, if the client subscribes to them."""
        self._owed.update(name for name in names if self.wants(name))

    @property
    def blocked(self) -> tuple[str, ...]:
        """Names that the client refused because it could not bind an address: it may be free by now."""
        return tuple(rejection.name for rejection in self._rejected.values() if "cannot bind" in rejection.reason)

    def review(self, available: Mapping[str, Encoded]) -> Due:
        """What the client lacks of the resources there are; only while nothing is in flight.

        Marked names that turn out to need nothing are forgotten.
        """
        if self._everything:
            self._marked |= available.keys() | self._held.keys()
            self._everything = False
        if not (self._marked or self._owed or self._greeting):
            self._suspects.clear()
            return _NOTHING
        due = self._sort_out(available)
        self._marked &= {*(resource.name for resource in due.changed), *due.unknown, *due.vanished}
        self._owed &= {*(resource.name for resource in due.changed), *due.unknown}
        return self._isolated(due)

    def send(self, due: Due, *, nonce: str, stamp: int) -> Response:
        """The response that carries this part of what is due; `stamp` numbers the state it was taken from."""
        sent: dict[str, str | None] = {resource.name: resource.version for resource in due.changed}
        removed = (*due.unknown, *due.vanished)
        sent.update(dict.fromkeys(removed))
        self._marked -= sent.keys()
        self._owed -= sent.keys()
        self._greeting = False
        for name in sent:
            self._rejected.pop(name, None)
        self.tally.sent += 1
        complete = not (self._marked or self._owed or self._suspects)
        self._flight = _Flight(nonce, sent, stamp if complete else None)
        return Response(self.type_url, nonce, due.changed, removed)

    def rest(self, stamp: int) -> None:
        """Nothing more can be sent of the state `stamp`; if nothing is in flight either, the client has accepted it."""
        if not (self._flight or self._marked or self._owed):
            self.accepted = stamp

    def _open(self, request: Request) -> None:
        self.asked = True
        self._held = dict(request.versions)
        self._everything = True
        if not request.subscribe and self.type_url in _WILDCARD_BY_SILENCE:
            self._wildcard = True
            self._greeting = not request.versions

    def _subscribe(self, name: str, *, owed: bool) -> None:
        if name == WILDCARD:
            self._greeting = not self._wildcard and not self._held
            self._wildcard = self._everything = True
            return
        self._names.add(name)
        if owed:
            self._owed.add(name)

    def _unsubscribe(self, name: str) -> None:
        if name == WILDCARD:
            self._wildcard = False
            self._held = {name: version for name, version in self._held.items() if name in self._names}
            self._rejected = {name: why for name, why in self._rejected.items() if name in self._names}
            return
        self._names.discard(name)
        if self._wildcard:  # the client may have dropped it, though the wildcard still covers it
            self._owed.add(name)
            return
        self._held.pop(name, None)
        self._rejected.pop(name, None)

    def _sort_out(self, available: Mapping[str, Encoded]) -> Due:
        changed, unknown, vanished = [], [], []
        for name in sorted(self._marked | self._owed):
            resource = available.get(name)
            if not self.wants(name):
                continue
            if resource is None:
                self._rejected.pop(name, None)
                if name in self._owed:
                    unknown.append(name)
                elif name in self._held:
                    vanished.append(name)
            elif name in self._owed or self._is_news(resource):
                changed.append(resource)
        return Due(tuple(changed), tuple(unknown), tuple(vanished), self._greeting)

    def _is_news(self, resource: Encoded) -> bool:
        if self._held.get(resource.name) == resource.version:
            self._rejected.pop(resource.name, None)
            return False
        rejection = self._rejected.get(resource.name)
        return rejection is None or rejection.version != resource.version

    def _isolated(self, due: Due) -> Due:
        """A response that was refused whole is sent again resource by resource, so that only the bad one is lost."""
        while self._suspects:
            alone = due.only(self._suspects[0])
            if alone:
                return alone
            self._suspects.pop(0)
        return due

    def _answer(self, nonce: str, error: str | None) -> None:
        flight = self._flight
        if flight is None or flight.nonce != nonce:
            return
        self._flight = None
        if error is not None:
            self.tally.rejected += 1
            self._refused(flight.sent, error)
            return
        self.tally.acknowledged += 1
        self._took(flight.sent)
        if flight.stamp is not None:
            self.accepted = flight.stamp

    def _took(self, sent: Mapping[str, str | None]) -> None:
        for name, version in sent.items():
            if version is None:
                self._held.pop(name, None)
            elif self.wants(name):
                self._held[name] = version

    def _refused(self, sent: Mapping[str, str | None], error: str) -> None:
        bad = set(sent) if len(sent) == 1 else blamed(error, sent)
        if not bad:
            self._suspects = sorted(name for name in sent if self.wants(name))
            self._owed.update(self._suspects)
            return
        self._took({name: version for name, version in sent.items() if name not in bad or version is None})
        for name in bad:
            version = sent[name]
            if version is not None and self.wants(name):
                self._rejected[name] = Rejection(self.type_url, name, version, error)


def blamed(error: str, names: Iterable[str]) -> set[str]:
    """Which of the names a refusal blames, the others having been applied; empty if the whole response was refused.

    Envoy applies the good clusters and listeners of a response and names the bad ones: "Error adding/updating
    listener(s) NAME: reason", with a line or a comma between several. Any other text refuses everything.
    """
    if not error.startswith("Error adding/updating"):
        return set()
    return {name for name in names if re.search(rf"(?:^|[\s,]){re.escape(name)}: ", error)}
