"""``python -m prodsys.ledger.migrate``: the ledger's schema in its newest version; safe to run again, side by side."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config

from prodsys.settings import REPOSITORY, read_settings

MIGRATIONS = REPOSITORY / "include" / "sql" / "migrations"


def alembic_config(url: str, folder: Path = MIGRATIONS) -> Config:
    """Alembic's settings, without a file."""
    config = Config()
    config.set_main_option("script_location", str(folder))
    config.attributes["url"] = url  # not an option: Alembic would interpolate % signs of a password
    return config


def migrate(url: str) -> None:
    """Upgrade the database at this URL to head."""
    command.upgrade(alembic_config(url), "head")


if __name__ == "__main__":
    migrate(read_settings().need("DATABASE_URL"))
