"""What is known of a seed whose job finished once, and which seeds a person wants to be run again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

SCHEMA = "prodsys"


def upgrade() -> None:
    """Add the columns; what was delivered, or has files, is finished."""
    finished = sa.Column("finished", sa.Boolean(), nullable=False, server_default="false")
    op.add_column("seed_outcome", finished, schema=SCHEMA)
    granted = sa.Column("granted_seeds", postgresql.INT8MULTIRANGE(), nullable=False, server_default="{}")
    op.add_column("step", granted, schema=SCHEMA)
    op.execute(
        """
        update prodsys.seed_outcome as one set finished = true
        where one.state in ('delivered', 'short', 'mispaired')
        or exists (select from prodsys.file where file.step_id = one.step_id and file.seed = one.seed)
        or exists (select from prodsys.lost_file where lost_file.step_id = one.step_id and lost_file.seed = one.seed)
        """
    )


def downgrade() -> None:
    """Drop them again."""
    op.drop_column("step", "granted_seeds", schema=SCHEMA)
    op.drop_column("seed_outcome", "finished", schema=SCHEMA)
