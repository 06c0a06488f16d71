"""Forgets what has expired: unused nonces, rows of certificates past their end, Events older than an hour.

One replica at a time does it: the one on duty.
"""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Protocol

import structlog

from outrig.dialects.core import EVENT
from outrig.store.protocol import Conflict, NotFound, Query, Store, Unavailable

PERIOD = timedelta(minutes=5)
EVENTS_LIVE = timedelta(hours=1)  # as in Kubernetes
_log = structlog.get_logger(__name__)


class Replicas(Protocol):
    """This replica among the others."""

    on_duty: bool


async def prune(store: Store, replicas: Replicas, *, period: timedelta = PERIOD) -> None:
    """Do it every few minutes, for ever, whenever this replica is on duty."""
    while True:
        try:
            if replicas.on_duty:
                await prune_once(store, datetime.now(UTC))
        except (Unavailable, Conflict) as error:
            _log.warning("nothing pruned", reason=str(error))
        await asyncio.sleep(period.total_seconds())


async def prune_once(store: Store, now: datetime) -> None:
    """Do it now. Raises Unavailable."""
    events = await store.list(Query(kinds=((EVENT.group, EVENT.name),)))
    old = [event.key for event in events.items if _last_seen(event.body.get("lastTimestamp"), now) < now - EVENTS_LIVE]
    async with store.transaction() as tx:
        await tx.prune(now)
        for key in old:
            try:
                await tx.delete(key)
            except NotFound:
                continue  # somebody deleted it in between


def _last_seen(text: object, now: datetime) -> datetime:
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return now  # an Event without a time of its own is kept
