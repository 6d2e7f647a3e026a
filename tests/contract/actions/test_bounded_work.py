"""What a pass of the reconciler asks does not grow with the history; comparisons go on where they stopped."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import text, update

from prodsys.actions.core.context import Context
from prodsys.actions.reconciliation.hourly_checks import compare_catalogues
from prodsys.actions.reconciliation.reconciling import reconcile
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import DatasetRow, RuleRow, TaskRow
from prodsys.model.statuses import RuleState
from tests.contract.actions.long_history import FIRST_TASK, Figures, Wire, measured, serve, with_services, write_history

LONG = {"tasks": 10_000, "rules": 500}
SHORT = {"tasks": 400, "rules": 5}


@pytest.fixture
def wire() -> Iterator[Wire]:
    with serve(Wire()) as served:
        yield served


def cost(ctx: Context, wire: Wire, history: dict[str, int]) -> Figures:
    """What a pass costs on a ledger of that history, beside a first one."""
    write_history(ctx, **history)
    wire.tasks = history["tasks"]
    reconcile(ctx, repair=True)
    with measured(ctx, wire) as figures:
        assert reconcile(ctx, repair=True) == []
    return figures


def test_a_pass_with_ten_thousand_ended_tasks_costs_what_it_costs_with_four_hundred(ctx: Context, wire: Wire) -> None:
    here = with_services(ctx, wire)
    long = cost(here, wire, LONG)
    with transaction(ctx.sessions) as session:
        session.execute(text("truncate prodsys.request cascade"))
    short = cost(here, wire, SHORT)
    assert long.calls == short.calls == {"airflow": 1, "panda task/get_tasks_modified_since": 1}
    assert long.statements == short.statements <= 20
    assert long.sent_bytes < 1000


def test_a_task_that_ended_lately_is_seen_to_go_on_and_one_that_ended_long_ago_is_not(ctx: Context, wire: Wire) -> None:
    here = with_services(ctx, wire)
    write_history(ctx, **SHORT)
    wire.changed = {FIRST_TASK + 1: "running", FIRST_TASK + 2: "running"}  # they ended 60 and 3 days ago
    found = [one.what for one in reconcile(here, repair=False) if "is running" in one.what]
    assert [what.split()[1] for what in found] == [str(FIRST_TASK + 2)]


def test_open_tasks_that_no_list_shows_are_asked_for_in_turns(ctx: Context, wire: Wire) -> None:
    here = with_services(ctx, wire)
    write_history(ctx, **SHORT)
    with transaction(ctx.sessions) as session:
        opened = TaskRow.jedi_task_id <= FIRST_TASK + 50  # more than a pass may ask for
        session.execute(update(TaskRow).where(opened).values(status="running", final=False))
    for _ in range(3):
        with measured(here, wire) as figures:
            reconcile(here, repair=True)
        assert figures.calls["panda task/get_status"] <= ctx.catalogue.policy.reconcile.status_calls
    with transaction(ctx.sessions) as session:
        looked = session.query(TaskRow).filter(TaskRow.looked_at.is_not(None)).count()
    assert looked == 50


BUDGET = 30


@pytest.fixture
def thrifty(ctx: Context, wire: Wire) -> Context:
    """A context that may ask Rucio little in an hour."""
    policy = ctx.catalogue.policy
    limits = policy.reconcile.model_copy(update={"catalogue_calls": BUDGET})
    catalogue = ctx.catalogue.model_copy(update={"policy": policy.model_copy(update={"reconcile": limits})})
    return replace(with_services(ctx, wire), catalogue=catalogue)


def test_what_is_compared_by_the_hour_has_a_budget_and_goes_on_where_it_stopped(thrifty: Context, wire: Wire) -> None:
    write_history(thrifty, tasks=200, rules=50)
    with transaction(thrifty.sessions) as session:
        session.execute(update(RuleRow).values(lifetime_days=None))
    for _ in range(2):
        with measured(thrifty, wire) as figures:
            compare_catalogues(thrifty, repair=True)
        assert figures.calls["rucio dids"] <= BUDGET
        assert figures.calls["rucio rules"] <= BUDGET + 1
    with transaction(thrifty.sessions) as session:
        for row in (RuleRow, DatasetRow):
            assert session.query(row).filter(row.compared_at.is_(None)).count() == 0


def test_rules_whose_time_has_passed_are_remembered_and_never_asked_for(thrifty: Context, wire: Wire) -> None:
    here, ctx = thrifty, thrifty
    write_history(ctx, **SHORT | {"rules": 500})
    with measured(here, wire) as figures:
        assert compare_catalogues(here, repair=True) == []
    assert not [call for call in figures.calls if call.startswith("rucio")]
    with transaction(ctx.sessions) as session:
        assert session.query(RuleRow).filter(RuleRow.state != RuleState.EXPIRED).count() == 0
        session.execute(update(RuleRow).values(state="OK", created_at=datetime.now(UTC), checked_at=datetime.now(UTC)))
    assert compare_catalogues(here, repair=True), "they are gone before their time"


def test_a_service_that_is_away_costs_one_finding_and_no_other_comparison(thrifty: Context, wire: Wire) -> None:
    here = thrifty
    write_history(here, tasks=200, rules=5)
    with transaction(here.sessions) as session:
        session.execute(update(RuleRow).values(lifetime_days=None))
    wire.away = frozenset({"panda"})
    for _ in range(2):  # told each time, and the same finding
        found = compare_catalogues(here, repair=True)
        assert [one.look for one in found if "could not be compared" in one.what] == ["duplicates"]
        assert [one for one in found if one.look == "compare_datasets"]
    first = {one.finding_id for one in found if one.look == "duplicates"}
    wire.away = frozenset()
    again = compare_catalogues(here, repair=True)
    assert first.isdisjoint({one.finding_id for one in again})
