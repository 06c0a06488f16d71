"""A write as one transaction, repeated where another writer was faster; a dry run is the same transaction, undone.

In: the store, what to do within the transaction. Out: `Written`. Raises what the work raises, and the store's errors.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from outrig.api.accounts import account
from outrig.resources import Resource
from outrig.store.protocol import Conflict, Store, Transaction

TRIES = 5

Work = Callable[[Transaction], Awaitable["Written"]]


@dataclass(frozen=True, slots=True)
class Written:
    """What a write leaves behind, what its author should hear, and whether nothing was there before.

    `before`: the revision of what was there; a write that changes nothing leaves that one.
    """

    resource: Resource
    warnings: tuple[str, ...] = ()
    created: bool = False
    before: int = 0


class _RehearsedError(Exception):
    """Ends the transaction of a dry run, so that it leaves nothing."""

    def __init__(self, written: Written) -> None:
        super().__init__()
        self.written = written


async def run(store: Store, work: Work, *, dry_run: bool) -> Written:
    """Do it in one transaction; again when another writer was faster. Raises Conflict when that goes on."""
    for _ in range(TRIES - 1):
        try:
            return _noted(await _attempt(store, work, dry_run), dry_run=dry_run)
        except Conflict:
            continue
    return _noted(await _attempt(store, work, dry_run), dry_run=dry_run)


def _noted(written: Written, *, dry_run: bool) -> Written:
    """The same; who asks afterwards what the request did is told of it."""
    told = account()
    told.name, told.dry_run = written.resource.key.name, dry_run
    revision = written.resource.revision
    told.revision = 0 if dry_run or revision == written.before else revision
    return written


async def _attempt(store: Store, work: Work, dry_run: bool) -> Written:
    try:
        async with store.transaction() as tx:
            written = await work(tx)
            _end_rehearsal(written, dry_run=dry_run)
    except _RehearsedError as rehearsed:
        return rehearsed.written
    return written


def _end_rehearsal(written: Written, *, dry_run: bool) -> None:
    if dry_run:
        raise _RehearsedError(written)
