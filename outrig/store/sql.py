"""The tables of the SQL stores and every statement on them, as plain functions of a connection.

In: a connection with a transaction begun. Out: resources, log entries, identities. Nothing here is async or knows
which database it speaks to; what differs between databases is in the module that opens each.
The tables are made by the migrations; a test holds the two together.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from outrig.resources import Key, Resource
from outrig.store.documents import as_utc, decode, encode
from outrig.store.feed import PAGE, Entry, Page, check_epoch, check_reach
from outrig.store.protocol import AlreadyExists, Change, ChangeType, Identity, Query

EPOCH_START = datetime(1970, 1, 1, tzinfo=UTC)


class Instant(sa.TypeDecorator[datetime]):
    """A point in time, kept as microseconds since 1970 in UTC: it compares alike in every database."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> int | None:  # noqa: ARG002
        """To the database."""
        return (value - EPOCH_START) // timedelta(microseconds=1) if value else None

    def process_result_value(self, value: int | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002
        """From the database."""
        return EPOCH_START + timedelta(microseconds=value) if value is not None else None


def _key_columns(*, primary_key: bool) -> list[sa.Column[str]]:
    names = ("group", "kind", "mesh", "namespace", "name")
    return [sa.Column(name, sa.Text, primary_key=primary_key, nullable=False) for name in names]


metadata = sa.MetaData()

counter = sa.Table(
    "counter",
    metadata,
    sa.Column("id", sa.Integer, sa.CheckConstraint("id = 1"), primary_key=True),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("epoch", sa.Text, nullable=False),
)

resources = sa.Table(
    "resources",
    metadata,
    *_key_columns(primary_key=True),
    sa.Column("uid", sa.Text, nullable=False, unique=True),
    sa.Column("document", sa.Text, nullable=False),
)

owners = sa.Table(
    "owners",
    metadata,
    sa.Column("owner_uid", sa.Text, primary_key=True),
    sa.Column(
        "resource_uid", sa.Text, sa.ForeignKey("resources.uid", ondelete="CASCADE"), primary_key=True, index=True
    ),
)

changes = sa.Table(
    "changes",
    metadata,
    sa.Column("revision", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("type", sa.Text, nullable=False),
    *_key_columns(primary_key=False),
    sa.Column("document", sa.Text, nullable=False),
    sa.Column("labels_before", sa.JSON(none_as_null=True)),
)

nonces = sa.Table(
    "nonces",
    metadata,
    sa.Column("nonce", sa.Text, primary_key=True),
    sa.Column("expires", Instant, nullable=False, index=True),
)

identities = sa.Table(
    "identities",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("digest", sa.Text, nullable=False, unique=True),
    sa.Column("serial", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("registration", sa.Text, nullable=False, index=True),
    sa.Column("task", sa.Text, nullable=False, index=True),
    sa.Column("key_hash", sa.Text, nullable=False, index=True),
    sa.Column("not_after", Instant, nullable=False, index=True),
)


def _is(table: sa.Table) -> sa.ColumnElement[bool]:
    return sa.and_(*(column == sa.bindparam(f"key_{column.name}") for column in _key_of(table)))


def _key_of(table: sa.Table) -> tuple[sa.Column[str], ...]:
    columns = table.c
    return columns.group, columns.kind, columns.mesh, columns.namespace, columns.name


# Building a statement costs more than running it, so what every write runs is built once.
LOCK_COUNTER = sa.select(counter.c.revision).with_for_update()
READ_COUNTER = sa.select(counter.c.revision, counter.c.epoch)
MOVE_COUNTER = sa.update(counter).values(revision=sa.bindparam("to"))
FIND_ONE = sa.select(resources).where(_is(resources))
FIND_OWNED = (
    sa.select(resources)
    .where(resources.c.uid.in_(sa.select(owners.c.resource_uid).where(owners.c.owner_uid == sa.bindparam("owner"))))
    .order_by(*_key_of(resources))
)
INSERT = sa.insert(resources)
REPLACE = sa.update(resources).where(_is(resources)).values(document=sa.bindparam("new"))
REMOVE = sa.delete(resources).where(_is(resources))
APPEND = sa.insert(changes)
CUT = sa.delete(changes).where(changes.c.revision <= sa.bindparam("floor"))
OLDEST = sa.select(sa.func.min(changes.c.revision))


def lock_counter(connection: sa.Connection) -> int:
    """The revision, which nobody else can move before this transaction ends."""
    revision: int = connection.execute(LOCK_COUNTER).scalar_one()
    return revision


def read_counter(connection: sa.Connection) -> tuple[int, str]:
    """The revision and the epoch."""
    row = connection.execute(READ_COUNTER).one()
    return row.revision, row.epoch


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
    values = _key_values(resource.key) | {"uid": resource.uid, "document": encode(resource)}
    connection.execute(INSERT, values)
    _insert_owners(connection, resource)


def replace(connection: sa.Connection, resource: Resource, *, stored: Resource) -> None:
    """Put the new version of a stored resource in its place."""
    connection.execute(REPLACE, _bound(resource.key) | {"new": encode(resource)})
    if resource.owners != stored.owners:
        connection.execute(sa.delete(owners).where(owners.c.resource_uid == resource.uid))
        _insert_owners(connection, resource)


def remove(connection: sa.Connection, key: Key) -> None:
    """Delete the resource of that key."""
    connection.execute(REMOVE, _bound(key))


def append(connection: sa.Connection, entries: Sequence[Entry], *, keep: int) -> None:
    """Log the changes of a transaction, move the counter past them and cut the log to its newest `keep`."""
    if not entries:
        return
    revision = entries[-1].change.revision
    connection.execute(APPEND, [_change_values(entry) for entry in entries])
    connection.execute(MOVE_COUNTER, {"to": revision})
    connection.execute(CUT, {"floor": revision - keep})


def read_log(connection: sa.Connection, query: Query, *, after: int, epoch: str = "") -> Page:
    """The next piece of the log. Raises Gone."""
    revision, own_epoch = read_counter(connection)
    oldest = connection.execute(OLDEST).scalar_one()
    check_epoch(epoch, epoch=own_epoch)
    check_reach(after, floor=revision if oldest is None else oldest - 1, revision=revision)
    fitting = sa.select(changes).where(changes.c.revision > after, *_fitting(changes, query))
    rows = connection.execute(fitting.order_by(changes.c.revision).limit(PAGE)).all()
    entries = (_entry(row) for row in rows)
    complete = len(rows) < PAGE
    position = revision if complete else rows[-1].revision
    return Page(tuple(entry.change for entry in entries if entry.fits(query)), position, complete)


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
    """Delete expired nonces and identities; gives how many."""
    stale = connection.execute(sa.delete(nonces).where(nonces.c.expires <= as_utc(now)))
    expired = connection.execute(sa.delete(identities).where(~live(now)))
    return stale.rowcount + expired.rowcount


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
    return decode(Key(row.group, row.kind, row.mesh, row.namespace, row.name), row.document)


def _entry(row: Any) -> Entry:
    return Entry(Change(ChangeType(row.type), _resource(row)), row.labels_before)


def _change_values(entry: Entry) -> dict[str, Any]:
    resource = entry.change.resource
    return _key_values(resource.key) | {
        "revision": resource.revision,
        "type": entry.change.type.value,
        "document": encode(resource),
        "labels_before": dict(entry.labels_before) if entry.labels_before is not None else None,
    }


def _insert_owners(connection: sa.Connection, resource: Resource) -> None:
    uids = {owner.uid for owner in resource.owners}
    if uids:
        connection.execute(sa.insert(owners), [{"owner_uid": uid, "resource_uid": resource.uid} for uid in uids])


def _identity(row: Any) -> Identity:
    return Identity(row.digest, row.serial, row.subject, row.registration, row.task, row.key_hash, row.not_after)
