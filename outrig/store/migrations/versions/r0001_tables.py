"""The first tables."""

from uuid import uuid4

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

# Postgres otherwise orders by a locale, and changes of that break its indexes.
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the tables and start the history of this database."""
    _counter()
    _resources()
    _changes()
    _nonces()
    _identities()


def _text(*names: str, primary_key: bool = False) -> list[sa.Column[str]]:
    return [sa.Column(name, TEXT, primary_key=primary_key, nullable=False) for name in names]


def _counter() -> None:
    counter = op.create_table(
        "counter",
        sa.Column("id", sa.Integer, sa.CheckConstraint("id = 1"), primary_key=True),
        sa.Column("revision", sa.BigInteger, nullable=False),
        *_text("epoch"),
    )
    op.bulk_insert(counter, [{"id": 1, "revision": 0, "epoch": uuid4().hex}])


def _resources() -> None:
    op.create_table(
        "resources",
        *_text("group", "kind", "mesh", "namespace", "name", primary_key=True),
        sa.Column("uid", TEXT, nullable=False, unique=True),
        *_text("document"),
    )
    op.create_table(
        "owners",
        *_text("owner_uid", primary_key=True),
        sa.Column("resource_uid", TEXT, sa.ForeignKey("resources.uid", ondelete="CASCADE"), primary_key=True),
    )
    op.create_index("ix_owners_resource_uid", "owners", ["resource_uid"])


def _changes() -> None:
    op.create_table(
        "changes",
        sa.Column("revision", sa.BigInteger, primary_key=True, autoincrement=False),
        *_text("type", "group", "kind", "mesh", "namespace", "name", "document"),
        sa.Column("labels_before", sa.JSON),
    )


def _nonces() -> None:
    op.create_table(
        "nonces",
        *_text("nonce", primary_key=True),
        sa.Column("expires", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_nonces_expires", "nonces", ["expires"])


def _identities() -> None:
    op.create_table(
        "identities",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("digest", TEXT, nullable=False, unique=True),
        *_text("serial", "subject", "registration", "task", "key_hash"),
        sa.Column("not_after", sa.BigInteger, nullable=False),
    )
    for column in ("registration", "task", "key_hash", "not_after"):
        op.create_index(f"ix_identities_{column}", "identities", [column])
