"""A run that a person started in Airflow passes the checks of a launch, or is turned away with the words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from prodsys.actions.queries.showing import show_audit
from prodsys.hooks.context import build_context
from prodsys.ledger.requests import get_request
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import RequestRow, RunRow
from tests.airflow.operators.conftest import REQUEST
from tests.airflow.operators.test_gate import driving, gate, people, refusing, state, turned_away
from tests.contract.actions.question_board import Board
from tests.publishing import Ledger

MakeContext = Callable[..., dict[str, Any]]
OWN, BY_HAND = f"{REQUEST}-r1", "manual__2026-11-28T12:00:00+00:00"


@pytest.fixture(autouse=True)
def board(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Iterator[Board]:
    """Yield an Airflow that knows people."""
    with people(monkeypatch) as found:
        found.roles["viewer"] = "Viewer"
        yield found


def put(ledger: Ledger, **values: Any) -> None:
    with transaction(ledger.sessions) as session:
        row = get_request(session, REQUEST)
        for name, value in values.items():
            setattr(row, name, value)


def request(ledger: Ledger) -> RequestRow:
    with transaction(ledger.sessions) as session:
        return get_request(session, REQUEST)


def audit() -> list[tuple[str, str]]:
    return [(line["who"], line["action"]) for line in show_audit(build_context("test"), REQUEST)]


def run_row(ledger: Ledger, run_id: str) -> RunRow:
    with transaction(ledger.sessions) as session:
        return session.get_one(RunRow, (f"prod__{REQUEST}", run_id))


BEFORE = [
    {"state": "approved", "launched_at": None},
    {"state": "ready", "launched_at": None},  # waits for its turn
    {"state": "delayed", "launched_at": None, "not_before": datetime.now(UTC) - timedelta(minutes=1)},
    {"state": "failed"},
]
BEFORE_IDS = [str(one["state"]) for one in BEFORE]


@pytest.mark.parametrize("before", BEFORE, ids=BEFORE_IDS)
@pytest.mark.parametrize("run_id", [OWN, BY_HAND])
@pytest.mark.parametrize("who", ["viewer", "operator", "nobody", "", None, "prodsys"])
def test_who_may_not_launch_starts_nothing_through_airflow(
    ledger: Ledger, context: MakeContext, before: dict[str, Any], run_id: str, who: str | None
) -> None:
    if who == "prodsys" and run_id == OWN and before["state"] == "ready":
        return  # launching itself: it had given the place back
    put(ledger, **before)
    words = turned_away(gate(), context(run_id, who=who))
    command = "retry" if before["state"] == "failed" else "launch"
    assert f"prodsys request {command} {REQUEST}" in words
    if who and who != "prodsys":
        assert f"{who} may not start a run of {REQUEST}: it needs the role manager or administrator" in words
    after = request(ledger)
    assert after.state == before["state"]
    assert (run_row(ledger, run_id).driving, run_row(ledger, run_id).airflow_state) == (False, "success")


@pytest.mark.parametrize("before", BEFORE, ids=BEFORE_IDS)
@pytest.mark.parametrize("who", ["manager", "admin"])
def test_who_may_launch_starts_it_and_the_launch_is_his(
    ledger: Ledger, context: MakeContext, before: dict[str, Any], who: str
) -> None:
    put(ledger, **before)
    earliest = datetime.now(UTC)
    assert "drives" in gate().execute(context(BY_HAND, who=who))
    after = request(ledger)
    assert (after.state, after.not_before) == ("running", None)
    assert after.launched_at is not None
    if before["state"] != "failed":
        assert earliest <= after.launched_at <= datetime.now(UTC)
    if before["state"] in {"approved", "delayed"}:
        assert (who, "launch") in audit()


def test_the_limit_of_running_requests_holds_for_runs_started_in_airflow(ledger: Ledger, context: MakeContext) -> None:
    limit = ledger.catalogue.policy.running_limit
    for number in range(limit):
        ledger.publish(f"PROD2026-{number:03d}")
    with transaction(ledger.sessions) as session:
        for number in range(limit):
            get_request(session, f"PROD2026-{number:03d}").state = "running"
    for before in BEFORE:
        put(ledger, **before)
        words = turned_away(gate(), context(f"{BY_HAND}{before['state']}", who="manager"))
        assert f"{limit} requests are running" in words
        assert "prodsys request" in words
    with transaction(ledger.sessions) as session:
        get_request(session, "PROD2026-000").state = "complete"
    put(ledger, **BEFORE[0])
    assert "drives" in gate().execute(context(f"{BY_HAND}.2", who="manager"))


def test_a_delayed_request_does_not_start_before_its_time(ledger: Ledger, context: MakeContext) -> None:
    when = datetime(2099, 1, 2, 3, 4, tzinfo=UTC)
    put(ledger, state="delayed", launched_at=None, not_before=when)
    words = turned_away(gate(), context(BY_HAND, who="manager"))
    assert f"not to start before 2099-01-02 03:04 UTC; to start it now: prodsys request launch {REQUEST}" in words
    assert request(ledger).not_before == when


def test_a_run_that_launching_started_is_asked_for_nothing(ledger: Ledger, context: MakeContext, board: Board) -> None:
    board.roles.clear()
    assert "drives" in gate().execute(context(OWN, who="prodsys"))


def test_a_run_whose_start_launching_had_not_heard_of_drives(ledger: Ledger, context: MakeContext) -> None:
    put(ledger, launched_at=None)
    assert "drives" in gate().execute(context(OWN, who="prodsys"))
    assert request(ledger).launched_at is not None


def test_a_run_that_drove_before_goes_on_when_it_is_cleared(ledger: Ledger, context: MakeContext) -> None:
    put(ledger, state="approved", launched_at=None)
    gate().execute(context(BY_HAND, who="manager"))
    with pytest.raises(Exception, match="no site"):
        refusing().execute(context(BY_HAND, who="manager"))
    assert (state(ledger), run_row(ledger, BY_HAND).airflow_state) == ("failed", "failed")
    assert driving().execute(context(BY_HAND, who="manager")) == "driven"
    assert run_row(ledger, BY_HAND).airflow_state == "running"


def test_a_run_that_was_turned_away_is_turned_away_again_when_it_is_cleared(
    ledger: Ledger, context: MakeContext
) -> None:
    put(ledger, state="approved", launched_at=None)
    for _ in range(2):
        assert "viewer may not" in turned_away(gate(), context(BY_HAND, who="viewer"))
