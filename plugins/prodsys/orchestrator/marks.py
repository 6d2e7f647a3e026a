"""Whether a person's "failed" in Airflow still stands: its event log against its states of now. Pure.

An entry of the event log says what was asked for, not that it was done: Airflow 3.3.2 writes it before it acts, also
when it then refuses. So a mark counts only when everything agrees: it is the newest word about this airflow task (or
run), nothing was cleared after it, the airflow task is failed now, and in the try that was running when it was marked.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeGuard

from prodsys.orchestrator.entries import AirflowTaskInfo, LogEntry, RunInfo

FAILED = "failed"
ANYBODY = frozenset({"", "anonymous"})  # owners of entries of which nobody knows who made them
TASK_MARKS = frozenset({"patch_task_instance", "patch_task_group_instances", "bulk_task_instances"})
RUN_MARKS = frozenset({"patch_dag_run", "bulk_dag_runs"})
CLEARS = frozenset(
    {"post_clear_task_instances", "clear_dag_run", "clear_dag_runs", "clear_dag_run_partitions", "cli_task_clear"}
)
EVENTS = tuple(sorted(TASK_MARKS | RUN_MARKS | CLEARS))  # all that the verdict depends on
ALL_DAGS = "~"  # what stands for a DAG in calls about several
WIDER = ("include_upstream", "include_downstream", "include_future", "include_past")


@dataclass(frozen=True)
class StandingFailure:
    """A person's "failed" that stands; `task_id` "" means the run itself."""

    entry: LogEntry
    task_id: str


@dataclass(frozen=True)
class _Word:
    """What one entry says about one run: a state that was asked for, "" for a clear."""

    entry: LogEntry
    state: str
    body: Mapping[str, Any]
    about_run: bool

    def concerns(self, task: AirflowTaskInfo) -> bool:
        """Whether it is about this airflow task, too."""
        if self.state == "":
            return self._clears(task)
        if self.about_run:
            return False
        if group := self.body.get("group_id"):
            return task.task_id.startswith(f"{group}.")
        named = self.body.get("task_id") or self.entry.task_id
        return named == task.task_id and _same_index(self.body.get("map_index"), task)

    def _clears(self, task: AirflowTaskInfo) -> bool:
        """Whether it clears this airflow task, or may: what it reaches beside the tasks it names is not known here."""
        named = self.body.get("task_ids")
        if not isinstance(named, list) or any(self.body.get(word) for word in WIDER):
            return True
        return any(_names(one, task) for one in named)


def standing_failures(
    run: RunInfo, tasks: Iterable[AirflowTaskInfo], entries: Iterable[LogEntry], service: str
) -> tuple[StandingFailure, ...]:
    """What persons failed of a run and did not take back.

    Parameters
    ----------
    tasks
        Airflow tasks of the run in their latest try; those that are not failed are ignored.
    entries
        Lines of the event log about its DAG, of the events `EVENTS`, since the run began, in any order.
    service
        The account under which Prodsys acts at Airflow: what it did is no person's word.
    """
    ordered = sorted(set(entries), key=lambda entry: (entry.when, entry.event_log_id))
    words = [word for entry in ordered for word in _words(entry, run)]
    found = []
    last = next((word for word in reversed(words) if word.about_run or word.state == ""), None)
    if run.airflow_state == FAILED and _is_failure(last, service) and _ended_by(last, run.started, run.ended):
        found.append(StandingFailure(last.entry, ""))
    for task in (task for task in tasks if task.airflow_state == FAILED):
        last = next((word for word in reversed(words) if word.concerns(task)), None)
        if _is_failure(last, service) and _ended_by(last, task.started, task.ended):
            found.append(StandingFailure(last.entry, task.task_id))
    return tuple(found)


def _is_failure(word: _Word | None, service: str) -> TypeGuard[_Word]:
    """Whether it is a person's word, and that is "failed"."""
    return word is not None and word.state == FAILED and word.entry.owner not in {service, *ANYBODY}


def _ended_by(word: _Word, started: datetime | None, ended: datetime | None) -> bool:
    """Whether the word can be what ended the try (or run): it began before, and did not end by itself before.

    Airflow sets both times to that of the mark when nothing had begun, and keeps the end of an earlier try.
    """
    when = word.entry.when
    if started is None or started == ended:
        return ended is None or ended >= when
    return started <= when and (ended is None or not started <= ended < when)


def _words(entry: LogEntry, run: RunInfo) -> Iterator[_Word]:
    """What an entry says about a run."""
    body = _body(entry)
    if entry.dag_id not in {run.dag_id, ALL_DAGS, ""} or entry.dag_run_id not in {run.dag_run_id, ""}:
        return
    if entry.event in CLEARS:
        if body.get("dry_run") is not True and _is_about(body.get("dag_runs"), entry, run):
            yield _Word(entry, "", body, about_run=True)
    elif entry.event in TASK_MARKS | RUN_MARKS:
        about_run = entry.event in RUN_MARKS
        for change in _changes(body):
            state = change.get("new_state") or change.get("state")
            own = str(change.get("dag_run_id") or entry.dag_run_id)
            dag = str(change.get("dag_id") or entry.dag_id)
            if state and own == run.dag_run_id and dag in {run.dag_id, ""}:
                yield _Word(entry, str(state), change, about_run)


def _changes(body: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The body itself, or what a call about many changes nests under `actions` and `entities`."""
    actions = body.get("actions")
    if not isinstance(actions, list):
        yield body
        return
    for action in actions:
        entities = action.get("entities") if isinstance(action, dict) and action.get("action") == "update" else None
        yield from (one for one in entities or () if isinstance(one, dict))


def _is_about(listed: object, entry: LogEntry, run: RunInfo) -> bool:
    """Whether a call that may list runs is about this one; what it does not list it may mean."""
    if entry.dag_run_id or not isinstance(listed, list) or not listed:
        return True
    named = [one for one in listed if isinstance(one, dict)]
    return any(one.get("dag_run_id") == run.dag_run_id for one in named) or len(named) < len(listed)


def _body(entry: LogEntry) -> Mapping[str, Any]:
    try:
        found = json.loads(entry.extra or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _names(one: object, task: AirflowTaskInfo) -> bool:
    """Whether an element of `task_ids` is this airflow task: its id, or its id and index."""
    if isinstance(one, list) and one:
        return one[0] == task.task_id and _same_index(one[1] if len(one) > 1 else None, task)
    return one == task.task_id


def _same_index(named: object, task: AirflowTaskInfo) -> bool:
    return named is None or str(named) == str(task.map_index)
