"""Following a store for ever: what it holds, then every change, as bursts that leave nothing out.

In: a query. Out: a first burst that adds all there is, then what changes. Where the change log no longer reaches back,
the store is read again and the difference is the burst. While the store is away, nothing comes.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from outrig.kit.aio import jittered_backoff
from outrig.resources import Key, Resource
from outrig.store.protocol import Change, ChangeType, Gone, Listing, Query, Unavailable

FIRST_RETRY, LAST_RETRY = 0.1, 5.0  # seconds

_log = structlog.get_logger(__name__)


class Source(Protocol):
    """The part of a store that is read here."""

    async def list(self, query: Query) -> Listing: ...

    def watch(self, query: Query, after: int) -> AsyncIterator[Sequence[Change]]: ...


@dataclass(frozen=True, slots=True)
class Burst:
    """Changes that became known together; with them, everything up to `revision` is known. Possibly none.

    `reread`: they are what a listing showed, not what a watch told. Numbers from before may then mean nothing any more.
    """

    changes: tuple[Change, ...]
    revision: int
    reread: bool = False


async def follow(source: Source, query: Query) -> AsyncIterator[Burst]:
    """Everything the query finds, and finds later. Endless."""
    known: dict[Key, Resource] = {}
    delays = jittered_backoff(first=FIRST_RETRY, ceiling=LAST_RETRY)
    while True:
        try:
            async for burst in _follow_once(source, query, known):
                yield burst
                delays = jittered_backoff(first=FIRST_RETRY, ceiling=LAST_RETRY)
        except Gone as gone:
            _log.warning("the change log does not reach back; reading everything again", reason=str(gone))
        except Unavailable as unavailable:
            _log.warning("the store is away", reason=str(unavailable))
            await asyncio.sleep(next(delays))


async def _follow_once(source: Source, query: Query, known: dict[Key, Resource]) -> AsyncIterator[Burst]:
    listing = await source.list(query)
    yield _remember(Burst(tuple(_differences(known, listing)), listing.revision, reread=True), known)
    async for changes in source.watch(query, listing.revision):
        yield _remember(Burst(tuple(changes), changes[-1].revision), known)


def _remember(burst: Burst, known: dict[Key, Resource]) -> Burst:
    for change in burst.changes:
        if change.type is ChangeType.DELETED:
            known.pop(change.resource.key, None)
        else:
            known[change.resource.key] = change.resource
    return burst


def _differences(known: dict[Key, Resource], listing: Listing) -> list[Change]:
    """What must have happened between what was known and the listing."""
    found = {resource.key: resource for resource in listing.items}
    changes = [Change(ChangeType.DELETED, last) for key, last in known.items() if _is_gone(last, found.get(key))]
    for key, resource in found.items():
        before = known.get(key)
        if _is_gone(before, resource):
            changes.append(Change(ChangeType.ADDED, resource))
        elif before != resource:  # all of it: after a restore the same number may belong to another change
            changes.append(Change(ChangeType.MODIFIED, resource))
    return changes


def _is_gone(before: Resource | None, now: Resource | None) -> bool:
    """Whether what was there is there no more; one of the same key may have come in its place."""
    return before is None or now is None or before.uid != now.uid
