"""Findings until somebody decides, where comparisons go on, when rules and datasets were compared."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

SCHEMA = "prodsys"
MOMENT = sa.DateTime(timezone=True)
MADE = """
update prodsys.rule as r set created_at = least(r.checked_at, (
    select min(a.at) from prodsys.audit as a
    where a.action = 'replicate' and a.request_id = r.request_id and jsonb_exists(a.detail -> 'rules', r.rule_id)
))
"""
ADDED = (("dataset", "compared_at"), ("rule", "compared_at"), ("task", "looked_at"))


def upgrade() -> None:
    """Add tables and columns; a rule of before is as old as the ledger can tell."""
    op.create_table(
        "finding",
        sa.Column("finding_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("look", "subject", "fact", "request_id", "severity")),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("what", "cause", "advice")),
        sa.Column("first_seen", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.Column("last_seen", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("decided_at", MOMENT, nullable=True),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("closed_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("finding_id", name=op.f("pk_finding")),
        schema=SCHEMA,
    )
    op.create_index(op.f("ix_finding_request_id"), "finding", ["request_id"], schema=SCHEMA)
    op.create_index(
        "uq_finding_standing",
        "finding",
        ["look", "subject", "fact"],
        unique=True,
        schema=SCHEMA,
        postgresql_where=sa.text("closed_at is null"),
    )
    op.create_table(
        "look",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("position", sa.Text(), server_default="", nullable=False),
        sa.Column("seen_until", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_look")),
        schema=SCHEMA,
    )
    for table, name in ADDED:
        op.add_column(table, sa.Column(name, MOMENT, nullable=True), schema=SCHEMA)
    op.add_column(
        "rule", sa.Column("created_at", MOMENT, server_default=sa.text("now()"), nullable=False), schema=SCHEMA
    )
    op.execute(MADE)


def downgrade() -> None:
    """Drop them again."""
    op.execute("update prodsys.rule set state = 'GONE' where state = 'EXPIRED'")
    op.drop_column("rule", "created_at", schema=SCHEMA)
    for table, name in ADDED:
        op.drop_column(table, name, schema=SCHEMA)
    op.drop_table("look", schema=SCHEMA)
    op.drop_table("finding", schema=SCHEMA)
