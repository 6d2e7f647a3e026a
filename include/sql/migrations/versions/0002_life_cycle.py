"""Life cycle: launches at a time."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the time a delayed launch waits for."""
    op.add_column("request", sa.Column("not_before", sa.DateTime(timezone=True), nullable=True), schema="prodsys")


def downgrade() -> None:
    """Drop it again."""
    op.drop_column("request", "not_before", schema="prodsys")
