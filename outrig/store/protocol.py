"""What the control plane asks of a store. Memory, SQLite and Postgres keep it; one contract suite holds them to it.

Every write happens in a transaction; a transaction that raises leaves nothing behind. The *revision* is one
counter: each resource change in a committed transaction has a number, in commit order, without gaps that could hide
a change. A watch resumes from a revision and sees every later change once, in order.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from outrig.errors import OutrigError
from outrig.resources import Key, Resource


class NotFound(OutrigError):
    """There is no such resource."""

    code = "OUT201"


class AlreadyExists(OutrigError):
    """A resource of that key is there already."""

    code = "OUT202"


class Conflict(OutrigError):
    """The resource has changed since the caller read it (wrong revision or uid)."""

    code = "OUT203"


class Gone(OutrigError):
    """The change log no longer reaches back to the asked revision, or the revision is of another history."""

    code = "OUT204"


RELIST = "list again and watch from the revision of that list"
"""What to do where something is Gone."""


class Unavailable(OutrigError):
    """The store cannot be reached or written now; nothing was changed."""

    code = "OUT205"


class OutcomeUnknown(Unavailable):
    """The connection was lost within a commit: all of the transaction is there or nothing of it, nobody knows which."""

    code = "OUT206"


@dataclass(frozen=True, slots=True)
class Query:
    """Which resources: all that fit every part that is given. `kinds` holds (group, kind) pairs; empty: all kinds."""

    kinds: tuple[tuple[str, str], ...] = ()
    mesh: str | None = None
    namespace: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)

    def fits(self, resource: Resource) -> bool:
        """Whether the resource is one of these."""
        key = resource.key
        return (
            (not self.kinds or (key.group, key.kind) in self.kinds)
            and self.mesh in (None, key.mesh)
            and self.namespace in (None, key.namespace)
            and self.labels.items() <= resource.labels.items()
        )


@dataclass(frozen=True, slots=True)
class Listing:
    """What a query found, ordered by key, and the revision at which that was true."""

    items: tuple[Resource, ...]
    revision: int


class ChangeType(StrEnum):
    """What happened to a resource."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"
    BOOKMARK = "BOOKMARK"
    """Nothing happened; it tells how far a watch is."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change. `resource` is its new state; for DELETED its last state, with the deletion's revision; for BOOKMARK
    nothing but a revision.

    `before`: what was there before; None where it was ADDED, or where a version of Outrig logged it that did not note
    that.
    """

    type: ChangeType
    resource: Resource
    before: Resource | None = field(default=None, compare=False)

    @property
    def revision(self) -> int:
        """The change's number."""
        return self.resource.revision

    def undone(self) -> Resource | None:
        """What was there before; None if nothing was. Raises Gone where that was not noted."""
        if self.before is None and self.type is not ChangeType.ADDED:
            problem = "what was there before was not noted yet when it was logged"
            raise Gone(f"revision {self.revision}", problem, RELIST)
        return self.before


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate that was issued.

    `digest`: SHA-256 of its DER, lower-case hex; `key_hash`: of its public key's DER (SPKI). `subject` is the URI in
    it; `registration` the uid of the registration it was issued to; `task` the ARN of the ECS task.
    """

    digest: str
    serial: str
    subject: str
    registration: str
    task: str
    key_hash: str
    not_after: datetime


@dataclass(frozen=True, slots=True)
class Replica:
    """A control plane process on this store. It counts as alive until `expires`, by the clock of whoever asks."""

    id: str
    started: datetime
    expires: datetime


class Transaction(Protocol):
    """Reads see this transaction's own writes. All of it becomes true at once, or none."""

    async def get(self, key: Key) -> Resource | None: ...

    async def list(self, query: Query) -> tuple[Resource, ...]: ...

    async def owned_by(self, uid: str) -> tuple[Resource, ...]:
        """The resources that have an owner of that uid."""
        ...

    async def create(self, resource: Resource) -> Resource:
        """Add it, with a new uid, creation time, generation 1 and revision. Raises AlreadyExists."""
        ...

    async def update(self, resource: Resource) -> Resource:
        """Replace it. `resource.revision` must be the stored one (0: do not check), and `resource.uid` too ("").

        Generation grows when `body` differs; an update that changes nothing keeps the revision and is no change.
        Raises NotFound, Conflict.
        """
        ...

    async def delete(self, key: Key, *, uid: str = "", revision: int = 0) -> Resource:
        """Remove it and give its last state. Raises NotFound; Conflict where a given uid or revision differs."""
        ...

    async def add_nonce(self, nonce: str, expires: datetime) -> None: ...

    async def consume_nonce(self, nonce: str, now: datetime) -> bool:
        """Whether it was there and not expired; it is gone afterwards, for every replica."""
        ...

    async def add_identity(self, identity: Identity) -> None: ...

    async def issued_to(self, task: str, now: datetime) -> tuple[Identity, ...]:
        """The unexpired certificates issued to that task (by ARN), newest first."""
        ...

    async def issued_for(self, key_hash: str, now: datetime) -> tuple[Identity, ...]:
        """The unexpired certificates for that key, newest first."""
        ...

    async def identities(self, registration: str) -> tuple[Identity, ...]:
        """All certificates issued to a registration (uid), newest first."""
        ...

    async def prune(self, now: datetime) -> int:
        """Forget expired nonces, identities, replicas and duties; gives how many rows went."""
        ...


class Store(Protocol):
    """Keeps resources and the rows around them. Opened and closed by whoever made it."""

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """A write transaction; leaving it commits, an exception undoes it. One at a time, over all replicas.

        Raises Unavailable; on leaving also OutcomeUnknown.
        """
        ...

    async def get(self, key: Key) -> Resource | None: ...

    async def list(self, query: Query) -> Listing: ...

    async def list_at(self, query: Query, revision: int, *, epoch: str = "") -> Listing:
        """What the query would have found at that revision. Raises Gone as `watch` does."""
        ...

    async def beat(self, replica: Replica) -> None:
        """Say that the replica is alive until `replica.expires`. Raises Unavailable."""
        ...

    async def replicas(self, now: datetime) -> tuple[Replica, ...]:
        """Those whose lease has not expired, ordered by id. Raises Unavailable."""
        ...

    async def leave(self, replica: str) -> None:
        """Forget a replica that stops and let go of the duties it holds. Raises Unavailable."""
        ...

    async def hold(self, duty: str, holder: str, until: datetime, now: datetime) -> bool:
        """Whether the duty is this holder's, until then: if it held it, or nobody did, or its holder's time was over.

        A holder extends its time well before that ends. Asked of several replicas at once, one gets it. Clocks may
        differ a little, so what a holder does must do no harm if done twice. Raises Unavailable.
        """
        ...

    async def revision(self) -> int:
        """The number of the last committed change; 0 when there was none."""
        ...

    async def epoch(self) -> str:
        """The name of this history of revisions: random, made with the database, kept until that is restored."""
        ...

    def watch(
        self, query: Query, after: int, *, epoch: str = "", bookmark_every: float | None = None
    ) -> AsyncGenerator[Sequence[Change], None]:
        """Every change after that revision that fits the query (by its new or its last state), in order, in batches.

        All who watch are given the same objects, which must not be changed. A resource that leaves a label selection
        is seen once more, as MODIFIED with its new labels; whoever shows a selection tells that apart by `before`.
        `bookmark_every`: seconds after which a BOOKMARK comes between the changes, or in their place: all that fits
        up to its revision has been given.
        Endless; ends when its consumer closes it (`aclosing`). Raises Gone on iteration when `after` is older than
        the log or newer than the store, when an epoch is given and is not this store's, or when the store was put
        back to an older state meanwhile. Raises Unavailable when the log must be read and cannot be; a watch that has
        caught up waits instead.
        """
        ...
