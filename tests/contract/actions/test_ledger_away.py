"""A ledger that cannot be used is told as such: not migrated, no connection free."""

from __future__ import annotations

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.orm import sessionmaker

from prodsys.actions.core.context import Context
from prodsys.actions.submission.submitting import _lock_of_sender
from prodsys.errors import LedgerUnavailable
from prodsys.ledger.requests import list_requests
from prodsys.ledger.session import transaction

BEHIND = [
    "alter table prodsys.request drop column runs",
    "alter table prodsys.request rename to request_of_old",
    "alter schema prodsys rename to prodsys_of_old",
]


@pytest.mark.parametrize("change", BEHIND)
def test_a_ledger_of_another_version_is_not_migrated(ctx: Context, change: str) -> None:
    with transaction(ctx.sessions) as session:
        session.execute(text(change))
    away = pytest.raises(LedgerUnavailable, match=r"run python -m prodsys\.ledger\.migrate")
    with away, transaction(ctx.sessions) as session:
        list_requests(session)


def test_an_undefined_function_is_a_ledger_that_is_not_migrated(ctx: Context) -> None:
    with pytest.raises(LedgerUnavailable, match="has to be migrated"), transaction(ctx.sessions) as session:
        session.execute(text("select prodsys.of_the_next_version()"))


def test_a_sender_without_a_free_connection_finds_the_ledger_unavailable(ctx: Context, ledger_url: str) -> None:
    engine = create_engine(ledger_url, pool_size=1, max_overflow=0, pool_timeout=0.05)
    busy = Context(**{**vars(ctx), "sessions": sessionmaker(engine)})
    away = pytest.raises(LedgerUnavailable, match="all connections of this process are in use")
    with engine.connect(), away, _lock_of_sender(busy, "PROD2025-016.SIM"):
        pass
    engine.dispose()
