"""When a person's "failed" in Airflow counts: sequences of the event log against the states of now."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from prodsys.orchestrator.entries import AirflowTaskInfo, LogEntry, RunInfo
from prodsys.orchestrator.marks import standing_failures

DAG, RUN, SERVICE = "prod__PROD2025-016", "PROD2025-016-r1", "prodsys"
BEGAN = datetime(2026, 5, 4, 8, tzinfo=UTC)
LIVE = RunInfo(DAG, RUN, "running", BEGAN)
WAIT, SETTLE, OTHER = "b001.sim.wait", "b001.sim.settle", "b002.sim.wait"
FAIL = {"new_state": "failed"}
CLEAR = {"dry_run": False, "task_ids": [WAIT], "include_downstream": True, "reset_dag_runs": True}


def at(minute: float) -> datetime:
    return BEGAN + timedelta(minutes=minute)


def said(minute: float, event: str, body: dict[str, Any], task_id: str = "", **differing: Any) -> LogEntry:
    extra = json.dumps({**body, "method": "PATCH"})
    entry = LogEntry(round(minute * 60), at(minute), event, "admin", DAG, RUN, task_id, None, None, extra)
    return replace(entry, **differing)


def mark(minute: float, state: str = "failed", task_id: str = WAIT, **differing: Any) -> LogEntry:
    return said(minute, "patch_task_instance", {"new_state": state, "map_index": "-1"}, task_id, **differing)


def clear(minute: float, **changed: Any) -> LogEntry:
    return said(minute, "post_clear_task_instances", CLEAR | changed)


def task(state: str = "failed", began: float = 1, ended: float | None = 10, task_id: str = WAIT) -> AirflowTaskInfo:
    return AirflowTaskInfo(task_id, -1, 1, state, at(began), None if ended is None else at(ended))


def verdict(tasks: list[AirflowTaskInfo], entries: list[LogEntry], run: RunInfo = LIVE) -> list[str]:
    return [one.task_id or "the run" for one in standing_failures(run, tasks, entries, SERVICE)]


STANDS: dict[str, tuple[list[AirflowTaskInfo], list[LogEntry]]] = {
    "marked while it waited": ([task()], [mark(10)]),
    "marked, and the log comes newest first": ([task()], [mark(10), mark(4, "success")]),
    "marked before anything of it had begun": ([task(began=10, ended=10)], [mark(9.999)]),
    "marked in a later try, whose end is that of an earlier one": ([task(began=5, ended=3)], [mark(10)]),
    "marked again after a clear": ([task(began=12, ended=20)], [mark(10), clear(11), mark(20)]),
    "another airflow task was cleared": ([task()], [mark(10), clear(11, task_ids=[OTHER], include_downstream=False)]),
    "only looked at what a clear would do": ([task()], [mark(10), clear(11, dry_run=True)]),
    "its group was marked": ([task()], [said(10, "patch_task_group_instances", FAIL | {"group_id": "b001.sim"})]),
    "its bunch was marked": ([task()], [said(10, "patch_task_group_instances", FAIL | {"group_id": "b001"})]),
    "marked in a call about many": (
        [task()],
        [said(10, "bulk_task_instances", {"actions": [{"action": "update", "entities": [FAIL | {"task_id": WAIT}]}]})],
    ),
    "marked without an index": ([task()], [said(10, "patch_task_instance", FAIL, WAIT)]),
    "the same entry twice": ([task()], [mark(10), mark(10)]),
}
TAKEN_BACK: dict[str, tuple[list[AirflowTaskInfo], list[LogEntry]]] = {
    "nobody said anything": ([task()], []),
    "cleared, and waits again": ([task("deferred", 12, 10)], [mark(10), clear(11)]),
    "cleared, and failed by itself later": ([task(began=12, ended=20)], [mark(10), clear(11)]),
    "cleared, and not begun again": ([task("", 1, 10)], [mark(10), clear(11)]),
    "cleared with the whole run": ([task()], [mark(10), said(11, "clear_dag_run", {"dry_run": False})]),
    "cleared with several runs": (
        [task()],
        [mark(10), said(11, "clear_dag_runs", {"dag_runs": [{"dag_run_id": RUN}]}, dag_run_id="")],
    ),
    "cleared with runs of several DAGs": (
        [task()],
        [mark(10), said(11, "clear_dag_runs", {"dag_runs": [{"dag_run_id": RUN}]}, dag_run_id="", dag_id="~")],
    ),
    "cleared without naming tasks": ([task()], [mark(10), said(11, "post_clear_task_instances", {"dry_run": False})]),
    "cleared by its index": ([task()], [mark(10), clear(11, task_ids=[[WAIT, -1]], include_downstream=False)]),
    "cleared from upstream": ([task()], [mark(10), clear(11, task_ids=["gate"])]),
    "cleared on the command line": ([task()], [mark(10), said(11, "cli_task_clear", {}, dag_run_id="")]),
    "marked success after all": ([task("success")], [mark(10), mark(11, "success")]),
    "marked success, then failed by itself": ([task(began=12, ended=20)], [mark(10), mark(11, "success")]),
    "an older try was marked": ([task(began=12, ended=20)], [mark(10)]),
    "it had failed by itself before": ([task(ended=9)], [mark(10)]),
    "not failed now": ([task("deferred", ended=None)], [mark(10)]),
    "not failed now but to be tried again": ([task("up_for_retry")], [mark(10)]),
    "Prodsys did it": ([task()], [mark(10, owner=SERVICE)]),
    "nobody knows who": ([task()], [mark(10, owner="anonymous")]),
    "a person first, Prodsys last": ([task()], [mark(9), mark(10, owner=SERVICE)]),
    "of another run": ([task()], [mark(10, dag_run_id="PROD2025-016-r1.2")]),
    "of another DAG": ([task()], [mark(10, dag_id="prod__PROD2025-017")]),
    "of another airflow task": ([task()], [mark(10, task_id=OTHER)]),
    "of another bunch": ([task()], [said(10, "patch_task_group_instances", FAIL | {"group_id": "b00"})]),
    "another index": ([task()], [said(10, "patch_task_instance", FAIL | {"map_index": "3"}, WAIT)]),
    "a note without a state": ([task()], [said(10, "patch_task_instance", {"note": "it failed"}, WAIT)]),
    "what is no JSON": ([task()], [mark(10, extra="failed")]),
    "deleted in a call about many": (
        [task()],
        [said(10, "bulk_task_instances", {"actions": [{"action": "delete", "entities": [FAIL | {"task_id": WAIT}]}]})],
    ),
    "only its run was marked": ([task()], [said(10, "patch_dag_run", {"state": "failed"})]),
}


@pytest.mark.parametrize("case", STANDS)
def test_a_mark_that_stands_counts(case: str) -> None:
    assert verdict(*STANDS[case]) == [WAIT]


@pytest.mark.parametrize("case", TAKEN_BACK)
def test_a_mark_that_does_not_stand_does_not_count(case: str) -> None:
    assert verdict(*TAKEN_BACK[case]) == []


OVER = replace(LIVE, airflow_state="failed", ended=at(10.001))
BULK = {"actions": [{"action": "update", "entities": [{"dag_run_id": RUN, "state": "failed"}]}]}


@pytest.mark.parametrize(
    ("run", "entries", "counts"),
    [
        (OVER, [said(10, "patch_dag_run", {"state": "failed"})], True),
        (OVER, [said(10, "bulk_dag_runs", BULK, dag_run_id="")], True),
        (OVER, [said(10, "bulk_dag_runs", BULK, dag_run_id="", dag_id="~")], False),  # it does not say of which DAG
        (OVER, [said(10, "patch_dag_run", {"note": "x"})], False),
        (OVER, [said(9, "patch_dag_run", {"state": "failed"}), said(10, "patch_dag_run", {"state": "queued"})], False),
        (OVER, [said(9, "patch_dag_run", {"state": "failed"}), clear(9.5)], False),
        (OVER, [said(11, "patch_dag_run", {"state": "failed"})], False),  # it had failed by itself
        (replace(OVER, started=at(10)), [said(9, "patch_dag_run", {"state": "failed"})], False),  # begun again
        (replace(OVER, airflow_state="success"), [said(10, "patch_dag_run", {"state": "failed"})], False),
        (OVER, [mark(9.99)], False),  # that is another matter
        (OVER, [said(10, "patch_dag_run", {"state": "failed"}, owner=SERVICE)], False),
    ],
)
def test_a_run_that_a_person_failed_counts_while_that_stands(
    run: RunInfo, entries: list[LogEntry], counts: bool
) -> None:
    assert verdict([], entries, run) == (["the run"] if counts else [])


def test_each_airflow_task_is_judged_by_itself() -> None:
    tasks = [task(), task(task_id=OTHER), task("upstream_failed", task_id=SETTLE)]
    assert verdict(tasks, [mark(10), mark(10, task_id=OTHER), clear(11, task_ids=[OTHER])]) == []
    assert verdict(tasks, [mark(10), clear(11, task_ids=[OTHER], include_downstream=False)]) == [WAIT]
