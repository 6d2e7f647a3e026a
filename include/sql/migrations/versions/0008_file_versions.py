"""Versions of request files: what each said when it was imported last; the faults of the last look at a folder."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

SCHEMA = "prodsys"
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add the tables; the files of the revisions that stand in the ledger are known from the beginning."""
    op.create_table(
        "request_file",
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("file", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("imported_by", sa.Text(), nullable=False),
        sa.Column("imported_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["request_id"], ["prodsys.request.request_id"], name=op.f("fk_request_file_request_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("request_id", "file", name=op.f("pk_request_file")),
        schema=SCHEMA,
    )
    op.create_table(
        "import_report",
        sa.Column("folder", sa.Text(), nullable=False),
        sa.Column("faults", postgresql.JSONB(), nullable=False),
        sa.Column("changed_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("folder", name=op.f("pk_import_report")),
        schema=SCHEMA,
    )
    op.execute(
        """
        insert into prodsys.request_file (request_id, file, digest, revision, imported_by, imported_at)
        select distinct on (request_id, source ->> 'file')
               request_id, source ->> 'file', digest, revision, created_by, created_at
        from prodsys.request_revision
        where source ->> 'file' is not null and source ->> 'file' <> 'written by hand'
        order by request_id, source ->> 'file', revision desc
        """
    )


def downgrade() -> None:
    """Drop them again."""
    op.drop_table("import_report", schema=SCHEMA)
    op.drop_table("request_file", schema=SCHEMA)
