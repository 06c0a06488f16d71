"""Services that exist as long as somebody offers them: what single workloads offer, put together.

A service has every port that somebody offers, and one protocol: each of its ports leads to all who offer it, so only
what all of them speak can be spoken there. As long as nobody offers it, it is what is kept of it: without that it is
not there.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from typing import Final

from outrig.model import Offer, Protocol, Service
from outrig.resources import Key

_HTTP2_ONLY: Final = frozenset({Protocol.HTTP2, Protocol.GRPC})
_Id = tuple[Key, str]
_Part = tuple[bool, Service]  # whether it is only kept, and what is offered


class Offers:
    """What is offered, and which services may therefore differ since this was asked last."""

    def __init__(self) -> None:
        self._offered: dict[_Id, Counter[_Part]] = defaultdict(Counter)
        self._changed: set[_Id] = set()

    def add(self, offer: Offer) -> None:
        """Somebody offers this."""
        self._count(offer, 1)

    def discard(self, offer: Offer) -> None:
        """Somebody who offered this does not any longer."""
        self._count(offer, -1)

    def live(self, id_: _Id) -> list[Service]:
        """What somebody offers of a service now, beside what is kept of it."""
        return [service for kept, service in self._offered.get(id_, ()) if not kept]

    def take_changed(self) -> Iterator[tuple[_Id, Service | None]]:
        """The services whose offers changed, by origin and host, as they are now; None: nobody offers it."""
        changed, self._changed = self._changed, set()
        for id_ in changed:
            offered = self._offered.get(id_)
            yield id_, _merged(offered) if offered else None

    def _count(self, offer: Offer, by: int) -> None:
        """Equal parts of many workloads are counted, so that one more costs as much as the first."""
        id_, part = _id_of(offer), (offer.kept, offer.service)
        offered = self._offered[id_]
        was_there = part in offered
        offered[part] += by
        if not offered[part]:
            del offered[part]
        if not offered:
            del self._offered[id_]
        if was_there != (part in offered):
            self._changed.add(id_)


def merged(offers: Iterable[Offer]) -> tuple[Service, ...]:
    """The services of which these are parts."""
    together: dict[_Id, set[_Part]] = defaultdict(set)
    for offer in offers:
        together[_id_of(offer)].add((offer.kept, offer.service))
    return tuple(_merged(some) for some in together.values())


def _id_of(offer: Offer) -> _Id:
    return offer.service.origin, offer.service.host


def _merged(offered: Collection[_Part]) -> Service:
    """One service. Its parts differ in nothing but their ports."""
    is_live = not all(kept for kept, _ in offered)
    first, *_ = parts = [service for kept, service in offered if not (kept and is_live)]
    spoken = {port.protocol for part in parts for port in part.ports}
    common = _common(spoken)
    mixed = not common.is_http and any(protocol.is_http for protocol in spoken)
    ports = {port.number: replace(port, protocol=common, mixed=mixed) for part in parts for port in part.ports}
    return replace(first, ports=tuple(ports[number] for number in sorted(ports)))


def _common(spoken: set[Protocol]) -> Protocol:
    """What all can be spoken to in. Proxies take HTTP in any version, and bytes whatever they are."""
    if len(spoken) == 1:
        return next(iter(spoken))
    if spoken <= _HTTP2_ONLY:
        return Protocol.HTTP2
    return Protocol.HTTP if all(protocol.is_http for protocol in spoken) else Protocol.TCP
