"""What the ledger says of runs: how they ended, and a run of the same name that was there before the launch."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from prodsys.actions.closing.certifying import _people
from prodsys.actions.closing.reopening import reopen_running
from prodsys.actions.core.context import Context
from prodsys.actions.queries.listing import list_runs
from prodsys.actions.queries.showing import show_request
from prodsys.actions.reconciliation.airflow_checks import ended_runs
from prodsys.actions.reconciliation.reconciling import _runs
from prodsys.actions.runs.launching import launch
from prodsys.actions.runs.run_ownership import enter, note_failure, release_run
from prodsys.ledger.requests import approved_plan_row, get_request
from prodsys.ledger.session import transaction
from prodsys.model.names import dag_id_of
from tests.contract.actions.airflow_api import Airflow

REQUEST = "DEMO2025-016"
RUN = (dag_id_of(REQUEST), f"{REQUEST}-r1")
PLACE = f"/dags/{RUN[0]}/dagRuns/{RUN[1]}"


@pytest.fixture
def running(approved: Context, airflow: Airflow) -> Context:
    """Give hands, and a request that a run drives."""
    launch(approved, REQUEST)
    assert enter(approved, REQUEST, 1, *RUN).drive
    airflow.pages[PLACE] = run_page("running")
    return approved


def run_page(state: str) -> dict[str, Any]:
    return {"dag_id": RUN[0], "dag_run_id": RUN[1], "state": state}


def states(ctx: Context) -> list[str]:
    """State of the runs as status, show and REST tell them; all the same."""
    shown = [run["airflow_state"] for run in show_request(ctx, REQUEST)["runs"]]
    assert shown == [run["airflow_state"] for run in list_runs(ctx, REQUEST)]
    return shown


def test_a_run_that_ended_well_is_said_to_have(running: Context) -> None:
    with transaction(running.sessions) as session:
        release_run(session, REQUEST, "ended complete", "success")  # as certify does
    assert states(running) == ["success"]


def test_a_run_that_failed_is_said_to_have(running: Context) -> None:
    assert note_failure(running, REQUEST, *RUN, "sim.wait: broken") == "sim.wait: broken"
    assert states(running) == ["failed"]


def test_a_run_that_hands_over_to_another_has_failed(running: Context) -> None:
    reopen_running(running, REQUEST, "SIM works again")
    assert states(running) == ["failed"]


@pytest.mark.parametrize(("ends", "said"), [("failed", "failed"), ("success", "success"), ("", "gone")])
def test_the_run_of_an_aborted_request_ends_by_itself_and_the_ledger_hears_how(
    running: Context, airflow: Airflow, ends: str, said: str
) -> None:
    with transaction(running.sessions) as session:
        get_request(session, REQUEST).state = "aborted"
        release_run(session, REQUEST, "aborted by manager")
    assert list(ended_runs(running, True)) == []
    assert states(running) == ["running"], "it has not found out yet"
    if ends:
        airflow.pages[PLACE] = run_page(ends)
    else:
        airflow.pages.clear()
        airflow.shown = False
    list(ended_runs(running, False))
    assert states(running) == ["running"]
    list(ended_runs(running, True))
    assert states(running) == [said]


def test_a_run_that_ended_without_a_word_is_told_with_a_note(running: Context, airflow: Airflow) -> None:
    airflow.pages[PLACE] = run_page("success")  # somebody marked it so
    [found] = _runs(running, True)
    assert (found.request_id, found.repaired) == (REQUEST, True)
    assert states(running) == ["success"]
    assert show_request(running, REQUEST)["state"] == "failed"
    words = "its run is success before the request ended"
    assert (PLACE, {"note": words}) in airflow.changed


def test_a_run_that_was_turned_away_has_ended(running: Context, airflow: Airflow) -> None:
    assert not enter(running, REQUEST, 1, RUN[0], "manual__1", "manager").drive
    assert sorted(states(running)) == ["running", "success"]


def test_a_run_that_was_over_when_another_came_is_said_to_be(running: Context, airflow: Airflow) -> None:
    airflow.pages[PLACE] = run_page("failed")
    airflow.pages["/users/manager"] = {}
    enter(running, REQUEST, 1, RUN[0], f"{REQUEST}-r1.2", None)  # turned away: nobody is known to have started it
    assert states(running).count("failed") == 1


def test_a_run_of_the_same_name_that_was_turned_away_before_the_launch_runs_again(
    approved: Context, airflow: Airflow
) -> None:
    refused = enter(approved, REQUEST, 1, *RUN, None)
    assert (refused.drive, "prodsys request launch" in refused.message) == (False, True)
    airflow.refuses_as_known = {RUN[1]}
    airflow.pages[PLACE] = run_page("success")
    assert launch(approved, REQUEST).started
    assert airflow.cleared == [PLACE]
    assert enter(approved, REQUEST, 1, *RUN, "viewer").drive, "launching cleared it: it is the launch's own now"


def test_a_certificate_never_says_that_it_was_launched_when_it_was_closed(running: Context) -> None:
    with transaction(running.sessions) as session:
        row = get_request(session, REQUEST)
        entered = list_runs(running, REQUEST)[0]["entered_at"]
        row.launched_at = None  # of a run that was started in Airflow, by an older version
        said = _people(session, row, approved_plan_row(session, REQUEST))
    assert said["launched_at"] == datetime.fromisoformat(entered).astimezone(UTC)
    assert said["launched_at"] < said["closed_at"]
