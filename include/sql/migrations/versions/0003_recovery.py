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
    ("plan", "estimate", postgresql.JSONB(), "{}"),
    ("plan", "warnings", postgresql.JSONB(), "[]"),
    ("step", "core_s", sa.Float(), None),
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
    op.create_table(
        "idempotency",
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("body_digest", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("held_until", MOMENT, nullable=False),
        sa.Column("claimed_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("headers", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("body", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("who", "key", name=op.f("pk_idempotency")),
        schema=SCHEMA,
    )
    op.create_index(op.f("ix_idempotency_claimed_at"), "idempotency", ["claimed_at"], schema=SCHEMA)
    _add_history()
    _add_templates()
    _add_inputs()


def _add_inputs() -> None:
    """Files of earlier requests that a request reads."""
    op.create_table(
        "input_file",
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("lfn", sa.Text(), nullable=False),
        sa.Column("did", sa.Text(), nullable=False),
        sa.Column("data_type", sa.Text(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("adler32", sa.Text(), nullable=False),
        sa.Column("parent_tid", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["request_id"], ["prodsys.request.request_id"], name=op.f("fk_input_file_request_id")),
        sa.PrimaryKeyConstraint("request_id", "lfn", name=op.f("pk_input_file")),
        schema=SCHEMA,
    )
    op.create_index(op.f("ix_input_file_lfn"), "input_file", ["lfn"], schema=SCHEMA)


def _add_history() -> None:
    """Tasks of before this ledger, from imported lists."""
    op.create_table(
        "history_task",
        sa.Column("jedi_task_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("task_name", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("jobs", sa.BigInteger(), nullable=True),
        sa.Column("events", sa.BigInteger(), nullable=True),
        sa.Column("events_left_out", sa.Boolean(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=True),
        sa.Column("wall_s", sa.Float(), nullable=True),
        sa.Column("span_h", sa.Float(), nullable=True),
        sa.Column("written", postgresql.JSONB(), nullable=False),
        sa.Column("flags", postgresql.JSONB(), nullable=False),
        sa.Column("file", sa.Text(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("imported_by", sa.Text(), nullable=False),
        sa.Column("imported_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("jedi_task_id", "task_name", name=op.f("pk_history_task")),
        schema=SCHEMA,
    )
    op.create_index(op.f("ix_history_task_request_id"), "history_task", ["request_id"], schema=SCHEMA)


def _add_templates() -> None:
    """Recurring templates, which may own seeds before there is a request."""
    op.create_table(
        "recurring",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("body", postgresql.JSONB(), nullable=False),
        sa.Column("configuration", sa.Text(), nullable=False),
        sa.Column("id_prefix", sa.Text(), nullable=False),
        sa.Column("numbers", postgresql.INT8RANGE(), nullable=False),
        sa.Column("registered_by", sa.Text(), nullable=False),
        sa.Column("registered_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.Column("changed_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_recurring")),
        postgresql.ExcludeConstraint(
            ("id_prefix", "="), ("numbers", "&&"), using="gist", name="recurring_numbers_once"
        ),
        schema=SCHEMA,
    )
    op.add_column("seed_claim", sa.Column("template", sa.Text(), nullable=True), schema=SCHEMA)
    op.alter_column("seed_claim", "request_id", nullable=True, schema=SCHEMA)
    op.create_foreign_key(
        op.f("fk_seed_claim_template"),
        "seed_claim",
        "recurring",
        ["template"],
        ["name"],
        source_schema=SCHEMA,
        referent_schema=SCHEMA,
    )
    op.create_index(op.f("ix_seed_claim_template"), "seed_claim", ["template"], schema=SCHEMA)
    op.create_check_constraint(
        "request_or_template", "seed_claim", "num_nonnulls(request_id, template) = 1", schema=SCHEMA
    )


def downgrade() -> None:
    """Drop them again."""
    op.execute("delete from prodsys.seed_claim where template is not null")
    op.drop_constraint(op.f("ck_seed_claim_request_or_template"), "seed_claim", schema=SCHEMA)
    op.drop_column("seed_claim", "template", schema=SCHEMA)
    op.alter_column("seed_claim", "request_id", nullable=False, schema=SCHEMA)
    op.drop_table("recurring", schema=SCHEMA)
    op.drop_table("idempotency", schema=SCHEMA)
    op.drop_table("history_task", schema=SCHEMA)
    op.drop_table("question", schema=SCHEMA)
    op.drop_table("lost_file", schema=SCHEMA)
    op.drop_table("input_file", schema=SCHEMA)
    op.execute("delete from prodsys.seed_outcome where task_row_id is null")
    op.alter_column("seed_outcome", "task_row_id", nullable=False, schema=SCHEMA)
    op.drop_constraint("uq_step_request_id_revision_kind_bunch", "step", schema=SCHEMA)
    op.create_unique_constraint(
        "uq_step_request_id_revision_kind", "step", ["request_id", "revision", "kind"], schema=SCHEMA
    )
    op.drop_constraint("uq_request_template_interval_start", "request", schema=SCHEMA)
    for table, name, _, _ in reversed(ADDED):
        op.drop_column(table, name, schema=SCHEMA)
