"""All types of one delta xDS stream, and the order between them: make before break.

In: requests, marks, the newest snapshot. Out: one response at a time, until there is nothing to say. No I/O.

- What is referred to goes out before what refers to it (`SEND_ORDER`).
- Listeners and routes wait while clusters are in flight. Envoy holds the answer to a cluster back until the cluster has
  warmed, and a cluster warms only when its load assignment comes *after* it, even an unchanged one: so endpoints never
  wait, and those of every cluster just sent are sent again.
- A refused cluster does not hold listeners and routes for ever: its refusal is an answer too.
- What goes away goes only after everything that may still use it has been accepted otherwise. A refused listener
  or route still uses what it used, so it keeps clusters alive.
- Gone listeners leave with the new ones in one response: Envoy removes first, so an address can change hands.
"""

from collections.abc import Iterable, Mapping
from itertools import count

from outrig.snapshot import CLUSTER, ENDPOINTS, EXTENSION, LISTENER, ROUTES, SECRET, SEND_ORDER, Snapshot, TypeUrl
from outrig.xds.subscription import Due, Rejection, Request, Response, Subscription, Tally

_AFTER_CLUSTERS = (LISTENER, ROUTES)
_REMOVED_AFTER: Mapping[TypeUrl, tuple[TypeUrl, ...]] = {
    ROUTES: (LISTENER,),
    EXTENSION: (LISTENER,),
    CLUSTER: (LISTENER, ROUTES),
    ENDPOINTS: (CLUSTER,),
    SECRET: (LISTENER, CLUSTER),
}


class Conversation:
    """The protocol state of one stream. Call `next` until it gives None, after everything that happened."""

    def __init__(self) -> None:
        self._types = {type_url: Subscription(type_url) for type_url in SEND_ORDER}
        self._nonces = count(1)

    @property
    def rejections(self) -> tuple[Rejection, ...]:
        """What the client refuses at the moment."""
        return tuple(rejection for each in self._types.values() for rejection in each.rejections)

    @property
    def accepted(self) -> int:
        """The newest state (`stamp`) of which the client has accepted all its load assignments, and the secrets that
        it asked for; -1: none yet."""
        endpoints, secrets = self._types[ENDPOINTS], self._types[SECRET]
        return min(endpoints.accepted, secrets.accepted) if secrets.asked else endpoints.accepted

    @property
    def tallies(self) -> Mapping[TypeUrl, Tally]:
        """What became of the responses, by type; kept up to date."""
        return {type_url: each.tally for type_url, each in self._types.items()}

    @property
    def size(self) -> int:
        """How many names the client made the server remember."""
        return sum(each.size for each in self._types.values())

    @property
    def is_blocked(self) -> bool:
        """Whether the client refuses a listener because it could not bind its address."""
        return bool(self._types[LISTENER].blocked)

    def retry(self) -> None:
        """Have the listeners sent again whose address the client could not bind."""
        self._types[LISTENER].owe(self._types[LISTENER].blocked)

    def receive(self, request: Request) -> bool:
        """Take a request; False if its type is not served here, which changes nothing."""
        subscription = self._types.get(request.type_url)
        if subscription is None:
            return False
        subscription.receive(request)
        return True

    def mark(self, names: Mapping[TypeUrl, Iterable[str]]) -> None:
        """These resources may have changed."""
        for type_url, some in names.items():
            self._types[type_url].mark(some)

    def next(self, snapshot: Snapshot, stamp: int) -> Response | None:
        """The next response, taken from the newest snapshot; None if nothing can be sent before the client answers.

        `stamp` numbers the snapshot's state and never falls.
        """
        response = self._addition(snapshot, stamp) or self._removal(snapshot, stamp)
        if response is None:
            for each in (self._types[ENDPOINTS], self._types[SECRET]):
                if each.asked or not snapshot.get(each.type_url):
                    each.rest(stamp)
        return response

    def is_quiet(self, snapshot: Snapshot) -> bool:
        """Whether the client has asked for all that serves it and answered everything it was sent."""
        if any(_lacks(self._types[type_url], snapshot) for type_url in (CLUSTER, EXTENSION, LISTENER, ROUTES)):
            return False
        return not any(each.in_flight or each.review(snapshot.get(each.type_url, {})) for each in self._types.values())

    def _addition(self, snapshot: Snapshot, stamp: int) -> Response | None:
        for type_url, each in self._types.items():
            if each.in_flight or (type_url in _AFTER_CLUSTERS and self._types[CLUSTER].in_flight):
                continue
            due = each.review(snapshot.get(type_url, {}))
            if due.vanished and type_url != LISTENER:
                due = Due(due.changed, due.unknown, (), due.greeting)
            if due:
                return self._send(each, due, stamp)
        return None

    def _removal(self, snapshot: Snapshot, stamp: int) -> Response | None:
        for type_url, users in _REMOVED_AFTER.items():
            each = self._types[type_url]
            if each.in_flight:
                continue
            vanished = each.review(snapshot.get(type_url, {})).vanished
            if vanished and all(self._is_settled(user, snapshot) for user in users):
                return self._send(each, Due(vanished=vanished), stamp)
        return None

    def _send(self, each: Subscription, due: Due, stamp: int) -> Response:
        if each.type_url == CLUSTER:  # a cluster's load assignment bears the cluster's name
            self._types[ENDPOINTS].owe(cluster.name for cluster in due.changed)
        return each.send(due, nonce=str(next(self._nonces)), stamp=stamp)

    def _is_settled(self, type_url: TypeUrl, snapshot: Snapshot) -> bool:
        """Whether the client uses exactly what the snapshot says, having asked for all of it."""
        each = self._types[type_url]
        if each.in_flight or each.rejections or _lacks(each, snapshot):
            return False
        return not each.review(snapshot.get(type_url, {}))


def _lacks(each: Subscription, snapshot: Snapshot) -> bool:
    """Whether there are resources the client has not asked for yet: after a reconnect it asks type by type."""
    return not all(each.wants(name) for name in snapshot.get(each.type_url, {}))
