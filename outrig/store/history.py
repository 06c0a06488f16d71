"""Where a PostgreSQL database is, which tells a copy or an older state of it apart, and how its history begins anew.

In: a connection with a writing transaction begun. Out: the head of the history, the same or a new one.

A database that was put back to an older state gives revisions a second time. Whoever remembers one from before would
miss what they now mean; so would a nonce used up since then be good again. A new history therefore has another epoch,
numbers beyond all that were given, an empty log and no nonces: every watch from before gets Gone.
"""

from uuid import uuid4

import sqlalchemy as sa

from outrig.store.sql import Head, lock_counter
from outrig.store.tables import changes, counter, nonces

LEAP = 1_000_000_000
"""How far a new history jumps: more changes than the lost one can have had."""

HOME = sa.text("""
SELECT concat_ws('/',
    CASE WHEN has_function_privilege('pg_control_system()', 'execute')
        THEN (SELECT system_identifier FROM pg_control_system()) END,
    CASE WHEN has_function_privilege('pg_control_checkpoint()', 'execute')
        THEN (SELECT timeline_id FROM pg_control_checkpoint()) END,
    (SELECT oid FROM pg_database WHERE datname = current_database()),
    'counter'::regclass::oid)
""")
"""The cluster, its timeline, the database and the table itself: a dump that is read back, a copy, a standby that is
promoted and a recovery to a point in time each change one of them."""


def take_up(connection: sa.Connection) -> tuple[Head, bool]:
    """Where the history stands, as this process begins; whether it had to begin anew, for the database has moved."""
    head = lock_counter(connection)
    here: str = connection.execute(HOME).scalar_one()
    home: str = connection.execute(sa.select(counter.c.home)).scalar_one()
    if home == here:
        return head, False
    if not home:
        connection.execute(sa.update(counter).values(home=here))
        return head, False
    return _begin(connection, here, beyond=head.revision), True


def begin_anew(connection: sa.Connection, known: Head) -> Head:
    """A new history in place of one that was seen to lack what is known; another replica may have begun it already."""
    head = lock_counter(connection)
    if head.epoch != known.epoch:
        return head
    here: str = connection.execute(HOME).scalar_one()
    return _begin(connection, here, beyond=max(head.revision, known.revision))


def _begin(connection: sa.Connection, here: str, *, beyond: int) -> Head:
    epoch = uuid4().hex
    begun = Head(epoch, beyond + LEAP, digest=epoch)
    connection.execute(sa.delete(changes))
    connection.execute(sa.delete(nonces))
    moved = {"epoch": begun.epoch, "revision": begun.revision, "digest": begun.digest, "home": here}
    connection.execute(sa.update(counter).values(moved))
    return begun
