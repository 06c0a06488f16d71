"""The store in memory: for tests and for trying things out. Forgets everything with the process.

Each transaction works on copies of the tables it touches; committing puts them in place in one step, so there is
nothing to undo. Reads outside a transaction see committed state only.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from operator import attrgetter
from typing import TypeVar
from uuid import uuid4

from outrig.resources import Key, Resource
from outrig.store.documents import as_utc, detached
from outrig.store.feed import PAGE, Feed, Page, check_epoch, check_reach, concerns, follow
from outrig.store.past import undone
from outrig.store.protocol import AlreadyExists, Change, ChangeType, Identity, Listing, Query, Replica
from outrig.store.turn import Turn
from outrig.store.versions import first_version, last_version, next_version, require_absent, require_stored

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Duty:
    holder: str
    expires: datetime


@dataclass(frozen=True, slots=True)
class _Tables:
    revision: int = 0
    resources: dict[Key, Resource] = field(default_factory=dict)
    nonces: dict[str, datetime] = field(default_factory=dict)
    identities: dict[str, Identity] = field(default_factory=dict)
    replicas: dict[str, Replica] = field(default_factory=dict)
    duties: dict[str, "_Duty"] = field(default_factory=dict)

    def copy(self) -> "_Tables":
        return _Tables(self.revision, *(dict(getattr(self, table.name)) for table in fields(self)[1:]))

    def find(self, query: Query) -> tuple[Resource, ...]:
        found = [detached(resource) for resource in self.resources.values() if query.fits(resource)]
        return tuple(sorted(found, key=attrgetter("key")))


class MemoryStore:
    """Keeps the store protocol in memory. `keep_changes`: how many changes a watch can look back."""

    def __init__(self, *, keep_changes: int = 10_000) -> None:
        self._keep_changes = keep_changes
        self._epoch = uuid4().hex
        self._tables = _Tables()
        self._log: list[Change] = []
        self._feed = Feed()
        self._turn = Turn()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["_MemoryTransaction"]:
        async with self._turn.taken():
            transaction = _MemoryTransaction(self._tables.copy())
            try:
                yield transaction
                self._commit(transaction)
            finally:
                transaction.close()

    async def get(self, key: Key) -> Resource | None:
        stored = self._tables.resources.get(key)
        return detached(stored) if stored else None

    async def list(self, query: Query) -> Listing:
        return Listing(self._tables.find(query), self._tables.revision)

    async def list_at(self, query: Query, revision: int, *, epoch: str = "") -> Listing:
        check_epoch(epoch, epoch=self._epoch)
        floor = self._tables.revision - len(self._log)
        check_reach(revision, floor=floor, revision=self._tables.revision)
        since = (change for change in self._log[revision - floor :] if concerns(change, query))
        found = undone(self._tables.find(query), since)
        return Listing(tuple(detached(resource) for resource in found if query.fits(resource)), revision)

    async def beat(self, replica: Replica) -> None:
        lease = replace(replica, started=as_utc(replica.started), expires=as_utc(replica.expires))
        async with self._turn.taken():
            self._tables.replicas[replica.id] = lease

    async def replicas(self, now: datetime) -> tuple[Replica, ...]:
        instant = as_utc(now)
        alive = (replica for replica in self._tables.replicas.values() if replica.expires > instant)
        return tuple(sorted(alive, key=attrgetter("id")))

    async def leave(self, replica: str) -> None:
        async with self._turn.taken():
            self._tables.replicas.pop(replica, None)
            for name in [name for name, duty in self._tables.duties.items() if duty.holder == replica]:
                del self._tables.duties[name]

    async def hold(self, duty: str, holder: str, until: datetime, now: datetime) -> bool:
        wanted, instant = _Duty(holder, as_utc(until)), as_utc(now)
        async with self._turn.taken():
            held = self._tables.duties.get(duty)
            free = held is None or held.holder == holder or held.expires <= instant
            if free:
                self._tables.duties[duty] = wanted
            return free

    async def revision(self) -> int:
        return self._tables.revision

    async def epoch(self) -> str:
        return self._epoch

    def watch(
        self, query: Query, after: int, *, epoch: str = "", bookmark_every: float | None = None
    ) -> AsyncGenerator[Sequence[Change], None]:
        async def read(query: Query, after: int) -> Page:
            check_epoch(epoch, epoch=self._epoch)
            return self._read_log(query, after)

        return follow(self._feed, read, query, after, bookmark_every=bookmark_every)

    def _commit(self, transaction: "_MemoryTransaction") -> None:
        entries = transaction.entries
        self._tables = replace(transaction.tables, revision=self._tables.revision + len(entries))
        self._log.extend(entries)
        del self._log[: max(0, len(self._log) - self._keep_changes)]
        self._feed.publish(entries)

    def _read_log(self, query: Query, after: int) -> Page:
        revision = self._tables.revision
        floor = revision - len(self._log)
        check_reach(after, floor=floor, revision=revision)
        piece = self._log[after - floor :][:PAGE]
        changes = tuple(change for change in piece if concerns(change, query))
        position = after + len(piece)
        return Page(changes, position, complete=position == revision)


class _MemoryTransaction:
    def __init__(self, tables: _Tables) -> None:
        self._tables: _Tables | None = tables
        self.entries: list[Change] = []

    @property
    def tables(self) -> _Tables:
        if self._tables is None:
            raise RuntimeError("the transaction is over")
        return self._tables

    def close(self) -> None:
        self._tables = None

    async def get(self, key: Key) -> Resource | None:
        stored = self.tables.resources.get(key)
        return detached(stored) if stored else None

    async def list(self, query: Query) -> tuple[Resource, ...]:
        return self.tables.find(query)

    async def owned_by(self, uid: str) -> tuple[Resource, ...]:
        return tuple(
            resource for resource in self.tables.find(Query()) if any(owner.uid == uid for owner in resource.owners)
        )

    async def create(self, resource: Resource) -> Resource:
        require_absent(self.tables.resources.get(resource.key), resource.key)
        return self._put(ChangeType.ADDED, first_version(resource, self._next_revision()), None)

    async def update(self, resource: Resource) -> Resource:
        key = resource.key
        stored = require_stored(self.tables.resources.get(key), key, uid=resource.uid, revision=resource.revision)
        version = next_version(stored, resource, self._next_revision())
        return self._put(ChangeType.MODIFIED, version, stored) if version else detached(stored)

    async def delete(self, key: Key, *, uid: str = "", revision: int = 0) -> Resource:
        stored = require_stored(self.tables.resources.get(key), key, uid=uid, revision=revision)
        last = last_version(stored, self._next_revision())
        del self.tables.resources[key]
        self.entries.append(Change(ChangeType.DELETED, last, stored))
        return detached(last)

    async def add_nonce(self, nonce: str, expires: datetime) -> None:
        if nonce in self.tables.nonces:
            raise AlreadyExists("nonce", "is there already")
        self.tables.nonces[nonce] = as_utc(expires)

    async def consume_nonce(self, nonce: str, now: datetime) -> bool:
        instant = as_utc(now)
        expires = self.tables.nonces.pop(nonce, None)
        return expires is not None and expires > instant

    async def add_identity(self, identity: Identity) -> None:
        if identity.digest in self.tables.identities:
            raise AlreadyExists(f"certificate {identity.digest}", "is recorded already")
        self.tables.identities[identity.digest] = replace(identity, not_after=as_utc(identity.not_after))

    async def issued_to(self, task: str, now: datetime) -> tuple[Identity, ...]:
        return tuple(held for held in self._live(now) if held.task == task)

    async def issued_for(self, key_hash: str, now: datetime) -> tuple[Identity, ...]:
        return tuple(held for held in self._live(now) if held.key_hash == key_hash)

    async def identities(self, registration: str) -> tuple[Identity, ...]:
        held = [identity for identity in self.tables.identities.values() if identity.registration == registration]
        return tuple(reversed(held))

    async def prune(self, now: datetime) -> int:
        instant, tables = as_utc(now), self.tables
        return (
            _forget(tables.nonces, lambda expires: expires <= instant)
            + _forget(tables.identities, lambda identity: identity.not_after <= instant)
            + _forget(tables.replicas, lambda replica: replica.expires <= instant)
            + _forget(tables.duties, lambda duty: duty.expires <= instant)
        )

    def _next_revision(self) -> int:
        return self.tables.revision + len(self.entries) + 1

    def _put(self, change: ChangeType, version: Resource, before: Resource | None) -> Resource:
        self.tables.resources[version.key] = version
        self.entries.append(Change(change, detached(version), before))
        return detached(version)

    def _live(self, now: datetime) -> tuple[Identity, ...]:
        instant = as_utc(now)
        held = reversed(self.tables.identities.values())
        return tuple(identity for identity in held if identity.not_after > instant)


def _forget(table: dict[str, T], is_over: Callable[[T], bool]) -> int:
    """Drop what is over; gives how many."""
    over = [name for name, row in table.items() if is_over(row)]
    for name in over:
        del table[name]
    return len(over)
