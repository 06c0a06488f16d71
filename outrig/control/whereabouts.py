"""Which replica has each agent and each proxy, and who has to care where no living one has it.

In: registrations as they are stored, and which replicas live. Out: to the reaper, which agents are away and which are
back; to the hub, for which proxies another replica answers, and for which nobody does any more.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from outrig.control.following import Burst
from outrig.control.proxies import REGISTRATIONS, is_unattended, kind_of, proxy_of
from outrig.dialects.onboarding.connection import agent_at, proxy_at
from outrig.resources import Key, Resource
from outrig.snapshot import ProxyId
from outrig.store.protocol import ChangeType


class Replicas(Protocol):
    """This replica among the others."""

    name: str
    on_duty: bool

    def is_other(self, name: str) -> bool:
        """Whether that is another replica, and lives."""
        ...


class Graces(Protocol):
    """The reaper."""

    def expect(self, registration: Key, uid: str) -> None:
        """Its agent is not connected to any replica."""
        ...

    def back(self, registration: Key) -> None:
        """Its agent is connected."""
        ...


class Proxies(Protocol):
    """The hub."""

    def elsewhere(self, proxy: ProxyId) -> None:
        """Another replica answers for this proxy from now on."""
        ...

    def nowhere(self, proxy: ProxyId) -> None:
        """The replica that answered for this proxy is gone."""
        ...


@dataclass(frozen=True, slots=True)
class _Place:
    uid: str
    agent: str
    proxy: str


class Whereabouts:
    """Keeps the places of all registrations. `heard` each burst; `turned` as replicas come and go.

    `is_here`: whether the agent of a registration is connected to this replica.
    """

    def __init__(self, replicas: Replicas, graces: Graces, proxies: Proxies, *, is_here: Callable[[Key], bool]) -> None:
        self._replicas, self._graces, self._proxies = replicas, graces, proxies
        self._is_here = is_here
        self._places: dict[Key, _Place] = {}

    def heard(self, burst: Burst) -> None:
        """Registrations have changed."""
        for change in burst.changes:
            if kind_of(change.resource.key) not in REGISTRATIONS:
                continue
            if change.type is ChangeType.DELETED or is_unattended(change.resource):
                self._places.pop(change.resource.key, None)
            else:
                self._put(change.resource)

    def turned(self, replica: str) -> None:
        """A replica came, died or lives again; or this one has got the duty."""
        for key, place in self._places.items():
            if replica in (place.agent, self._replicas.name):
                self._judge_agent(key, place)
            if replica == place.proxy != self._replicas.name:
                self._judge_proxy(key, place)

    def _put(self, registration: Resource) -> None:
        key = registration.key
        place = _Place(registration.uid, agent_at(registration), proxy_at(registration))
        before, self._places[key] = self._places.get(key), place
        if before is None or (before.uid, before.agent) != (place.uid, place.agent):
            self._judge_agent(key, place)
        if place.proxy and (before is None or before.proxy != place.proxy):
            self._judge_proxy(key, place)

    def _judge_agent(self, key: Key, place: _Place) -> None:
        if self._replicas.is_other(place.agent):
            self._graces.back(key)
        elif not self._is_here(key) and (self._replicas.on_duty or place.agent == self._replicas.name):
            self._graces.expect(key, place.uid)

    def _judge_proxy(self, key: Key, place: _Place) -> None:
        if self._replicas.is_other(place.proxy):
            self._proxies.elsewhere(proxy_of(key))
        else:
            self._proxies.nowhere(proxy_of(key))
