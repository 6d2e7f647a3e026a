"""Life cycle: launches at a time, and how many runs a request was given."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add what a delayed launch and a retry need."""
    op.add_column("request", sa.Column("not_before", sa.DateTime(timezone=True), nullable=True), schema="prodsys")
    op.add_column(
        "request", sa.Column("runs", sa.Integer(), server_default=sa.text("0"), nullable=False), schema="prodsys"
    )


def downgrade() -> None:
    """Drop it again."""
    op.drop_column("request", "runs", schema="prodsys")
    op.drop_column("request", "not_before", schema="prodsys")
