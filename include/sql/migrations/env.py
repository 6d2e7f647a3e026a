"""Alembic's environment: the ledger's tables in schema ``prodsys``, one migration at a time."""

from __future__ import annotations

from alembic import context
from sqlalchemy import NullPool, create_engine, text

from prodsys.ledger.session import IN_UTC
from prodsys.ledger.tables import SCHEMA, Base

ONE_AT_A_TIME = 4_711_016  # key of the advisory lock


def run() -> None:
    """Upgrade under an advisory lock, in one transaction."""
    arguments = {"connect_timeout": 10, "options": IN_UTC}
    engine = create_engine(context.config.attributes["url"], connect_args=arguments, poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": ONE_AT_A_TIME})
        connection.execute(text(f"create schema if not exists {SCHEMA}"))
        context.configure(
            connection=connection,
            target_metadata=Base.metadata,
            version_table_schema=SCHEMA,
            include_schemas=True,
            include_name=lambda name, kind, _parents: name == SCHEMA if kind == "schema" else True,
        )
        context.run_migrations()


run()
