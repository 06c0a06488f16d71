"""Forgets what has expired: unused nonces, rows of certificates past their end, Events older than an hour."""

import asyncio
from datetime import UTC, datetime, timedelta

import structlog

from outrig.dialects.core import EVENT
from outrig.store.protocol import NotFound, Query, Store, Unavailable

PERIOD = timedelta(minutes=5)
EVENTS_LIVE = timedelta(hours=1)  # as in Kubernetes
_log = structlog.get_logger(__name__)


async def prune(store: Store) -> None:
    """Do it every few minutes, for ever."""
    while True:
        try:
            await prune_once(store, datetime.now(UTC))
        except Unavailable as unavailable:
            _log.warning("nothing pruned", reason=str(unavailable))
        await asyncio.sleep(PERIOD.total_seconds())


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
