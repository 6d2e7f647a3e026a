"""The migrations and the tables of the code are one."""

from __future__ import annotations

from alembic import command

from prodsys.ledger.migrate import alembic_config, migrate


def test_the_migrations_make_the_tables_of_the_code(ledger_url):
    command.check(alembic_config(ledger_url))


def test_the_last_migration_can_be_taken_back_and_made_again(ledger_url):
    command.downgrade(alembic_config(ledger_url), "-1")
    migrate(ledger_url)
    command.check(alembic_config(ledger_url))
