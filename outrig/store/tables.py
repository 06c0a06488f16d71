"""The tables of the SQL stores.

The migrations make them; a test holds the two together.
"""

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

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


TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
"""Text in the order of its code points everywhere; an index on it outlives updates of the system's locales."""


def _key_columns(*, primary_key: bool) -> list[sa.Column[str]]:
    names = ("group", "kind", "mesh", "namespace", "name")
    return [sa.Column(name, TEXT, primary_key=primary_key, nullable=False) for name in names]


metadata = sa.MetaData()

counter = sa.Table(
    "counter",
    metadata,
    sa.Column("id", sa.Integer, sa.CheckConstraint("id = 1"), primary_key=True),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("epoch", TEXT, nullable=False),
    sa.Column("digest", TEXT, nullable=False, server_default=""),
    sa.Column("home", TEXT, nullable=False, server_default=""),
)

resources = sa.Table(
    "resources",
    metadata,
    *_key_columns(primary_key=True),
    sa.Column("uid", TEXT, nullable=False, unique=True),
    sa.Column("document", TEXT, nullable=False),
    sa.Column("managers", TEXT, nullable=False, server_default=""),
)

owners = sa.Table(
    "owners",
    metadata,
    sa.Column("owner_uid", TEXT, primary_key=True),
    sa.Column("resource_uid", TEXT, sa.ForeignKey("resources.uid", ondelete="CASCADE"), primary_key=True, index=True),
)

changes = sa.Table(
    "changes",
    metadata,
    sa.Column("revision", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("type", TEXT, nullable=False),
    *_key_columns(primary_key=False),
    sa.Column("document", TEXT, nullable=False),
    sa.Column("managers", TEXT, nullable=False, server_default=""),
    sa.Column("document_before", TEXT),
    sa.Column("managers_before", TEXT, nullable=False, server_default=""),
    sa.Column("labels_before", sa.JSON(none_as_null=True)),  # of replicas of schema 0003, which read it
)

nonces = sa.Table(
    "nonces",
    metadata,
    sa.Column("nonce", TEXT, primary_key=True),
    sa.Column("expires", Instant, nullable=False, index=True),
)

identities = sa.Table(
    "identities",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("digest", TEXT, nullable=False, unique=True),
    sa.Column("serial", TEXT, nullable=False),
    sa.Column("subject", TEXT, nullable=False),
    sa.Column("registration", TEXT, nullable=False, index=True),
    sa.Column("task", TEXT, nullable=False, index=True),
    sa.Column("key_hash", TEXT, nullable=False, index=True),
    sa.Column("not_after", Instant, nullable=False, index=True),
)

replicas = sa.Table(
    "replicas",
    metadata,
    sa.Column("id", TEXT, primary_key=True),
    sa.Column("started", Instant, nullable=False),
    sa.Column("expires", Instant, nullable=False),
)

duties = sa.Table(
    "duties",
    metadata,
    sa.Column("name", TEXT, primary_key=True),
    sa.Column("holder", TEXT, nullable=False),
    sa.Column("expires", Instant, nullable=False),
)
