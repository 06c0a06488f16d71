"""Who calls what: which load assignments are wanted, and by which proxies.

Proxies of one outlook in one zone want the same ones: they are a party.
"""

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass

from outrig.compile import ServiceId
from outrig.control.holders import Holders
from outrig.snapshot import ProxyId
from outrig.view import Destination, Outlook


@dataclass(frozen=True, slots=True)
class Party:
    """Proxies that have the same outbound side and are in the same zone."""

    outlook: Outlook
    zone: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """A load assignment as some callers want it. `zone`: theirs, where it makes a difference; else empty."""

    destination: Destination
    zone: str

    @property
    def service(self) -> ServiceId:
        """Whose endpoints it holds."""
        return self.destination.service, self.destination.host


def wanted_from(zone: str, destination: Destination) -> Wanted:
    """What callers in a zone want of a destination."""
    return Wanted(destination, zone if destination.near else "")


class Calls:
    """The parties, their members, and the load assignments each party wants."""

    def __init__(self) -> None:
        self._parties: Holders[Outlook, Party] = Holders()
        self._members: Holders[Party, ProxyId] = Holders()
        self._wanting: Holders[Wanted, Party] = Holders()
        self._by_service: Holders[ServiceId, Wanted] = Holders()
        self._moved: set[Wanted] = set()

    def parties(self, outlook: Outlook) -> Set[Party]:
        """The parties that have an outlook."""
        return self._parties.of(outlook)

    def members(self, outlook: Outlook) -> set[ProxyId]:
        """The proxies that have an outlook."""
        return {proxy for party in self._parties.of(outlook) for proxy in self._members.of(party)}

    def callers(self, wanted: Wanted) -> Iterator[ProxyId]:
        """The proxies that want a load assignment."""
        for party in self._wanting.of(wanted):
            yield from self._members.of(party)

    def is_wanted(self, wanted: Wanted) -> bool:
        """Whether any proxy wants it."""
        return bool(self._wanting.of(wanted))

    def wanted_of(self, services: Iterable[ServiceId]) -> set[Wanted]:
        """All load assignments of these services that some proxy wants."""
        return {wanted for service in services for wanted in self._by_service.of(service)}

    def take_moved(self) -> set[Wanted]:
        """Those that some party began or ceased to want since this was asked last."""
        moved, self._moved = self._moved, set()
        return moved

    def move(self, proxy: ProxyId, before: Party | None, after: Party | None) -> None:
        """A proxy is of another party than before."""
        self._members.move(proxy, {before} if before else set(), {after} if after else set())
        for party in (before, after):
            if party:
                self._parties.put(party, party.outlook, held=bool(self._members.of(party)))

    def want(self, party: Party, gone: Mapping[str, Destination], new: Mapping[str, Destination]) -> None:
        """A party calls other destinations than before: these no longer, and these from now on."""
        was = {wanted_from(party.zone, destination) for destination in gone.values()}
        now = {wanted_from(party.zone, destination) for destination in new.values()}
        self._wanting.move(party, was, now)
        for wanted in was ^ now:
            self._by_service.put(wanted, wanted.service, held=self.is_wanted(wanted))
        self._moved |= was ^ now
