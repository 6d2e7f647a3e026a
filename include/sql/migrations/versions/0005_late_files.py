"""Files that were written after their dataset was closed or lost after they were delivered; kills that were taken."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

SCHEMA = "prodsys"
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add the table of late files and the mark of lost ones."""
    column = sa.Column("delivered", sa.Boolean(), server_default="false", nullable=False)
    op.add_column("lost_file", column, schema=SCHEMA)
    op.add_column("task", sa.Column("killed_at", MOMENT, nullable=True), schema=SCHEMA)
    op.create_table(
        "late_file",
        sa.Column("lfn", sa.Text(), nullable=False),
        sa.Column("step_id", sa.BigInteger(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("data_type", sa.Text(), nullable=False),
        sa.Column("dataset", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("found_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=True),
        sa.Column("taken_into", sa.Text(), server_default="", nullable=False),
        sa.Column("taken_by", sa.Text(), server_default="", nullable=False),
        sa.Column("taken_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(
            ["step_id"], ["prodsys.step.step_id"], name=op.f("fk_late_file_step_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("lfn", name=op.f("pk_late_file")),
        schema=SCHEMA,
    )
    op.create_index(op.f("ix_late_file_step_id"), "late_file", ["step_id"], unique=False, schema=SCHEMA)


def downgrade() -> None:
    """Take both away."""
    op.drop_table("late_file", schema=SCHEMA)
    op.drop_column("task", "killed_at", schema=SCHEMA)
    op.drop_column("lost_file", "delivered", schema=SCHEMA)
