"""Statements about replicas and the duties that one of them has at a time, as plain functions of a connection.

In: a connection with a transaction begun. These rows have no revision: a write of them is no change that is watched,
and it does not wait for the one writer of resources.
"""

from dataclasses import asdict
from datetime import datetime

import sqlalchemy as sa

from outrig.store.documents import as_utc
from outrig.store.protocol import Replica
from outrig.store.tables import duties, replicas


def beat(connection: sa.Connection, replica: Replica) -> None:
    """Add the replica, or extend its lease."""
    values = asdict(replica) | {"started": as_utc(replica.started), "expires": as_utc(replica.expires)}
    beaten = sa.update(replicas).where(replicas.c.id == replica.id).values(values)
    if not connection.execute(beaten).rowcount:
        connection.execute(sa.insert(replicas).values(values))


def find_replicas(connection: sa.Connection, now: datetime) -> tuple[Replica, ...]:
    """Those whose lease has not expired, ordered by id."""
    alive = sa.select(replicas).where(replicas.c.expires > as_utc(now)).order_by(replicas.c.id)
    return tuple(Replica(row.id, row.started, row.expires) for row in connection.execute(alive))


def leave(connection: sa.Connection, replica: str) -> None:
    """Remove the replica's row and what it holds."""
    connection.execute(sa.delete(replicas).where(replicas.c.id == replica))
    connection.execute(sa.delete(duties).where(duties.c.holder == replica))


def hold(connection: sa.Connection, duty: str, holder: str, *, until: datetime, now: datetime) -> bool:
    """Take the duty, or keep it, if nobody else has it."""
    mine = {"holder": holder, "expires": as_utc(until)}
    free = (duties.c.holder == holder) | (duties.c.expires <= as_utc(now))
    if connection.execute(sa.update(duties).where(duties.c.name == duty, free).values(mine)).rowcount:
        return True
    # Both databases have it, and both leave alone the row of one who came first, seen or not.
    added = sa.text(
        "INSERT INTO duties (name, holder, expires) VALUES (:name, :holder, :expires) ON CONFLICT DO NOTHING"
    )
    added = added.bindparams(sa.bindparam("expires", type_=duties.c.expires.type))
    return bool(connection.execute(added, {"name": duty} | mine).rowcount)
