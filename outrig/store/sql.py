"""The statements of the SQL stores on resources, their log, nonces and identities, as plain functions of a connection.

In: a connection with a transaction begun. Out: resources, log entries, identities. Nothing here is async or knows
which database it speaks to; what differs between databases is in the module that opens each.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

import sqlalchemy as sa

from outrig.resources import Key, Resource
from outrig.store.documents import as_utc, decode, encode, encode_managers
from outrig.store.feed import PAGE, Page, check_epoch, check_reach, concerns
from outrig.store.past import undone
from outrig.store.protocol import RELIST, AlreadyExists, Change, ChangeType, Gone, Identity, Query
from outrig.store.tables import changes, counter, duties, identities, nonces, owners, replicas, resources


@dataclass(frozen=True, slots=True)
class Head:
    """Where a history stands: its name, the last revision, and a digest of every change up to that.

    Two heads are equal only if the same changes led to them, so equal revisions of a database that was put back to
    an older state and went on from there are told apart.
    """

    epoch: str
    revision: int
    digest: str


@dataclass(frozen=True, slots=True)
class Piece:
    """What follows a head in the log, the head it leads to, and whether that is the end."""

    entries: tuple[Change, ...]
    head: Head
    complete: bool


class Restored(Gone):
    """The database was at that head and no longer has it: it was put back to an older state."""

    def __init__(self, known: Head, problem: str) -> None:
        super().__init__(
            f"revision {known.revision}", f"the database was put back to an older state: {problem}", RELIST
        )


def _is(table: sa.Table) -> sa.ColumnElement[bool]:
    return sa.and_(*(column == sa.bindparam(f"key_{column.name}") for column in _key_of(table)))


def _key_of(table: sa.Table) -> tuple[sa.Column[str], ...]:
    columns = table.c
    return columns.group, columns.kind, columns.mesh, columns.namespace, columns.name


CUT_EVERY = 100
"""How many revisions the log grows beyond what is kept before it is cut: no write should pay for that alone."""

# Building a statement costs more than running it, so what every write runs is built once.
READ_COUNTER = sa.select(counter.c.epoch, counter.c.revision, counter.c.digest)
LOCK_COUNTER = READ_COUNTER.with_for_update()
MOVE_COUNTER = sa.update(counter).values(revision=sa.bindparam("to"), digest=sa.bindparam("new_digest"))
FIND_ONE = sa.select(resources).where(_is(resources))
FIND_OWNED = (
    sa.select(resources)
    .where(resources.c.uid.in_(sa.select(owners.c.resource_uid).where(owners.c.owner_uid == sa.bindparam("owner"))))
    .order_by(*_key_of(resources))
)
INSERT = sa.insert(resources)
REPLACE = (
    sa.update(resources)
    .where(_is(resources))
    .values(document=sa.bindparam("new"), managers=sa.bindparam("new_managers"))
)
REMOVE = sa.delete(resources).where(_is(resources))
APPEND = sa.insert(changes)
CUT = sa.delete(changes).where(changes.c.revision <= sa.bindparam("floor"))
OLDEST = sa.select(sa.func.min(changes.c.revision)).scalar_subquery()
READ_STATE = READ_COUNTER.add_columns(OLDEST.label("oldest"))
READ_ON = (  # one statement, so that it sees one state; a row without a change if there is none
    sa.select(counter.c.epoch, counter.c.revision.label("last"), counter.c.digest, OLDEST.label("oldest"), changes)
    .select_from(counter.outerjoin(changes, changes.c.revision > sa.bindparam("after")))
    .order_by(changes.c.revision)
    .limit(PAGE)
)


def lock_counter(connection: sa.Connection) -> Head:
    """Where the history stands; nobody else can move it before this transaction ends."""
    return Head(*connection.execute(LOCK_COUNTER).one())


def read_counter(connection: sa.Connection) -> Head:
    """Where the history stands."""
    return Head(*connection.execute(READ_COUNTER).one())


def find_one(connection: sa.Connection, key: Key) -> Resource | None:
    """The resource of that key."""
    row = connection.execute(FIND_ONE, _bound(key)).first()
    return _resource(row) if row else None


def find(connection: sa.Connection, query: Query) -> tuple[Resource, ...]:
    """The resources that fit, ordered by key."""
    statement = sa.select(resources).where(*_fitting(resources, query)).order_by(*_key_of(resources))
    found = (_resource(row) for row in connection.execute(statement))
    return tuple(resource for resource in found if query.fits(resource))


def find_owned(connection: sa.Connection, uid: str) -> tuple[Resource, ...]:
    """The resources that have an owner of that uid, ordered by key."""
    return tuple(_resource(row) for row in connection.execute(FIND_OWNED, {"owner": uid}))


def insert(connection: sa.Connection, resource: Resource) -> None:
    """Add a resource whose key is free."""
    connection.execute(INSERT, _key_values(resource.key) | {"uid": resource.uid} | _content(resource))
    _insert_owners(connection, resource)


def replace(connection: sa.Connection, resource: Resource, *, stored: Resource) -> None:
    """Put the new version of a stored resource in its place."""
    content = {"new": encode(resource), "new_managers": encode_managers(resource)}
    connection.execute(REPLACE, _bound(resource.key) | content)
    if resource.owners != stored.owners:
        connection.execute(sa.delete(owners).where(owners.c.resource_uid == resource.uid))
        _insert_owners(connection, resource)


def remove(connection: sa.Connection, key: Key) -> None:
    """Delete the resource of that key."""
    connection.execute(REMOVE, _bound(key))


def append(connection: sa.Connection, head: Head, entries: Sequence[Change], *, keep: int) -> Head:
    """Log the changes of a transaction, move the counter past them; now and then cut the log to its newest `keep`."""
    if not entries:
        return head
    rows = [_change_values(change) for change in entries]
    moved = Head(head.epoch, entries[-1].revision, _digest(head.digest, rows))
    connection.execute(APPEND, rows if len(rows) > 1 else rows[0])  # many at once is a longer way for one
    connection.execute(MOVE_COUNTER, {"to": moved.revision, "new_digest": moved.digest})
    if moved.revision // CUT_EVERY != head.revision // CUT_EVERY:
        connection.execute(CUT, {"floor": moved.revision - keep})
    return moved


def read_log(connection: sa.Connection, query: Query, *, after: int, keep: int, epoch: str = "") -> Page:
    """The next piece of the log, of its newest `keep`. Raises Gone."""
    head = _reaching(connection, after, keep=keep, epoch=epoch)
    fitting = sa.select(changes).where(changes.c.revision > after, *_fitting(changes, query))
    rows = connection.execute(fitting.order_by(changes.c.revision).limit(PAGE)).all()
    found = (_change(row) for row in rows)
    complete = len(rows) < PAGE
    position = head.revision if complete else rows[-1].revision
    return Page(tuple(change for change in found if concerns(change, query)), position, complete)


def find_at(
    connection: sa.Connection, query: Query, *, revision: int, keep: int, epoch: str = ""
) -> tuple[Resource, ...]:
    """The resources that did fit at that revision, ordered by key. Raises Gone."""
    _reaching(connection, revision, keep=keep, epoch=epoch)
    since = sa.select(sa.func.min(changes.c.revision)).where(changes.c.revision > revision, *_fitting(changes, query))
    first = connection.execute(sa.select(changes).where(changes.c.revision.in_(since.group_by(*_key_of(changes)))))
    found = undone(find(connection, query), (_change(row) for row in first))
    return tuple(resource for resource in found if query.fits(resource))


def _reaching(connection: sa.Connection, after: int, *, keep: int, epoch: str) -> Head:
    """Where the history stands. Raises Gone unless the newest `keep` of its log reach back to that revision."""
    row = connection.execute(READ_STATE).one()
    head = Head(row.epoch, row.revision, row.digest)
    check_epoch(epoch, epoch=head.epoch)
    check_reach(after, floor=max(_floor(head, row.oldest), head.revision - keep), revision=head.revision)
    return head


def read_on(connection: sa.Connection, known: Head) -> Piece:
    """What was committed after that head, or the first of it.

    Raises Gone where the log does not reach back to it, and `Restored` where the database had that head and has it no
    more. The digest is compared once the end is reached, so what came before may be of another history.
    """
    found = connection.execute(READ_ON, {"after": known.revision}).all()
    head = Head(found[0].epoch, found[0].last, found[0].digest)
    check_epoch(known.epoch, epoch=head.epoch)
    if known.revision > head.revision:
        raise Restored(known, f"the store is only at {head.revision}")
    check_reach(known.revision, floor=_floor(head, found[0].oldest), revision=head.revision)
    rows = [row for row in found if row.revision is not None]
    revision = rows[-1].revision if rows else known.revision
    reached = Head(known.epoch, revision, _digest(known.digest, [dict(row._mapping) for row in rows]))
    complete = len(rows) < PAGE
    if complete and reached != head:
        raise Restored(known, f"what led to {head.revision} is not what came after it")
    return Piece(tuple(_change(row) for row in rows), reached, complete)


def _floor(head: Head, oldest: int | None) -> int:
    """The revision after which the log, whose first entry has that number, holds everything."""
    return head.revision if oldest is None else oldest - 1


def insert_nonce(connection: sa.Connection, nonce: str, expires: datetime) -> None:
    """Raises AlreadyExists."""
    if connection.execute(sa.select(nonces.c.nonce).where(nonces.c.nonce == nonce)).first():
        raise AlreadyExists("nonce", "is there already")
    connection.execute(sa.insert(nonces).values(nonce=nonce, expires=as_utc(expires)))


def take_nonce(connection: sa.Connection, nonce: str) -> datetime | None:
    """Remove it; gives when it expires, or None if it was not there."""
    return connection.execute(sa.delete(nonces).where(nonces.c.nonce == nonce).returning(nonces.c.expires)).scalar()


def insert_identity(connection: sa.Connection, identity: Identity) -> None:
    """Raises AlreadyExists."""
    if connection.execute(sa.select(identities.c.number).where(identities.c.digest == identity.digest)).first():
        raise AlreadyExists(f"certificate {identity.digest}", "is recorded already")
    connection.execute(sa.insert(identities).values(asdict(identity) | {"not_after": as_utc(identity.not_after)}))


def live(now: datetime) -> sa.ColumnElement[bool]:
    """That a certificate has not expired."""
    return identities.c.not_after > as_utc(now)


def find_identities(connection: sa.Connection, where: sa.ColumnElement[bool]) -> tuple[Identity, ...]:
    """Certificates, newest first."""
    rows = connection.execute(sa.select(identities).where(where).order_by(identities.c.number.desc()))
    return tuple(_identity(row) for row in rows)


def remove_expired(connection: sa.Connection, now: datetime) -> int:
    """Delete what has expired: nonces, identities, replicas, duties; gives how many."""
    ends = (nonces.c.expires, identities.c.not_after, replicas.c.expires, duties.c.expires)
    return sum(connection.execute(sa.delete(end.table).where(end <= as_utc(now))).rowcount for end in ends)


def _key_values(key: Key) -> dict[str, str]:
    return {"group": key.group, "kind": key.kind, "mesh": key.mesh, "namespace": key.namespace, "name": key.name}


def _bound(key: Key) -> dict[str, str]:
    return {f"key_{name}": value for name, value in _key_values(key).items()}


def _fitting(table: sa.Table, query: Query) -> Iterable[sa.ColumnElement[bool]]:
    """The part of a query that the key answers; labels are looked at once a document is read."""
    if query.kinds:
        yield sa.or_(*(sa.and_(table.c.group == group, table.c.kind == kind) for group, kind in query.kinds))
    if query.mesh is not None:
        yield table.c.mesh == query.mesh
    if query.namespace is not None:
        yield table.c.namespace == query.namespace


def _resource(row: Any) -> Resource:
    return decode(Key(row.group, row.kind, row.mesh, row.namespace, row.name), row.document, row.managers)


def _content(resource: Resource) -> dict[str, str]:
    return {"document": encode(resource), "managers": encode_managers(resource)}


def _change(row: Any) -> Change:
    now = _resource(row)
    before = decode(now.key, row.document_before, row.managers_before) if row.document_before else None
    return Change(ChangeType(row.type), now, before)


def _change_values(change: Change) -> dict[str, Any]:
    resource, before = change.resource, change.before
    return _key_values(resource.key) | {
        "revision": resource.revision,
        "type": change.type.value,
        **_content(resource),
        "document_before": encode(before) if before else None,
        "managers_before": encode_managers(before) if before else "",
    }


def _digest(before: str, rows: Sequence[Mapping[str, Any]]) -> str:
    # Replicas of two versions must agree on it: it can only change together with the schema.
    digest = before
    for row in rows:
        change = "\0".join((digest, row["type"], *(row[column.name] for column in _key_of(changes)), row["document"]))
        digest = sha256(change.encode("utf-8", "surrogatepass")).hexdigest()
    return digest


def _insert_owners(connection: sa.Connection, resource: Resource) -> None:
    uids = {owner.uid for owner in resource.owners}
    if uids:
        connection.execute(sa.insert(owners), [{"owner_uid": uid, "resource_uid": resource.uid} for uid in uids])


def _identity(row: Any) -> Identity:
    return Identity(row.digest, row.serial, row.subject, row.registration, row.task, row.key_hash, row.not_after)
