"""Forgets what has expired: unused nonces, rows of certificates past their end, those of users too, Events older than
an hour, Offers of services that no Dataplane has offered for an hour.

One replica at a time does it: the one on duty.
"""

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Protocol

import structlog

from outrig.api.access.certificates import ended
from outrig.dialects.core import EVENT
from outrig.dialects.kuma import OFFER
from outrig.dialects.kuma.offer import ports_of, reviewed, service_of
from outrig.model import Service
from outrig.resources import Key
from outrig.store.protocol import Conflict, NotFound, Query, Store, Unavailable

PERIOD = timedelta(minutes=5)
EVENTS_LIVE = timedelta(hours=1)  # as in Kubernetes
_log = structlog.get_logger(__name__)


class Replicas(Protocol):
    """This replica among the others."""

    on_duty: bool


class Mesh(Protocol):
    """One mesh."""

    def offered(self, origin: Key, host: str) -> Iterable[Service]:
        """What is offered of a service now."""
        ...


class World(Protocol):
    """The meshes as proxies are told them."""

    def mesh_of(self, origin: Key) -> Mesh:
        """The mesh that a resource belongs to."""
        ...


class Hub(Protocol):
    """What keeps the world up to date."""

    async def wait_ready(self) -> None:
        """Until the world is as the store."""
        ...


async def prune(store: Store, replicas: Replicas, *, world: World, hub: Hub, period: timedelta = PERIOD) -> None:
    """Do it every few minutes, for ever, whenever this replica is on duty."""
    await hub.wait_ready()
    while True:
        try:
            if replicas.on_duty:
                now = datetime.now(UTC)
                await prune_once(store, now)
                await review_offers(store, world, now)
        except (Unavailable, Conflict) as error:
            _log.warning("nothing pruned", reason=str(error))
        await asyncio.sleep(period.total_seconds())


async def prune_once(store: Store, now: datetime) -> None:
    """Do it now. Raises Unavailable."""
    events = await store.list(Query(kinds=((EVENT.group, EVENT.name),)))
    old = await ended(store, now)
    old += [event.key for event in events.items if _last_seen(event.body.get("lastTimestamp"), now) < now - EVENTS_LIVE]
    async with store.transaction() as tx:
        await tx.prune(now)
        for key in old:
            try:
                await tx.delete(key)
            except NotFound:
                continue  # somebody deleted it in between


async def review_offers(store: Store, world: World, now: datetime) -> None:
    """Have Offers say what is offered, or since when nothing is; those whose time is over go. Raises Unavailable.

    The world may be behind. Who offers what was not offered changes the Offer with it, so it does not go by mistake; a
    time that was written by mistake is taken back the next time.
    """
    offers = await store.list(Query(kinds=((OFFER.group, OFFER.name),)))
    for stored in offers.items:
        ports = ports_of(world.mesh_of(stored.key).offered(*service_of(stored.key)))
        wanted = reviewed(stored, ports, now)
        if wanted is stored:
            continue
        try:
            async with store.transaction() as tx:
                await (tx.update(wanted) if wanted else tx.delete(stored.key, revision=stored.revision))
        except (Conflict, NotFound):
            continue


def _last_seen(text: object, now: datetime) -> datetime:
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return now  # an Event without a time of its own is kept
