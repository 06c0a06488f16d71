"""Who manages the fields of a resource.

In columns of their own, beside the documents: replicas of the version before read documents to their last field.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Add the columns; of what is there nobody is noted as a manager."""
    for table in ("resources", "changes"):
        op.add_column(table, sa.Column("managers", TEXT, nullable=False, server_default=""))
