"""A person fails something in Airflow: what stands ends the bunch or the request, what was taken back ends nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from prodsys.actions.closing.reopening import retry
from prodsys.actions.core.context import Context
from prodsys.actions.planning.planning import approve, plan
from prodsys.actions.queries.showing import show_audit
from prodsys.actions.reconciliation.findings import Finding
from prodsys.actions.reconciliation.reconciling import reconcile
from prodsys.actions.requests.cloning import CloneOrder, clone
from prodsys.actions.runs.launching import launch
from prodsys.actions.runs.pausing import pause
from prodsys.actions.runs.run_ownership import enter
from prodsys.ledger.requests import get_request, get_step
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import RequestRow, TaskRow
from prodsys.ledger.tasks import to_multirange
from prodsys.model.names import dag_id_of
from prodsys.model.seeds import parse_seeds
from prodsys.model.statuses import IntentState, RequestState
from prodsys.panda.client import PandaClient
from tests.contract.actions.airflow_api import Airflow
from tests.contract.actions.long_history import Wire, serve

REQUEST = "DEMO2025-013"
DAG, RUN = dag_id_of(REQUEST), f"{REQUEST}-r1"
PLACE = f"/dags/{DAG}/dagRuns/{RUN}"
WAIT, OTHER = "b001.sim.wait", "b002.sim.wait"


@dataclass
class Told(Airflow):
    """An Airflow with one run, whose states and event log a test writes."""

    began: datetime = field(default_factory=lambda: datetime.now(UTC) - timedelta(minutes=60))

    def run_is(self, state: str, ended: float | None = None) -> None:
        """The run, as it is now; `ended` minutes after it began."""
        run = {"dag_id": DAG, "dag_run_id": RUN, "state": state, "start_date": self.at(0)}
        self.pages[PLACE] = run | {"end_date": None if ended is None else self.at(ended)}

    def failed(self, **tasks: tuple[float, float]) -> None:
        """Its failed airflow tasks, each with the minutes when its try began and ended."""
        rows = [
            {"task_id": name, "map_index": -1, "try_number": 1, "state": "failed"}
            | {"start_date": self.at(began), "end_date": self.at(ended)}
            for name, (began, ended) in tasks.items()
        ]
        self.pages[f"{PLACE}/taskInstances"] = {"task_instances": rows, "total_entries": len(rows)}

    def says(self, minute: float, event: str, task_id: str | None = None, **body: object) -> None:
        """A line of its event log."""
        lines = self.pages.setdefault("/eventLogs", {"event_logs": [], "total_entries": 0})["event_logs"]
        line = {"event_log_id": len(lines), "when": self.at(minute), "event": event, "owner": "admin", "dag_id": DAG}
        lines.append(line | {"run_id": RUN, "task_id": task_id, "extra": json.dumps(body)})
        self.pages["/eventLogs"]["total_entries"] = len(lines)

    def at(self, minute: float) -> str:
        return (self.began + timedelta(minutes=minute)).isoformat()


@pytest.fixture
def airflow() -> Told:
    return Told()


@pytest.fixture
def wire() -> Iterator[Wire]:
    with serve(Wire(changed={101: "running", 102: "running"})) as served:
        yield served


@pytest.fixture
def driven(approved: Context, airflow: Told, wire: Wire) -> Context:
    """A context of the service, and a request in two bunches that a run drives, each with a SIM task in PanDA."""
    clone(approved, "PROD2025-013", REQUEST, CloneOrder(seed_count=4, events_per_file=20, bunches=2, bunches_at_once=2))
    plan(approved, REQUEST)
    airflow.digest = approve(approved, REQUEST).digest
    launch(approved, REQUEST)
    assert enter(approved, REQUEST, 1, DAG, RUN).drive
    with transaction(approved.sessions) as session:
        for bunch, seeds in ((1, "1-2"), (2, "3-4")):
            session.add(_task(get_step(session, REQUEST, "SIM", bunch).step_id, bunch, seeds))
    airflow.run_is("running")
    airflow.failed()
    panda = PandaClient(wire.url, "spd.production", lambda: "t", 5)
    return replace(approved, clients=replace(approved.clients, panda=lambda: panda))


def _task(step_id: int, bunch: int, seeds: str) -> TaskRow:
    name = f"{REQUEST}.SIM.b{bunch:03d}"
    sent = {"intent": IntentState.CONFIRMED, "jedi_task_id": 100 + bunch, "status": "running"}
    return TaskRow(
        step_id=step_id,
        attempt=1,
        bunch=bunch,
        task_name=name,
        seeds=to_multirange(parse_seeds(seeds)),
        task_map={},
        **sent,
    )


def request(ctx: Context) -> RequestRow:
    with transaction(ctx.sessions) as session:
        return get_request(session, REQUEST)


def looked(ctx: Context) -> list[Finding]:
    return [one for one in reconcile(ctx, repair=True) if one.request_id == REQUEST]


# --- a bunch ----------------------------------------------------------------------------------------------------------
def test_a_bunch_that_a_person_failed_is_ended_within_one_pass_and_the_request_goes_on(driven, airflow, wire) -> None:
    airflow.says(10, "patch_task_instance", WAIT, new_state="failed")
    airflow.failed(**{WAIT: (1, 10.01)})
    assert [one.what for one in looked(driven)] == [f"bunch 1: admin failed {WAIT} in Airflow"]
    assert (request(driven).state, request(driven).reason) == (
        RequestState.RUNNING,
        f"bunch 1: admin failed {WAIT} in Airflow",
    )
    assert wire.killed == {101}, "the task of bunch 1, not that of bunch 2"
    with transaction(driven.sessions) as session:
        session.query(TaskRow).filter(TaskRow.bunch == 1).update({"status": "aborting"})
    wire.changed[101] = "aborting"
    assert looked(driven) == []
    assert wire.calls["panda task/kill"] == 1, "one that is about to end is told once"
    assert [line["action"] for line in show_audit(driven, REQUEST)].count("fail") == 1


def test_the_task_of_an_ended_bunch_is_told_once_and_no_pause_comes_after_it(driven, airflow, wire) -> None:
    """PanDA takes a pause while it aborts, and the task then rests for ever (recorded: kill_slow)."""
    airflow.says(10, "patch_task_instance", WAIT, new_state="failed")
    airflow.failed(**{WAIT: (1, 10.01)})
    looked(driven)
    looked(driven)  # JEDI has not begun to abort it
    assert wire.calls["panda task/kill"] == 1
    assert pause(driven, REQUEST).already == (101,)
    assert wire.calls["panda task/pause"] == 1, "the task of bunch 2"


def test_a_mark_that_was_taken_back_ends_no_bunch(driven, airflow, wire) -> None:
    airflow.says(10, "patch_task_instance", WAIT, new_state="failed")
    airflow.says(10.02, "post_clear_task_instances", task_ids=[WAIT], dry_run=False, reset_dag_runs=True)
    assert looked(driven) == []
    assert wire.killed == set()


def test_who_marked_by_mistake_has_a_moment_to_take_it_back(driven, airflow, wire) -> None:
    airflow.began = datetime.now(UTC) - timedelta(minutes=10)
    airflow.run_is("failed", 10)
    airflow.says(10, "patch_task_instance", WAIT, new_state="failed")
    airflow.failed(**{WAIT: (1, 10.01)})
    assert looked(driven) == []
    assert (request(driven).state, wire.killed) == (RequestState.RUNNING, set())


# --- the end of the run -----------------------------------------------------------------------------------------------
def test_a_run_that_failed_by_itself_after_a_mark_was_taken_back_leaves_a_request_that_can_be_retried(
    driven, airflow, wire
) -> None:
    airflow.says(10, "patch_task_instance", WAIT, new_state="failed")
    airflow.says(10.02, "post_clear_task_instances", task_ids=[WAIT], dry_run=False, reset_dag_runs=True)
    airflow.failed(**{OTHER: (1, 15)})
    airflow.run_is("failed", 16)
    assert looked(driven)
    assert request(driven).state == RequestState.FAILED
    assert wire.killed == set()
    assert retry(driven, REQUEST, wait=False).state == RequestState.READY


def test_marked_bunches_fail_the_request_and_do_not_abort_it(driven, airflow, wire) -> None:
    for minute, name in ((10, WAIT), (11, OTHER)):
        airflow.says(minute, "patch_task_instance", name, new_state="failed")
    airflow.failed(**{WAIT: (1, 10.01), OTHER: (1, 11.01)})
    airflow.run_is("failed", 12)
    looked(driven)
    assert request(driven).state == RequestState.FAILED
    assert request(driven).reason.startswith(f"bunch 1: admin failed {WAIT} in Airflow; bunch 2: admin failed {OTHER}")
    assert wire.killed == {101, 102}


def test_a_run_that_a_person_failed_aborts_the_request(driven, airflow, wire) -> None:
    airflow.says(10, "patch_dag_run", state="failed")
    airflow.run_is("failed", 10.01)
    looked(driven)
    assert request(driven).state == RequestState.ABORTED
    assert request(driven).reason == "admin failed it in Airflow (patch_dag_run)"
    assert wire.killed == {101, 102}


def test_a_run_that_was_cleared_after_a_person_failed_it_and_then_failed_by_itself_is_not_aborted(
    driven, airflow, wire
) -> None:
    airflow.says(10, "patch_dag_run", state="failed")
    airflow.says(11, "clear_dag_run", dry_run=False, only_failed=True)
    airflow.run_is("failed", 30)
    airflow.pages[PLACE]["start_date"] = airflow.at(11.1)
    looked(driven)
    assert (request(driven).state, wire.killed) == (RequestState.FAILED, set())


def test_an_airflow_task_of_no_bunch_that_a_person_failed_aborts_the_request(driven, airflow) -> None:
    airflow.says(10, "patch_task_instance", "close.collect", new_state="failed")
    airflow.failed(**{"close.collect": (1, 10.01)})
    airflow.run_is("failed", 10.02)
    looked(driven)
    assert request(driven).state == RequestState.ABORTED
