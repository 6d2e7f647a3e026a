"""The newest plan of a request is the one that was made last, whatever the clock of its host said."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import text

from prodsys.actions.core.context import Context
from prodsys.actions.core.request_snapshot import show_snapshot
from prodsys.actions.planning.planning import plan
from prodsys.ledger.migrate import alembic_config
from prodsys.ledger.requests import find_plan
from prodsys.ledger.session import make_engine, transaction
from prodsys.ledger.tables import PlanRow

REQUEST = "PROD2025-016"


@pytest.fixture(autouse=True)
def _book(import_demo) -> None:
    import_demo("requests_sheet.csv")


def with_sample_files(ctx: Context, number: int) -> Context:
    policy = ctx.catalogue.policy.model_copy(update={"sample_files": number})
    return replace(ctx, catalogue=ctx.catalogue.model_copy(update={"policy": policy}))


def planned_on_a_host_that_is_fast(ctx: Context, digest: str) -> None:
    with transaction(ctx.sessions) as session:
        session.get_one(PlanRow, (REQUEST, digest)).planned_at = datetime.now(UTC) + timedelta(hours=1)


def newest(ctx: Context) -> str:
    with transaction(ctx.sessions) as session:
        found = find_plan(session, REQUEST)
        assert found is not None
        return found.digest


def test_a_plan_of_a_slow_host_is_the_newest_when_it_was_made_last(ctx: Context) -> None:
    first = plan(ctx, REQUEST)
    planned_on_a_host_that_is_fast(ctx, first.digest)
    second = plan(with_sample_files(ctx, 7), REQUEST)
    assert second.digest != first.digest
    assert [change.field for change in second.changes] == ["sample_files"]
    assert newest(ctx) == show_snapshot(ctx, REQUEST).body["plan"]["digest"] == second.digest


def test_a_plan_that_is_made_once_more_is_the_newest_again(ctx: Context) -> None:
    first = plan(ctx, REQUEST)
    second = plan(with_sample_files(ctx, 7), REQUEST)
    planned_on_a_host_that_is_fast(ctx, second.digest)
    again = plan(ctx, REQUEST)
    assert again.digest == first.digest == newest(ctx)
    assert [(change.before, change.after) for change in again.changes] == [
        ("7", str(ctx.catalogue.policy.sample_files))
    ]


def test_plans_of_before_are_numbered_in_the_order_of_their_times(ctx: Context, ledger_url: str) -> None:
    digests = [plan(with_sample_files(ctx, number), REQUEST).digest for number in (3, 4, 5)]
    make_engine(ledger_url).dispose()
    config = alembic_config(ledger_url)
    before = ScriptDirectory.from_config(config).get_revision("0009").down_revision
    command.downgrade(config, before)
    command.upgrade(alembic_config(ledger_url), "head")
    with transaction(ctx.sessions) as session:
        rows = session.execute(text("select digest from prodsys.plan order by number")).scalars().all()
    assert rows == digests
    assert newest(ctx) == digests[-1]
    assert plan(ctx, REQUEST).digest == newest(ctx)
