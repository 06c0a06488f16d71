"""What was there before each change: by it a watch tells what enters or leaves a selection, and the past is listed."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Add the columns; of changes that are logged already nobody knows."""
    op.add_column("changes", sa.Column("document_before", TEXT))
    op.add_column("changes", sa.Column("managers_before", TEXT, nullable=False, server_default=""))
