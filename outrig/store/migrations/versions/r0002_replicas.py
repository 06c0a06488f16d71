"""Replicas and their duties; what tells one history of revisions from another."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

# Once a transaction, whoever moves the counter. Replicas listen; by the digest one knows what it did itself.
NOTIFY = (
    "CREATE FUNCTION outrig_notify() RETURNS trigger LANGUAGE plpgsql AS"
    " $$ BEGIN PERFORM pg_notify('outrig', NEW.digest); RETURN NULL; END $$",
    "CREATE TRIGGER outrig_notify AFTER UPDATE OF revision ON counter FOR EACH ROW EXECUTE FUNCTION outrig_notify()",
)


def upgrade() -> None:
    """Add the tables, and to the counter the digest of the changes and the database they were made in."""
    for name in ("digest", "home"):
        op.add_column("counter", sa.Column(name, TEXT, nullable=False, server_default=""))
    op.create_table(
        "replicas",
        sa.Column("id", TEXT, primary_key=True, nullable=False),
        sa.Column("started", sa.BigInteger, nullable=False),
        sa.Column("expires", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "duties",
        sa.Column("name", TEXT, primary_key=True, nullable=False),
        sa.Column("holder", TEXT, nullable=False),
        sa.Column("expires", sa.BigInteger, nullable=False),
    )
    if op.get_bind().dialect.name == "postgresql":
        for statement in NOTIFY:
            op.execute(statement)
