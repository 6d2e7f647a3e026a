"""Recovery, bunches, questions, trials, recurring requests."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

SCHEMA = "prodsys"
MOMENT = sa.DateTime(timezone=True)
ADDED: tuple[tuple[str, str, sa.types.TypeEngine, str | None], ...] = (  # table, column, type, default; None: null
    ("request", "extends", sa.Text(), None),
    ("request", "trial_of", sa.Text(), None),
    ("request", "template", sa.Text(), None),
    ("request", "interval_start", MOMENT, None),
    ("request", "runs", sa.Integer(), "1"),
    ("plan", "seconded_by", sa.Text(), None),
    ("plan", "seconded_at", MOMENT, None),
    ("step", "bunch", sa.Integer(), None),
    ("step", "rounds", sa.Integer(), "0"),
    ("step", "granted", sa.Integer(), "0"),
    ("step", "waived", sa.Text(), ""),
    ("step", "asked", sa.BigInteger(), "0"),
    ("task", "inputs", postgresql.JSONB(), "{}"),
    ("task", "retries", sa.Integer(), "0"),
    ("task", "retried_at", MOMENT, None),
    ("dataset", "bunch", sa.Integer(), None),
    ("dataset", "strays", sa.Integer(), "0"),
    ("task", "adopted", sa.Boolean(), "false"),
    ("seed_outcome", "lost_in", sa.Text(), ""),
    ("seed_outcome", "waived", sa.Text(), ""),
)


def upgrade() -> None:
    """Add columns and the table of questions."""
    for table, name, kind, default in ADDED:
        column = sa.Column(name, kind, nullable=default is None, server_default=default)
        op.add_column(table, column, schema=SCHEMA)
    op.alter_column("seed_outcome", "task_row_id", nullable=True, schema=SCHEMA)
    op.create_table(
        "lost_file",
        sa.Column("lfn", sa.Text(), nullable=False),
        sa.Column("step_id", sa.BigInteger(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("found_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["step_id"], ["prodsys.step.step_id"], name=op.f("fk_lost_file_step_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("lfn", name=op.f("pk_lost_file")),
        schema=SCHEMA,
    )
    op.create_index(op.f("ix_lost_file_step_id"), "lost_file", ["step_id"], schema=SCHEMA)
    op.create_unique_constraint(
        "uq_request_template_interval_start", "request", ["template", "interval_start"], schema=SCHEMA
    )
    op.drop_constraint("uq_step_request_id_revision_kind", "step", schema=SCHEMA)
    op.create_unique_constraint(
        "uq_step_request_id_revision_kind_bunch",
        "step",
        ["request_id", "revision", "kind", "bunch"],
        schema=SCHEMA,
        postgresql_nulls_not_distinct=True,
    )
    op.create_table(
        "question",
        sa.Column("question_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("step_id", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("options", postgresql.JSONB(), nullable=False),
        sa.Column("default", sa.Text(), nullable=False),
        sa.Column("asked_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.Column("due_at", MOMENT, nullable=False),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.Column("answered_by", sa.Text(), nullable=True),
        sa.Column("answered_at", MOMENT, nullable=True),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(["step_id"], ["prodsys.step.step_id"], name=op.f("fk_question_step_id")),
        sa.PrimaryKeyConstraint("question_id", name=op.f("pk_question")),
        schema=SCHEMA,
    )
    op.create_index(op.f("ix_question_step_id"), "question", ["step_id"], schema=SCHEMA)
    op.create_index(
        "uq_question_one_open",
        "question",
        ["step_id"],
        unique=True,
        schema=SCHEMA,
        postgresql_where=sa.text("answer is null"),
    )


def downgrade() -> None:
    """Drop them again."""
    op.drop_table("question", schema=SCHEMA)
    op.drop_table("lost_file", schema=SCHEMA)
    op.execute("delete from prodsys.seed_outcome where task_row_id is null")
    op.alter_column("seed_outcome", "task_row_id", nullable=False, schema=SCHEMA)
    op.drop_constraint("uq_step_request_id_revision_kind_bunch", "step", schema=SCHEMA)
    op.create_unique_constraint(
        "uq_step_request_id_revision_kind", "step", ["request_id", "revision", "kind"], schema=SCHEMA
    )
    op.drop_constraint("uq_request_template_interval_start", "request", schema=SCHEMA)
    for table, name, _, _ in reversed(ADDED):
        op.drop_column(table, name, schema=SCHEMA)
