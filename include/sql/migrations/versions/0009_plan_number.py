"""Plans are numbered: the newest is the one with the highest number, whatever the clocks of the hosts say."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

SCHEMA = "prodsys"
NUMBERED = """
update prodsys.plan set number = numbered.number
from (
    select request_id, digest, row_number() over (order by planned_at, request_id, digest) as number from prodsys.plan
) as numbered
where plan.request_id = numbered.request_id and plan.digest = numbered.digest
"""


def upgrade() -> None:
    """Number the plans that are there in the order of their times, the next ones by a sequence."""
    op.execute(sa.schema.CreateSequence(sa.Sequence("plan_number", schema=SCHEMA)))
    op.add_column("plan", sa.Column("number", sa.BigInteger(), nullable=True), schema=SCHEMA)
    op.execute(NUMBERED)
    op.execute("select setval('prodsys.plan_number', coalesce((select max(number) from prodsys.plan), 0) + 1, false)")
    default = sa.text("nextval('prodsys.plan_number')")
    op.alter_column("plan", "number", nullable=False, server_default=default, schema=SCHEMA)


def downgrade() -> None:
    """Go by the times again."""
    op.drop_column("plan", "number", schema=SCHEMA)
    op.execute(sa.schema.DropSequence(sa.Sequence("plan_number", schema=SCHEMA)))
