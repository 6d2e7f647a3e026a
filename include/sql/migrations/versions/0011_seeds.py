"""Seeds that are used again are found by an index, as their owners' claims are."""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0009"
branch_labels = None
depends_on = None

SCHEMA = "prodsys"
INDEX = "ix_seed_reuse_seeds"


def upgrade() -> None:
    """Add the index over configuration and seeds."""
    columns = ["configuration", "seeds"]
    op.create_index(INDEX, "seed_reuse", columns, schema=SCHEMA, postgresql_using="gist")


def downgrade() -> None:
    """Drop it."""
    op.drop_index(INDEX, "seed_reuse", schema=SCHEMA)
