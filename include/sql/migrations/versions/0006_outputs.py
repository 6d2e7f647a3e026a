"""Names of datasets as PanDA made them, and the GUID of every file."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

SCHEMA = "prodsys"


def upgrade() -> None:
    """Add the columns; what was recorded before is read from PanDA when it is looked at again."""
    op.add_column("task", sa.Column("outputs", postgresql.JSONB(), nullable=False, server_default="{}"), schema=SCHEMA)
    op.add_column("file", sa.Column("guid", sa.Text(), nullable=False, server_default=""), schema=SCHEMA)


def downgrade() -> None:
    """Drop the columns; the names can be read from PanDA again."""
    op.drop_column("file", "guid", schema=SCHEMA)
    op.drop_column("task", "outputs", schema=SCHEMA)
