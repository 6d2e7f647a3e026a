"""Comparisons of the reconciler have new names; findings keep the comparison that found them, and so can be closed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

RENAMED = {"look_for_twins": "find_duplicate_tasks", "look_for_doubts": "find_uncertain_submissions"}
STATEMENT = sa.text("update prodsys.finding set look = :new where look = :old")


def upgrade() -> None:
    """Name the comparison of each stored finding as it is called now."""
    for old, new in RENAMED.items():
        op.execute(STATEMENT.bindparams(old=old, new=new))


def downgrade() -> None:
    """Name it as it was called before."""
    for old, new in RENAMED.items():
        op.execute(STATEMENT.bindparams(old=new, new=old))
