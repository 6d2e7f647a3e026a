"""The catalogue's schema, its base and its first content; repeatable, also after half of it failed."""

from __future__ import annotations

import json
from pathlib import Path

from rucio.common.config import config_get
from rucio.common.constants import DEFAULT_VO
from rucio.common.types import InternalAccount
from rucio.db.sqla import models
from rucio.db.sqla.constants import DatabaseOperationType
from rucio.db.sqla.session import db_session, get_engine
from rucio.db.sqla.util import build_database, create_base_vo, create_root_account
from sqlalchemy import inspect

VERSION_TABLE = "alembic_version"  # written last by Rucio's own `build_database`


def is_built() -> bool:
    """Whether the schema is complete."""
    schema = config_get("database", "schema", raise_exception=False, check_config_table=False)
    return bool(inspect(get_engine()).has_table(VERSION_TABLE, schema=schema))


def ensure_database() -> None:
    """Build the schema unless it is there, then the virtual organisation and the account root."""
    if not is_built():
        build_database()
    with db_session(DatabaseOperationType.READ) as session:
        has_vo = session.get(models.VO, DEFAULT_VO) is not None
        has_root = session.get(models.Account, InternalAccount("root")) is not None
    if not has_vo:
        create_base_vo()
    if not has_root:
        create_root_account()


def ensure_catalogue(layout: Path) -> None:
    """Bring schema, accounts, scopes and storage to what the layout file says."""
    from sandbox.rucio.server.layout import ensure_layout

    ensure_database()
    ensure_layout(json.loads(layout.read_text(encoding="utf-8")))


if __name__ == "__main__":
    ensure_database()
