"""The ledger: requests, seeds, plans, tasks, files, datasets, rules, audit and journal."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make all tables."""
    op.execute("create extension if not exists btree_gist")
    op.create_table(
        "audit",
        sa.Column("audit_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("detail", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("audit_id", name=op.f("pk_audit")),
        schema="prodsys",
    )
    op.create_index(op.f("ix_audit_request_id"), "audit", ["request_id"], unique=False, schema="prodsys")
    op.create_table(
        "call_journal",
        sa.Column("call_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("call", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("duration_s", sa.Float(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("call_id", name=op.f("pk_call_journal")),
        schema="prodsys",
    )
    op.create_index(
        op.f("ix_call_journal_service_at"), "call_journal", ["service", "at"], unique=False, schema="prodsys"
    )
    op.create_table(
        "request",
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("recorded_status", sa.Text(), nullable=False),
        sa.Column("campaign", sa.Text(), nullable=False),
        sa.Column("priority", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("requester", sa.Text(), nullable=False),
        sa.Column("cloned_from", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("launched_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("request_id", name=op.f("pk_request")),
        schema="prodsys",
    )
    op.create_index(op.f("ix_request_state_priority"), "request", ["state", "priority"], unique=False, schema="prodsys")
    op.create_table(
        "certificate",
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("certificate_revision", sa.Integer(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("body", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("issued_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["request_id"], ["prodsys.request.request_id"], name=op.f("fk_certificate_request_id")),
        sa.PrimaryKeyConstraint("request_id", "certificate_revision", name=op.f("pk_certificate")),
        schema="prodsys",
    )
    op.create_table(
        "dataset",
        sa.Column("did", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("step", sa.Text(), nullable=True),
        sa.Column("data_type", sa.Text(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("files", sa.BigInteger(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("events", sa.BigInteger(), nullable=False),
        sa.Column("closed", sa.Boolean(), nullable=False),
        sa.Column("read_back_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["request_id"], ["prodsys.request.request_id"], name=op.f("fk_dataset_request_id")),
        sa.PrimaryKeyConstraint("did", name=op.f("pk_dataset")),
        schema="prodsys",
    )
    op.create_index(op.f("ix_dataset_request_id"), "dataset", ["request_id"], unique=False, schema="prodsys")
    op.create_table(
        "plan",
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("body", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("planned_by", sa.Text(), nullable=False),
        sa.Column("planned_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("approved_by", sa.Text(), nullable=True),
        sa.Column("approved_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["request_id"], ["prodsys.request.request_id"], name=op.f("fk_plan_request_id")),
        sa.PrimaryKeyConstraint("request_id", "digest", name=op.f("pk_plan")),
        schema="prodsys",
    )
    op.create_table(
        "publication",
        sa.Column("number", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("retired", sa.Boolean(), nullable=False),
        sa.Column("published_by", sa.Text(), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["request_id"], ["prodsys.request.request_id"], name=op.f("fk_publication_request_id")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_publication")),
        schema="prodsys",
    )
    op.create_index(op.f("ix_publication_request_id"), "publication", ["request_id"], unique=False, schema="prodsys")
    op.create_table(
        "request_revision",
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("configuration", sa.Text(), nullable=False),
        sa.Column("spec", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("source", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["request_id"], ["prodsys.request.request_id"], name=op.f("fk_request_revision_request_id")
        ),
        sa.PrimaryKeyConstraint("request_id", "revision", name=op.f("pk_request_revision")),
        schema="prodsys",
    )
    op.create_index(
        op.f("ix_request_revision_configuration"), "request_revision", ["configuration"], unique=False, schema="prodsys"
    )
    op.create_table(
        "run",
        sa.Column("dag_id", sa.Text(), nullable=False),
        sa.Column("dag_run_id", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("driving", sa.Boolean(), nullable=False),
        sa.Column("airflow_state", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("entered_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["request_id"], ["prodsys.request.request_id"], name=op.f("fk_run_request_id")),
        sa.PrimaryKeyConstraint("dag_id", "dag_run_id", name=op.f("pk_run")),
        schema="prodsys",
    )
    op.create_index(op.f("ix_run_request_id"), "run", ["request_id"], unique=False, schema="prodsys")
    op.create_index(
        "uq_run_one_driver", "run", ["request_id"], unique=True, schema="prodsys", postgresql_where="driving"
    )
    op.create_table(
        "seed_claim",
        sa.Column("claim_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("configuration", sa.Text(), nullable=False),
        sa.Column("seeds", postgresql.INT8RANGE(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("claimed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        postgresql.ExcludeConstraint(
            (sa.column("configuration"), "="), (sa.column("seeds"), "&&"), using="gist", name="seed_claim_one_owner"
        ),
        sa.CheckConstraint("not isempty(seeds)", name=op.f("ck_seed_claim_some_seeds")),
        sa.ForeignKeyConstraint(["request_id"], ["prodsys.request.request_id"], name=op.f("fk_seed_claim_request_id")),
        sa.PrimaryKeyConstraint("claim_id", name=op.f("pk_seed_claim")),
        schema="prodsys",
    )
    op.create_index(op.f("ix_seed_claim_request_id"), "seed_claim", ["request_id"], unique=False, schema="prodsys")
    op.create_table(
        "seed_reuse",
        sa.Column("reuse_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("configuration", sa.Text(), nullable=False),
        sa.Column("seeds", postgresql.INT8RANGE(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("declared_by", sa.Text(), nullable=False),
        sa.Column("declared_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["owner"], ["prodsys.request.request_id"], name=op.f("fk_seed_reuse_owner")),
        sa.ForeignKeyConstraint(["request_id"], ["prodsys.request.request_id"], name=op.f("fk_seed_reuse_request_id")),
        sa.PrimaryKeyConstraint("reuse_id", name=op.f("pk_seed_reuse")),
        sa.UniqueConstraint("request_id", "owner", "seeds", name=op.f("uq_seed_reuse_request_id_owner_seeds")),
        schema="prodsys",
    )
    op.create_index(op.f("ix_seed_reuse_owner"), "seed_reuse", ["owner"], unique=False, schema="prodsys")
    op.create_index(op.f("ix_seed_reuse_request_id"), "seed_reuse", ["request_id"], unique=False, schema="prodsys")
    op.create_table(
        "step",
        sa.Column("step_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=True),
        sa.Column("seeds_delivered", sa.BigInteger(), nullable=True),
        sa.Column("events", sa.BigInteger(), nullable=True),
        sa.Column("counted_files", sa.BigInteger(), nullable=False),
        sa.Column("notes", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("data_ready_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["request_id"], ["prodsys.request.request_id"], name=op.f("fk_step_request_id")),
        sa.PrimaryKeyConstraint("step_id", name=op.f("pk_step")),
        sa.UniqueConstraint("request_id", "revision", "kind", name=op.f("uq_step_request_id_revision_kind")),
        schema="prodsys",
    )
    op.create_table(
        "file",
        sa.Column("lfn", sa.Text(), nullable=False),
        sa.Column("step_id", sa.BigInteger(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("data_type", sa.Text(), nullable=False),
        sa.Column("dataset", sa.Text(), nullable=False),
        sa.Column("panda_job_id", sa.BigInteger(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("adler32", sa.Text(), nullable=False),
        sa.Column("events", sa.BigInteger(), nullable=False),
        sa.Column("events_source", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["step_id"], ["prodsys.step.step_id"], name=op.f("fk_file_step_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("lfn", name=op.f("pk_file")),
        schema="prodsys",
    )
    op.create_index(op.f("ix_file_dataset"), "file", ["dataset"], unique=False, schema="prodsys")
    op.create_index(op.f("ix_file_step_id_seed"), "file", ["step_id", "seed"], unique=False, schema="prodsys")
    op.create_table(
        "rule",
        sa.Column("rule_id", sa.Text(), nullable=False),
        sa.Column("did", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("rse_expression", sa.Text(), nullable=False),
        sa.Column("copies", sa.Integer(), nullable=False),
        sa.Column("lifetime_days", sa.Integer(), nullable=True),
        sa.Column("length", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("locks_ok", sa.BigInteger(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("checked_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["did"], ["prodsys.dataset.did"], name=op.f("fk_rule_did")),
        sa.ForeignKeyConstraint(["request_id"], ["prodsys.request.request_id"], name=op.f("fk_rule_request_id")),
        sa.PrimaryKeyConstraint("rule_id", name=op.f("pk_rule")),
        schema="prodsys",
    )
    op.create_index(op.f("ix_rule_did"), "rule", ["did"], unique=False, schema="prodsys")
    op.create_index(op.f("ix_rule_request_id"), "rule", ["request_id"], unique=False, schema="prodsys")
    op.create_table(
        "task",
        sa.Column("task_row_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("step_id", sa.BigInteger(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("bunch", sa.Integer(), nullable=True),
        sa.Column("task_name", sa.Text(), nullable=False),
        sa.Column("seeds", postgresql.INT8MULTIRANGE(), nullable=False),
        sa.Column("task_map", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("parent_tid", sa.BigInteger(), nullable=True),
        sa.Column("intent", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("first_sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sent_count", sa.Integer(), nullable=False),
        sa.Column("jedi_task_id", sa.BigInteger(), nullable=True),
        sa.Column("twins", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("status", sa.Text(), nullable=True),
        sa.Column("status_reason", sa.Text(), nullable=False),
        sa.Column("status_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("job_count", sa.Integer(), nullable=True),
        sa.Column("final", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        postgresql.ExcludeConstraint(
            (sa.column("step_id"), "="),
            (sa.column("seeds"), "&&"),
            where=sa.text("not final"),
            using="gist",
            name="task_one_open_attempt",
        ),
        sa.ForeignKeyConstraint(["step_id"], ["prodsys.step.step_id"], name=op.f("fk_task_step_id")),
        sa.PrimaryKeyConstraint("task_row_id", name=op.f("pk_task")),
        sa.UniqueConstraint("jedi_task_id", name=op.f("uq_task_jedi_task_id")),
        sa.UniqueConstraint("task_name", name=op.f("uq_task_task_name")),
        schema="prodsys",
    )
    op.create_index(op.f("ix_task_intent_final"), "task", ["intent", "final"], unique=False, schema="prodsys")
    op.create_index(op.f("ix_task_step_id"), "task", ["step_id"], unique=False, schema="prodsys")
    op.create_table(
        "seed_outcome",
        sa.Column("step_id", sa.BigInteger(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("task_row_id", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("panda_job_id", sa.BigInteger(), nullable=True),
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("events", sa.BigInteger(), nullable=False),
        sa.Column("events_source", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["step_id"], ["prodsys.step.step_id"], name=op.f("fk_seed_outcome_step_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["task_row_id"], ["prodsys.task.task_row_id"], name=op.f("fk_seed_outcome_task_row_id")
        ),
        sa.PrimaryKeyConstraint("step_id", "seed", name=op.f("pk_seed_outcome")),
        schema="prodsys",
    )
    op.create_index(
        op.f("ix_seed_outcome_task_row_id"), "seed_outcome", ["task_row_id"], unique=False, schema="prodsys"
    )


def downgrade() -> None:
    """Drop all tables."""
    op.drop_index(op.f("ix_seed_outcome_task_row_id"), table_name="seed_outcome", schema="prodsys")
    op.drop_table("seed_outcome", schema="prodsys")
    op.drop_index(op.f("ix_task_step_id"), table_name="task", schema="prodsys")
    op.drop_index(op.f("ix_task_intent_final"), table_name="task", schema="prodsys")
    op.drop_table("task", schema="prodsys")
    op.drop_index(op.f("ix_rule_request_id"), table_name="rule", schema="prodsys")
    op.drop_index(op.f("ix_rule_did"), table_name="rule", schema="prodsys")
    op.drop_table("rule", schema="prodsys")
    op.drop_index(op.f("ix_file_step_id_seed"), table_name="file", schema="prodsys")
    op.drop_index(op.f("ix_file_dataset"), table_name="file", schema="prodsys")
    op.drop_table("file", schema="prodsys")
    op.drop_table("step", schema="prodsys")
    op.drop_index(op.f("ix_seed_reuse_request_id"), table_name="seed_reuse", schema="prodsys")
    op.drop_index(op.f("ix_seed_reuse_owner"), table_name="seed_reuse", schema="prodsys")
    op.drop_table("seed_reuse", schema="prodsys")
    op.drop_index(op.f("ix_seed_claim_request_id"), table_name="seed_claim", schema="prodsys")
    op.drop_table("seed_claim", schema="prodsys")
    op.drop_index("uq_run_one_driver", table_name="run", schema="prodsys", postgresql_where="driving")
    op.drop_index(op.f("ix_run_request_id"), table_name="run", schema="prodsys")
    op.drop_table("run", schema="prodsys")
    op.drop_index(op.f("ix_request_revision_configuration"), table_name="request_revision", schema="prodsys")
    op.drop_table("request_revision", schema="prodsys")
    op.drop_index(op.f("ix_publication_request_id"), table_name="publication", schema="prodsys")
    op.drop_table("publication", schema="prodsys")
    op.drop_table("plan", schema="prodsys")
    op.drop_index(op.f("ix_dataset_request_id"), table_name="dataset", schema="prodsys")
    op.drop_table("dataset", schema="prodsys")
    op.drop_table("certificate", schema="prodsys")
    op.drop_index(op.f("ix_request_state_priority"), table_name="request", schema="prodsys")
    op.drop_table("request", schema="prodsys")
    op.drop_index(op.f("ix_call_journal_service_at"), table_name="call_journal", schema="prodsys")
    op.drop_table("call_journal", schema="prodsys")
    op.drop_index(op.f("ix_audit_request_id"), table_name="audit", schema="prodsys")
    op.drop_table("audit", schema="prodsys")
